# Licensed under a 3-clause BSD style license - see LICENSE
"""Fitted sources of simulated images with their true flux: what the ensemble learns from."""

from dataclasses import dataclass

import numpy as np
import torch

from ...utils.tensor_rows import TensorRows
from ..batch import OVERSAMPLING
from .detected_sources import detected_sources
from .features import FluxFeatures, flux_features, flux_fit
from .found_sources import found_sources, without_artefacts
from .simulated_fields import prepared_image

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
        True flux in signal units, on the scale of a point spread function that has all of its light in the
        square of `~gammapy_asid.optical.batch.ImageBatch`: that of the fit, and of zero points made with it.
    galaxy : `~torch.Tensor`
        Whether it is one, bool.
    image : `~torch.Tensor`
        Number of its image.
    """

    features: FluxFeatures
    flux: torch.Tensor
    galaxy: torch.Tensor
    image: torch.Tensor

    def __len__(self):
        return len(self.flux)


class FluxSimulator:
    """Draws fitted sources.

    Parameters
    ----------
    images : `~gammapy_asid.optical.simulator.OpticalSimulator`
        Draws images.
    detector : `~gammapy_asid.optical.detection.model.OpticalDetectionModel`, optional
        Finds the sources of `detected` of the images; in the others, or without, they are drawn as a detector
        might find them: lists of users come from many.
    detected : float
        Share of the draws whose sources it finds.
    """

    def __init__(self, images, detector=None, detected=0.75):
        self.images, self.detector, self.detected = images, detector, detected

    @property
    def bands(self):
        """Bands of what it draws."""
        return self.images.bands

    def digested(self):
        """Name and entries by which folders of work know the simulator."""
        card = None if self.detector is None else self.detector.card.sha256
        settings = {"images": self.images, "detector": card, "detected": self.detected}
        return f"{__name__}.FluxSimulator", settings

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
        seed = np.atleast_1d(seed).tolist()
        rng = np.random.default_rng((*seed, n, 1))
        batch = without_artefacts(simulated, rng)
        drawn = found_sources(simulated, rng)
        parts = []
        for number in range(n):
            rng = np.random.default_rng((*seed, number, 2))
            prepared = prepared_image(simulated, number, batch.valid[number].numpy(), rng)
            if prepared is not None:
                found = self._found(simulated, number, prepared, drawn, rng)
                parts.append(_examples(simulated, number, prepared, *found, rng))
        return FluxExamples.cat(parts)

    def _found(self, simulated, number, prepared, drawn, rng):
        """Positions of the sources of an image, and which true ones these are, -1 for none."""
        if self.detector is None or rng.random() > self.detected:
            own = drawn.patch == number
            return drawn.x[own], drawn.y[own], drawn.source[own]
        own = np.flatnonzero(simulated.patch.numpy() == number)
        truth = tuple(getattr(simulated, name).numpy()[own] for name in ("x", "y", "snr"))
        x, y, source = detected_sources(self.detector, prepared, truth, rng)
        return x, y, np.where(source >= 0, own[source], -1)


def _examples(simulated, number, prepared, x, y, source, rng):
    """Some fitted sources of an image."""
    whole = tuple(slice(0, n) for n in prepared.shape)
    batch, noise = prepared.batch(*whole), prepared.sky.noise.cut(*whole)
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    fit = flux_fit(batch, x, y)
    features = flux_features(batch, fit, x, y)
    usable = fit.flux.isfinite() & features.inputs.isfinite().all(1) & torch.from_numpy(source >= 0)
    rows = torch.from_numpy(rng.permutation(np.flatnonzero(usable))[:PER_IMAGE])
    source = torch.from_numpy(source)[rows]
    column, row = (v[rows].round().long().clamp(0, n - 1) for v, n in zip((x, y), noise.T.shape, strict=True))
    within = simulated.true_psf[number].sum() / OVERSAMPLING**2
    return FluxExamples(
        features.select(rows),
        simulated.flux[source] * within / torch.from_numpy(noise)[row, column],
        simulated.galaxy[source],
        torch.full((len(rows),), number),
    )
