# Licensed under a 3-clause BSD style license - see LICENSE
"""What all simulators of patches share: instruments, sources already modelled, the observation."""

from dataclasses import dataclass

import numpy as np
import torch

from ..inputs.bands import Bands
from ..inputs.batch import FieldBatch
from ..inputs.conditioning import conditions, extended_kernels, feature_kernels, trial_spectra
from ..stats.known_sky import MIN_BACKGROUND
from ..stats.significance import score_terms
from .sky import ResponseBank, render_sources

__all__ = ["SimulatedPatches", "Simulator"]


@dataclass
class SimulatedPatches:
    """Patches with their truth.

    Parameters
    ----------
    bands : `~gammapy_asid.inputs.Bands`
        Bands of the model.
    batch : `~gammapy_asid.inputs.batch.FieldBatch`
        What the network sees.
    patch, x, y, flux : `~torch.Tensor`
        True sources that are not part of the known sky: patch, position in finest
        pixels, photon flux in 1 / (cm2 s); shape ``(n_sources,)``.
    significance : `~torch.Tensor`
        Standard deviations at which each of them would be seen on average, were it alone
        on the true emission; shape ``(n_sources,)``.
    spectra : dict of `~torch.Tensor`
        Their spectra, see `~gammapy_asid.simulation.sky.source_counts`; each of shape ``(n_sources,)``.
    counts : `~torch.Tensor`
        Expected counts of each of them in the bands on valid sky, shape ``(n_sources, n_bands)``.
    latitude : `~torch.Tensor`
        Their Galactic latitude in deg, NaN where the patch is nowhere on the sky; shape ``(n_sources,)``.
    instrument : `~torch.Tensor`
        Index of each patch's response, shape ``(n_patches,)``.
    expected : list of `~torch.Tensor`
        Per band: expected counts of the patches, shape as the counts.
    width : `~torch.Tensor`, optional
        Width per axis in deg of a Gaussian as wide as each source, by default 0: points.
    """

    bands: Bands
    batch: FieldBatch
    patch: torch.Tensor
    x: torch.Tensor
    y: torch.Tensor
    flux: torch.Tensor
    significance: torch.Tensor
    spectra: dict
    counts: torch.Tensor
    latitude: torch.Tensor
    instrument: torch.Tensor
    expected: list
    width: torch.Tensor = None

    def __post_init__(self):
        if self.width is None:
            self.width = torch.zeros_like(self.x)


class Simulator:
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
        self.extended = [torch.stack(v) for v in zip(*map(extended_kernels, responses), strict=True)]
        self.spectra = torch.tensor(np.array([trial_spectra(r) for r in responses]), dtype=torch.float32)
        self.conditions = torch.tensor(
            np.array([[conditions(r, known) for known in (False, True)] for r in responses])
        )

    @property
    def bands(self):
        """Bands of the patches (`~gammapy_asid.inputs.Bands`)."""
        return self.bank.bands

    def images(self, instrument, patch, x, y, counts):
        """Expected counts of point sources per band, see `~gammapy_asid.simulation.sky.render_sources`."""
        shape = (self.size, self.size)
        return render_sources(self.bank, instrument[patch], patch, x, y, counts, shape, len(instrument))

    def modelled(self, instrument, patch, x, y, counts, generator):
        """Images of sources as a fit of these counts models them: slightly wrong.

        Parameters
        ----------
        instrument : `~torch.Tensor`
            Instrument of each patch, shape ``(n_patches,)``.
        patch, x, y : `~torch.Tensor`
            Patch and position in finest pixels of each source, shape ``(n,)``.
        counts : `~torch.Tensor`
            Expected counts, shape ``(n, n_bands, n_sub)``.
        generator : `~torch.Generator`
            Source of randomness.

        Returns
        -------
        images : list of `~torch.Tensor`
            Modelled counts per band.
        """
        total = counts.sum((1, 2))
        error = torch.randn(3, len(total), generator=generator) / torch.sqrt(total.clamp(min=1))
        factor = (1 + error[0] + 0.02 * torch.randn(len(total), generator=generator)).clamp(min=0)
        # Position error of a fit: the width of the point spread function over the root of the counts.
        pixel_size = self.bank.pixel_size[instrument].float()
        shift = (0.4 * self.bands.scale / pixel_size[patch] * error[1:]).clamp(-1, 1)
        wrong = counts * factor[:, None, None]
        return self.images(instrument, patch, x + shift[0], y + shift[1], wrong)

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
        limit = np.where(rng.random(n) < 0.35, 10 ** rng.uniform(*limits, n), np.inf)
        bright = flux > torch.tensor(limit, dtype=torch.float32)[patch]
        chosen = torch.from_numpy(rng.random(len(patch)) < 0.85)
        return bright & chosen & has_background[patch]

    def significance(self, instrument, patch, x, y, counts, emission, mask):
        """Expected significance of sources, each alone on the emission.

        Parameters
        ----------
        instrument : `~torch.Tensor`
            Instrument of each patch, shape ``(n_patches,)``.
        patch, x, y : `~torch.Tensor`
            Patch and position in finest pixels of each source, shape ``(n,)``.
        counts : `~torch.Tensor`
            Expected counts, shape ``(n, n_bands, n_sub)``.
        emission, mask : list of `~torch.Tensor`
            Per band, shape ``(n_patches, ny / 2**level, nx / 2**level)``: expected counts
            of the emission, zero where masked, and share of valid pixels.

        Returns
        -------
        significance : `~torch.Tensor`
            Root of the information (`~gammapy_asid.stats.significance.score_terms`) times the
            squared counts, at the nearest pixel; shape ``(n,)``.
        """
        squared = torch.zeros(len(patch))
        for band, level in enumerate(self.bands.levels):
            b, m = emission[band].clamp(min=MIN_BACKGROUND), mask[band]
            kernels = self.filters[instrument, band]
            _, _, information = score_terms(b, b, m, torch.ones_like(m), kernels)
            row, column = (
                torch.round((v + 0.5) / 2**level - 0.5).long().clamp(0, m.shape[1] - 1) for v in (y, x)
            )
            squared += counts[:, band].sum(1) ** 2 * information[patch, row, column].clamp(min=0)
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
        known = has_background[:, None, None]
        return FieldBatch(
            levels=self.bands.levels,
            counts=[torch.poisson(image, generator=generator) for image in expected],
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
            extended=[kernels[instrument] for kernels in self.extended],
        )
