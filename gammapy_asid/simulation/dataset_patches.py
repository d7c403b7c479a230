# Licensed under a 3-clause BSD style license - see LICENSE
"""Training patches for the instrument of a dataset."""

import numpy as np
import torch
import torch.nn.functional as F

from ..inputs.batch import field_batch
from ..inputs.psf import psf_radius, psf_width
from ..stats.known_sky import MIN_BACKGROUND, known_sky
from ..stats.significance import score_terms, signed_significance
from .field_patches import FieldSimulator, image_significance
from .patch_images import cut_patches, resized, turned_patches, valid_corners
from .patch_simulator import LEVEL_SPREAD
from .patches import PatchSources
from .shapes import SHAPES
from .sky import source_counts
from .variations import random_emission

__all__ = ["DatasetSimulator", "detection_flux"]

# Sources in a patch of 64 x 64 finest pixels: mean number, and its range from patch to patch, so that fields
# at high latitude and crowded ones are both learned.
DENSITY, DENSITY_RANGE = 4.0, (0.2, 1.8)

# Sources within this many finest pixels of a patch shine into it: several widths of the PSF.
MARGIN = 8

# Photon index, mean and standard deviation: those of gamma-ray sources from GeV to TeV energies.
INDEX = (2.3, 0.3)

# Logarithms of the photon fluxes in units of that of a source of 5 standard deviations: of all
# sources, and of those above which a user may have modelled all.
FLUX, MODELLED = (np.log10(0.2), 2.0), (0.0, 1.7)

# Extended sources, where the bands know them: their share, and widths over the finest pixel, from what looks
# like a point to a sixth of a patch; probabilities of Gaussian, disk and shell: most look like no more than
# a Gaussian.
EXTENDED_SHARE, WIDTHS, SHAPE_SHARES = 0.4, (0.7, 10.0), (0.6, 0.2, 0.2)

# Halvings of the interval of a flux: it is found to the precision of its numbers.
N_HALVINGS = 40


