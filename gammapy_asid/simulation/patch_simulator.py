# Licensed under a 3-clause BSD style license - see LICENSE
"""What all simulators of patches share: instruments, sources already modelled, the observation."""

from abc import ABC, abstractmethod
from dataclasses import replace

import numpy as np
import torch

from ..inputs.batch import FieldBatch
from ..inputs.conditioning import conditions, extended_kernels, feature_kernels, trial_spectra
from ..stats.known_sky import MIN_BACKGROUND
from ..stats.significance import score_terms
from ..utils.devices import Movable, on_own_device
from .patch_images import values_at
from .patches import SimulatedPatches
from .sky import ResponseBank, render_sources
from .variations import generators

__all__ = ["LEVEL_SPREAD", "PatchSimulator"]

#: Spread of the logarithm of the exposure from patch to patch: the network is told its mean only, and must
#: not trust it to more than real data keep.
LEVEL_SPREAD = 0.15

# Share of the patches with a prediction whose user has modelled the bright sources, and share of these that
# his list holds: often enough that both cases, and gaps in a list, are learned.
MODELLED_SHARE, LISTED_SHARE = 0.35, 0.85

# Errors of a fit: of the flux beside the statistics of the counts, for no spectrum is quite true; and of the
# position, the width in deg of the point spread function over the root of the counts: that of most photons of
# the LAT, others scale with the nominal pixel.
FLUX_ERROR, PSF_WIDTH = 0.02, 0.4


