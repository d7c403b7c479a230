# Licensed under a 3-clause BSD style license - see LICENSE
"""Training patches for the instrument of a dataset."""

import numpy as np
import torch
import torch.nn.functional as F

from ..inputs.batch import field_batch
from ..inputs.psf import psf_radius, psf_width
from ..stats.known_sky import MIN_BACKGROUND, known_sky
from ..stats.significance import score_terms, signed_significance
from .extended import ExtendedSources
from .patch_simulator import SimulatedPatches, Simulator
from .plane_patches import image_significance
from .sky import source_counts
from .variations import random_emission

__all__ = ["DatasetSimulator", "detection_flux"]

# Sources in a patch of 64 x 64 finest pixels: mean number, and its range from patch to patch.
DENSITY, DENSITY_RANGE = 4.0, (0.2, 1.8)

# Sources within this many finest pixels of a patch shine into it.
MARGIN = 8

# Photon index: mean and standard deviation.
INDEX = (2.3, 0.3)

# Logarithms of the photon fluxes in units of that of a source of 5 standard deviations: of all
# sources, and of those above which a user may have modelled all.
FLUX, MODELLED = (np.log10(0.2), 2.0), (0.0, 1.7)

# Extended sources, where the bands know them: their share, widths over the finest pixel, probabilities of
# Gaussian, disk and shell, and largest axis ratio.
EXTENDED_SHARE, WIDTHS, SHAPE_SHARES, ELONGATION = 0.4, (0.7, 10.0), (0.6, 0.2, 0.2), 2.0