class DatasetSimulator(FieldSimulator):
    """Draws patches of a dataset's own background with random sources; fluxes are those of its energy range.

    A patch is a random part of the field in one of its eight orientations. Its background is
    modulated at random, and the prediction of it is wrong at random, as in
    `~gammapy_asid.simulation.variations.random_emission`. Where the dataset has no
    background, a smooth estimate from its counts takes its place. Bands with extents get
    extended sources among the points: Gaussians, disks and shells.

    Parameters
    ----------
    cube : `~gammapy_asid.inputs.BandCube`
        Field.
    size : int
        Patch size in finest pixels.
    background_share : float
        Share of the patches that come with a predicted background.
    """

    def __init__(self, cube, size=64, background_share=0.65):
        super().__init__([cube.response], size, background_share)
        field = field_batch([cube])
        background = field.background if cube.has_background else known_sky(field)
        self._set_detection_terms(field, background)
        self.psf_width = psf_width(np.nanmin(psf_radius(cube.response))) / cube.response.pixel_size
        # Patches reach over the edge of the field, which data have too.
        self.margin = size // 2 // self.bands.block * self.bands.block

        def padded(images):
            return [
                F.pad(image[0] * (mask[0] > 0), [self.margin >> level] * 4)
                for image, mask, level in zip(images, field.mask, self.bands.levels, strict=True)
            ]

        self.background, self.mask, self.exposure = map(padded, (background, field.mask, field.exposure))
        # Sources shine with the exposure of a pixel's valid part.
        self.reach = padded([torch.from_numpy(image)[None] for image in cube.exposure])
        finest = [mask for mask, level in zip(self.mask, self.bands.levels, strict=True) if level == 0]
        self.corners = valid_corners(torch.stack(finest).amax(0), size, self.bands.block)

    def _set_detection_terms(self, field, background):
        """Score terms of a source of one count in each band, at a typical pixel of the field."""
        self.expected, self.information = torch.zeros(2, len(self.bands.levels), dtype=torch.float64)
        for band, known in enumerate(background):
            mask = field.mask[band]
            if not (mask == 1).any():
                continue
            known = known.clamp(min=MIN_BACKGROUND)
            _, expected, information = score_terms(
                known, known, mask, field.exposure[band], field.kernels[:, band]
            )
            self.expected[band] = expected[mask == 1].median()
            self.information[band] = information[mask == 1].median()

    def _draw(self, n, rng, generator, instrument):
        instrument = torch.zeros(n, dtype=torch.long)
        has_background = torch.tensor(rng.random(n) < self.background_share)
        background, mask, exposure, reach = self._cut(*self._places(rng, n))
        emission, prediction = self._background(rng, generator, background)

        sources, ratio = self._sources(rng, n)
        sources.significance = self.significance(instrument, sources, emission, mask)
        wide = sources.width > 0
        extended = self._extended_images(rng, instrument, sources.select(wide))
        sources.significance[wide] = image_significance(extended, sources.patch[wide], reach, emission)
        expected = self._add_sources(instrument, sources, wide, extended, emission, reach)
        known = self.known_sources(rng, sources.patch, ratio, MODELLED, has_background)
        prediction = self._add_modelled(
            instrument, sources, known, wide, extended, prediction, reach, generator
        )
        batch = self.observe(instrument, expected, prediction, mask, exposure, has_background, generator)
        return self._with_truth(batch, sources.select(~known), instrument, expected)

    def _places(self, rng, n):
        """Corners and orientations of random parts of the field."""
        return self.corners[rng.integers(len(self.corners), size=n)], rng.integers(8, size=n)

    def _cut(self, corners, turns, *more):
        """Background, mask, exposure and reach of parts of the field in orientations, and further images."""
        chosen = [0] * len(turns)
        return [
            turned_patches(cut_patches([images], chosen, corners, self.bands.levels, self.size), turns)
            for images in (self.background, self.mask, self.exposure, self.reach, *more)
        ]

    def _background(self, rng, generator, background):
        """Expected counts without sources, and their prediction."""
        norm = torch.tensor(rng.lognormal(0, LEVEL_SPREAD, len(background[0])), dtype=torch.float32)
        # As the emission of the LAT's sky varies: one model, equal everywhere, in bands for its intervals.
        equal = torch.ones(len(norm), 1, len(background), self.size // 2, self.size // 2)
        return [
            [
                b * norm[:, None, None] * resized(factor[:, band], b.shape[-2:])
                for band, b in enumerate(background)
            ]
            for factor in random_emission(equal, generator)
        ]

    def _sources(self, rng, n):
        """Power laws at random places, and their fluxes over the detection limit."""
        side = self.size + 2 * MARGIN
        number = rng.poisson(DENSITY * (side / 64) ** 2 * rng.uniform(*DENSITY_RANGE, n))
        total = number.sum()
        patch = torch.tensor(np.repeat(np.arange(n), number))
        x, y = torch.tensor(rng.uniform(-MARGIN, self.size + MARGIN, (2, total)) - 0.5, dtype=torch.float32)
        spectra = self._unit_spectra(rng.normal(*INDEX, total))
        counts = source_counts(self.bank, torch.zeros(total, dtype=torch.long), spectra).double()
        limit = detection_flux(counts.sum(-1), self.expected, self.information)
        ratio = torch.tensor(10 ** rng.uniform(*FLUX, total))
        kind, width = self._shapes(rng, total)
        # Extended sources are as bright over the background under them as points.
        flux = ratio * (limit * torch.hypot(torch.ones_like(width), width / self.psf_width))
        spectra["amplitude"] = (spectra["amplitude"].double() * flux).float()
        sources = PatchSources(
            patch=patch,
            x=x,
            y=y,
            flux=flux.float(),
            spectra=spectra,
            counts=(counts * flux[:, None, None]).float(),
            latitude=torch.full((total,), torch.nan),
            width=width * float(self.bank.pixel_size[0]),
            pixel_width=width,
            kind=kind,
        )
        return sources, ratio.float()

    def _shapes(self, rng, n):
        """Kind and width in finest pixels of sources: points alone where the bands know no extents."""
        kind, width = torch.zeros(n, dtype=torch.long), torch.zeros(n)
        if self.bands.extents:
            wide = torch.tensor(rng.random(n) < EXTENDED_SHARE)
            n_wide = int(wide.sum())
            widths = np.exp(rng.uniform(*np.log(WIDTHS), n_wide))
            width[wide] = torch.tensor(widths, dtype=torch.float32)
            kind[wide] = torch.tensor(1 + rng.choice(len(SHAPES) - 1, n_wide, p=SHAPE_SHARES))
        return kind, width

    def _unit_spectra(self, index):
        """Power laws with a photon flux of 1 / (cm2 s)."""
        response = self.bank.responses[0]
        low, high = np.nanmin(response.e_min), np.nanmax(response.e_max)
        reference = np.sqrt(low * high)
        shape = (high / reference) ** (1 - index) - (low / reference) ** (1 - index)
        amplitude = (1 - index) / (reference * shape)
        spectra = {
            "amplitude": amplitude,
            "reference": np.full(len(index), reference),
            "index": index,
            "beta": np.zeros(len(index)),
            "lambda_": np.zeros(len(index)),
            "alpha": np.ones(len(index)),
        }
        return {name: torch.tensor(value, dtype=torch.float32) for name, value in spectra.items()}


def detection_flux(counts, expected, information, significance=5.0):
    """Flux of sources that reach a significance in data without fluctuations.

    Parameters
    ----------
    counts : `~torch.Tensor`
        Counts in each band of sources of unit flux, shape ``(n, n_bands)``.
    expected, information : `~torch.Tensor`
        See `~gammapy_asid.stats.significance.score_terms`, shape ``(n_bands,)``.
    significance : float
        Standard deviations.

    Returns
    -------
    flux : `~torch.Tensor`
        Shape ``(n,)``.
    """
    expected, information = (counts * expected).sum(-1), (counts**2 * information).sum(-1)
    # In effective counts mu on the known sky, any significance s is reached by s**2 + 3 s sqrt(mu) more.
    mu = expected**2 / information
    low = torch.zeros_like(mu)
    high = (significance**2 + 3 * significance * torch.sqrt(mu)) / expected
    for _ in range(N_HALVINGS):
        middle = (low + high) / 2
        above = signed_significance(expected + middle * information, expected, information) > significance
        low, high = torch.where(above, low, middle), torch.where(above, middle, high)
    return high
