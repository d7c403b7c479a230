# Licensed under a 3-clause BSD style license - see LICENSE
"""Fitted sources of simulated images with their true flux: what the ensemble learns from."""

from dataclasses import dataclass

import numpy as np
import torch

from ...utils.tensor_rows import TensorRows
from .features import FluxFeatures, flux_features, flux_fit
from .found_sources import found_sources, without_artefacts

__all__ = ["FluxExamples", "FluxSimulator"]

#: Sources of an image that are kept at most: a dense one must not outweigh many others.
PER_IMAGE = 250


@dataclass
class FluxExamples(TensorRows):
    """Fitted true sources, tensors of shape ``(k,)``.

    Parameters
    ----------
    features : `~gammapy_asid.optical.flux.features.FluxFeatures`
        Features.
    flux : `~torch.Tensor`
        True flux in signal units.
    galaxy : `~torch.Tensor`
        Whether it is one, bool.
    density : `~torch.Tensor`
        Found sources in its image, in the area of a square of the full width at half maximum.
    """

    features: FluxFeatures
    flux: torch.Tensor
    galaxy: torch.Tensor
    density: torch.Tensor

    def __len__(self):
        return len(self.flux)


class FluxSimulator:
    """Draws fitted sources.

    Parameters
    ----------
    images : `~gammapy_asid.optical.simulator.OpticalSimulator`
        Draws images.
    """

    def __init__(self, images):
        self.images = images

    @property
    def bands(self):
        """Bands of what it draws."""
        return self.images.bands

    def digested(self):
        """Name and entries by which folders of work know the simulator."""
        return f"{__name__}.FluxSimulator", {"images": self.images}

    def draw(self, n, seed):
        """Draw sources.

        Parameters
        ----------
        n : int
            Number of images.
        seed : int or tuple of int
            Seed; equal seeds give equal sources.

        Returns
        -------
        examples : `FluxExamples`
            Sources in random order, some hundred in an image.
        """
        simulated = self.images.draw(n, seed)
        rng = np.random.default_rng((*np.atleast_1d(seed).tolist(), 1))
        batch = without_artefacts(simulated, rng)
        found = found_sources(simulated, rng)
        x, y, patch = (torch.from_numpy(v) for v in (found.x, found.y, found.patch))
        fit = flux_fit(batch, x, y, patch)
        features = flux_features(batch, fit, x, y)
        usable = fit.flux.isfinite() & features.inputs.isfinite().all(1) & torch.from_numpy(found.source >= 0)
        rows = _some_of_each(found.patch, usable.numpy(), rng)
        source = torch.from_numpy(found.source[rows])
        number = torch.bincount(patch, minlength=n) / np.prod(batch.shape) * batch.fwhm**2
        return FluxExamples(
            features.select(torch.from_numpy(rows)),
            simulated.flux[source],
            simulated.galaxy[source],
            number[patch[rows]].float(),
        )


def _some_of_each(patch, usable, rng):
    """Indices of usable sources in random order, at most `PER_IMAGE` of an image."""
    rows = rng.permutation(np.flatnonzero(usable))
    order = rows[np.argsort(patch[rows], kind="stable")]
    first = np.searchsorted(patch[order], patch[order])
    return rng.permutation(order[np.arange(len(order)) - first < PER_IMAGE])