class DatasetSimulator(Simulator):
    """Draws patches of a dataset's own background with random sources.

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
        self.levels, self.block = cube.bands.levels, cube.bands.block
        self.shapes = ExtendedSources(self.bank, size) if cube.bands.extents else None
        field = field_batch([cube])
        background = field.background if cube.has_background else known_sky(field)
        self._set_detection_terms(field, background)
        self.psf_width = psf_width(np.nanmin(psf_radius(cube.response))) / cube.response.pixel_size
        # Patches reach over the edge of the field, which data have too.
        margin = size // 2 // self.block * self.block

        def padded(images):
            return [
                F.pad(image[0] * (mask[0] > 0), [margin >> level] * 4)
                for image, mask, level in zip(images, field.mask, self.levels, strict=True)
            ]

        self.background, self.mask, self.exposure = map(padded, (background, field.mask, field.exposure))
        # Sources shine with the exposure of a pixel's valid part.
        self.reach = padded([torch.from_numpy(image)[None] for image in cube.exposure])
        finest = [mask for mask, level in zip(self.mask, self.levels, strict=True) if level == 0]
        valid = torch.stack(finest).amax(0)[None, None]
        share = F.avg_pool2d(valid, size, stride=self.block)[0, 0]
        self.corners = (torch.nonzero(share >= 0.5 * share.max()) * self.block).numpy()

    def _set_detection_terms(self, field, background):
        """Score terms of a source of one count in each band, at a typical pixel of the field."""
        self.expected, self.information = torch.zeros(2, len(self.levels), dtype=torch.float64)
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

    def draw(self, n, seed, instrument=None):
        """Simulate ``n`` patches.

        Parameters
        ----------
        n : int
            Number of patches.
        seed : int or sequence of int
            Equal seeds give equal patches.
        instrument : int, optional
            There is only one.

        Returns
        -------
        patches : `~gammapy_asid.simulation.patch_simulator.SimulatedPatches`
            Patches and truth; fluxes are those of the dataset's energy range.
        """
        rng = np.random.default_rng(seed)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        instrument = torch.full((n,), instrument or 0)
        has_background = torch.from_numpy(rng.random(n) < self.background_share)
        corners, turns = self.corners[rng.integers(len(self.corners), size=n)], rng.integers(8, size=n)
        background, mask, exposure, reach = (
            self._cut(images, corners, turns)
            for images in (self.background, self.mask, self.exposure, self.reach)
        )
        norm = torch.tensor(rng.lognormal(0, 0.15, n), dtype=torch.float32)[:, None, None]
        grid = torch.ones(n, 1, len(self.levels), self.size // 2, self.size // 2)
        expected, prediction = (
            [b * norm * f for b, f in zip(background, self._resized(factors), strict=True)]
            for factors in random_emission(grid, generator)
        )

        patch, x, y, flux, ratio, spectra, counts, width = self._sources(rng, n)
        significance = self.significance(instrument, patch, x, y, counts, expected, mask)
        point, wide = width == 0, torch.nonzero(width)[:, 0]
        images = self.images(instrument, *(v[point] for v in (patch, x, y, counts)))
        if len(wide):
            extended = self._extended(rng, *(v[wide] for v in (x, y, width, counts)))
            significance[wide] = image_significance(extended, patch[wide], reach, expected)
            images = [i.index_add(0, patch[wide], e) for i, e in zip(images, extended, strict=True)]
        expected = [e + r * i for e, r, i in zip(expected, reach, images, strict=True)]
        known = self.known_sources(rng, patch, ratio, MODELLED, has_background)
        if known.any():
            modelled = self.modelled(
                instrument, *(v[known & point] for v in (patch, x, y, counts)), generator
            )
            if len(wide):
                factor = (1 + 0.1 * torch.randn(len(wide), generator=generator)) * known[wide]
                modelled = [
                    m.index_add(0, patch[wide], factor[:, None, None] * e)
                    for m, e in zip(modelled, extended, strict=True)
                ]
            prediction = [p + r * m for p, r, m in zip(prediction, reach, modelled, strict=True)]
        batch = self.observe(instrument, expected, prediction, mask, exposure, has_background, generator)
        truth = (v[~known] for v in (patch, x, y, flux, significance))
        spectra = {name: value[~known] for name, value in spectra.items()}
        nowhere = torch.full((int((~known).sum()),), torch.nan)
        width = width[~known] * float(self.bank.pixel_size[0])
        return SimulatedPatches(
            self.bands,
            batch,
            *truth,
            spectra,
            counts[~known].sum(-1),
            nowhere,
            instrument,
            expected,
            width,
        )

    def _cut(self, images, corners, turns):
        """Patches of images per band, turned by multiples of 90 deg and mirrored from the fourth on."""
        result = []
        for image, level in zip(images, self.levels, strict=True):
            size = self.size >> level
            patches = []
            for (y, x), turn in zip(corners >> level, turns, strict=True):
                patch = torch.rot90(image[y : y + size, x : x + size], int(turn))
                patches.append(patch.T if turn > 3 else patch)
            result.append(torch.stack(patches))
        return result

    def _resized(self, factors):
        """Factors of every band on its pixels, from one grid."""
        return [
            F.interpolate(
                factors[:, band : band + 1], size=(self.size >> level,) * 2, mode="bilinear", antialias=True
            )[:, 0]
            for band, level in enumerate(self.levels)
        ]

    def _sources(self, rng, n):
        """Power laws at random places: patch, x, y, flux, flux over the detection limit, spectra, counts and
        width in finest pixels."""
        wide = self.size + 2 * MARGIN
        number = rng.poisson(DENSITY * (wide / 64) ** 2 * rng.uniform(*DENSITY_RANGE, n))
        total = number.sum()
        patch = torch.from_numpy(np.repeat(np.arange(n), number))
        x, y = torch.tensor(rng.uniform(-MARGIN, self.size + MARGIN, (2, total)) - 0.5, dtype=torch.float32)
        spectra = self._unit_spectra(rng.normal(*INDEX, total))
        counts = source_counts(self.bank, torch.zeros(total, dtype=torch.long), spectra).double()
        limit = detection_flux(counts.sum(-1), self.expected, self.information)
        ratio = torch.from_numpy(10 ** rng.uniform(*FLUX, total))
        width = torch.zeros(total)
        if self.shapes is not None:
            wide = rng.random(total) < EXTENDED_SHARE
            width[wide] = torch.tensor(np.exp(rng.uniform(*np.log(WIDTHS), wide.sum())), dtype=torch.float32)
            # As bright over the background under them as points
            limit = limit * torch.hypot(torch.ones(total), width / self.psf_width)
        flux = ratio * limit
        spectra["amplitude"] = (spectra["amplitude"].double() * flux).float()
        counts = (counts * flux[:, None, None]).float()
        return patch, x, y, flux.float(), ratio.float(), spectra, counts, width

    def _extended(self, rng, x, y, width, counts):
        """Images of extended sources."""
        n = len(x)
        kind = torch.from_numpy(1 + rng.choice(len(SHAPE_SHARES), n, p=SHAPE_SHARES))
        elongation = torch.tensor(np.exp(rng.uniform(0, np.log(ELONGATION), n)), dtype=torch.float32)
        angle = torch.tensor(rng.uniform(0, np.pi, n), dtype=torch.float32)
        only = torch.zeros(n, dtype=torch.long)
        return self.shapes.images(only, kind, x, y, width, elongation, angle, counts.sum(-1))

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
    for _ in range(40):
        middle = (low + high) / 2
        above = signed_significance(expected + middle * information, expected, information) > significance
        low, high = torch.where(above, low, middle), torch.where(above, middle, high)
    return high