class PatchSimulator(Movable, ABC):
    """Patches seen by random instruments: base of the simulators of skies.

    Parameters
    ----------
    responses : list of `~gammapy_asid.inputs.Response`
        Instruments.
    size : int
        Patch size in finest pixels.
    background_share : float
        Share of the patches that come with a predicted background.
    weights : array-like, optional
        Probability of each instrument, by default equal.
    """

    def __init__(self, responses, size, background_share, weights=None):
        self.bank = ResponseBank(responses)
        weights = np.ones(len(responses)) if weights is None else np.asarray(weights, float)
        self.weights = weights / weights.sum()
        self.size = size
        self.background_share = background_share
        self.filters = torch.stack([feature_kernels(response) for response in responses])
        self.extended_filters = [torch.stack(v) for v in zip(*map(extended_kernels, responses), strict=True)]
        self.spectra = torch.tensor(np.array([trial_spectra(r) for r in responses]), dtype=torch.float32)
        self.conditions = torch.tensor(
            np.array([[conditions(r, known) for known in (False, True)] for r in responses])
        )

    @property
    def bands(self):
        """Bands of the patches (`~gammapy_asid.inputs.Bands`)."""
        return self.bank.bands

    @property
    def device(self):
        """Where patches are simulated: by default on the CPU, see ``to``."""
        return self.filters.device

    @on_own_device
    def draw(self, n, seed, instrument=None):
        """Simulate patches.

        Parameters
        ----------
        n : int
            Number of patches.
        seed : int or sequence of int
            Equal seeds give equal patches.
        instrument : int, optional
            Index of the one response of all patches; by default each has its own.

        Returns
        -------
        patches : `SimulatedPatches`
            Patches and truth.
        """
        return self._draw(n, *generators(seed, self.device), instrument)

    @abstractmethod
    def _draw(self, n, rng, generator, instrument):
        """Simulate patches with random numbers of NumPy and of torch, see `draw`."""

    def images(self, instrument, sources):
        """Expected counts of point sources, see `~gammapy_asid.simulation.sky.render_sources`.

        Parameters
        ----------
        instrument : `~torch.Tensor`
            Instrument of each patch, shape ``(n_patches,)``.
        sources : `PatchSources`
            Sources.

        Returns
        -------
        images : list of `~torch.Tensor`
            Expected counts of the patches per band.
        """
        patch, shape = sources.patch, (self.size, self.size)
        return render_sources(
            self.bank, instrument[patch], patch, sources.x, sources.y, sources.counts, shape, len(instrument)
        )

    def modelled(self, instrument, sources, generator):
        """Images of sources as a fit of these counts models them: slightly wrong.

        Parameters
        ----------
        instrument, sources
            See `images`.
        generator : `~torch.Generator`
            Source of randomness.

        Returns
        -------
        images : list of `~torch.Tensor`
            Modelled counts of the patches per band.
        """
        total = sources.counts.sum((1, 2))
        there = {"generator": generator, "device": total.device}
        error = torch.randn(3, len(total), **there) / torch.sqrt(total.clamp(min=1))
        factor = 1 + error[0] + FLUX_ERROR * torch.randn(len(total), **there)
        pixel_size = self.bank.pixel_size[instrument].float()[sources.patch]
        # The fit of a source that is hardly seen stays near its seed.
        shift = (PSF_WIDTH * self.bands.scale / pixel_size * error[1:]).clamp(-1, 1)
        wrong = replace(
            sources,
            x=sources.x + shift[0],
            y=sources.y + shift[1],
            counts=sources.counts * factor.clamp(min=0)[:, None, None],
        )
        return self.images(instrument, wrong)

    @staticmethod
    def known_sources(rng, patch, flux, limits, has_background):
        """Sources that the user has modelled already: the bright ones of some patches.

        Parameters
        ----------
        rng : `~numpy.random.Generator`
            Source of randomness.
        patch, flux : `~torch.Tensor`
            Patch and flux of each source, shape ``(n,)``.
        limits : tuple of float
            Logarithms of the range of fluxes above which sources are modelled.
        has_background : `~torch.Tensor`
            Patches with a prediction, shape ``(n_patches,)``.

        Returns
        -------
        known : `~torch.Tensor`
            Bool, shape ``(n,)``.
        """
        n = len(has_background)
        limit = np.where(rng.random(n) < MODELLED_SHARE, 10 ** rng.uniform(*limits, n), np.inf)
        bright = flux > torch.tensor(limit, dtype=torch.float32, device=flux.device)[patch]
        chosen = torch.tensor(rng.random(len(patch)) < LISTED_SHARE, device=flux.device)
        return bright & chosen & has_background[patch]

    def significance(self, instrument, sources, emission, mask):
        """Expected significance of point sources, each alone on the emission.

        Parameters
        ----------
        instrument, sources
            See `images`.
        emission, mask : list of `~torch.Tensor`
            Per band, shape ``(n_patches, ny / 2**level, nx / 2**level)``: expected counts
            of the emission, zero where masked, and share of valid pixels.

        Returns
        -------
        significance : `~torch.Tensor`
            Root of the information (`~gammapy_asid.stats.significance.score_terms`) times the
            squared counts, at the nearest pixel; shape ``(n,)``.
        """
        squared, counts = torch.zeros_like(sources.x), sources.seen_counts
        for band, level in enumerate(self.bands.levels):
            b, m = emission[band].clamp(min=MIN_BACKGROUND), mask[band]
            kernels = self.filters[instrument, band]
            _, _, information = score_terms(b, b, m, torch.ones_like(m), kernels)
            at_source = values_at(information, sources.patch, sources.x, sources.y, level)
            squared += counts[:, band].sum(1) ** 2 * at_source.clamp(min=0)
        return torch.sqrt(squared)

    def observe(self, instrument, expected, prediction, mask, exposure, has_background, generator):
        """Poisson counts of patches, and all that the network sees with them.

        Parameters
        ----------
        instrument : `~torch.Tensor`
            Instrument of each patch, shape ``(n,)``.
        expected, prediction, mask, exposure : list of `~torch.Tensor`
            Per band, shape ``(n, ny / 2**level, nx / 2**level)``: expected counts, predicted
            counts of the known sky, both zero where masked, share of valid pixels, and
            exposure over its mean.
        has_background : `~torch.Tensor`
            Whether the network gets the prediction, bool of shape ``(n,)``.
        generator : `~torch.Generator`
            Source of the counts.

        Returns
        -------
        batch : `~gammapy_asid.inputs.batch.FieldBatch`
            Fields.
        """
        counts = [torch.poisson(image, generator=generator) for image in expected]
        return self.batch_of(instrument, counts, prediction, mask, exposure, has_background)

    def batch_of(self, instrument, counts, prediction, mask, exposure, has_background):
        """All that the network sees with counts.

        Parameters
        ----------
        counts : list of `~torch.Tensor`
            Counts per band, zero where masked, shape ``(n, ny / 2**level, nx / 2**level)``.
        instrument, prediction, mask, exposure, has_background
            See `observe`.

        Returns
        -------
        batch : `~gammapy_asid.inputs.batch.FieldBatch`
            Fields.
        """
        known = has_background[:, None, None]
        return FieldBatch(
            levels=self.bands.levels,
            counts=counts,
            # Without a prediction every valid pixel counts alike.
            background=[torch.where(known, p, m) for p, m in zip(prediction, mask, strict=True)],
            mask=mask,
            exposure=exposure,
            kernels=self.filters[instrument],
            spectra=self.spectra[instrument],
            conditions=self.conditions[instrument, has_background.long()],
            has_background=has_background,
            pixel_size=self.bank.pixel_size[instrument].float(),
            scale=self.bands.scale,
            extent_levels=self.bands.extent_levels,
            extended=[kernels[instrument] for kernels in self.extended_filters],
        )

    def _with_truth(self, batch, sources, instrument, expected):
        """Patches with the sources that nobody has modelled (`SimulatedPatches`)."""
        names = ("patch", "x", "y", "flux", "significance", "spectra", "latitude", "width", "source_class")
        return SimulatedPatches(
            bands=self.bands,
            batch=batch,
            counts=sources.seen_counts.sum(-1),
            instrument=instrument,
            expected=expected,
            **{name: getattr(sources, name) for name in names},
        )
