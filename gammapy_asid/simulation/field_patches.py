# Licensed under a 3-clause BSD style license - see LICENSE
"""What simulators share whose patches are cut from fields and hold extended sources among the points."""

import numpy as np
import torch

from ..stats.known_sky import MIN_BACKGROUND
from .extended import ExtendedSources
from .patch_simulator import PatchSimulator

__all__ = ["FieldSimulator", "image_significance"]

# Largest axis ratio of Gaussians: that of most extended sources of the H.E.S.S. survey of the plane.
ELONGATION = 2.0

# Relative error of the flux of an extended source in a fit, whose shape is never quite true.
SHAPE_ERROR = 0.1


class FieldSimulator(PatchSimulator):
    """Base of the simulators with points and extended sources on the background of fields.

    Parameters
    ----------
    responses, size, background_share, weights
        See `~gammapy_asid.simulation.patch_simulator.PatchSimulator`.
    """

    def __init__(self, responses, size, background_share, weights=None):
        super().__init__(responses, size, background_share, weights)
        self.shapes = ExtendedSources(self.bank, size)

    def _extended_images(self, rng, instrument, sources):
        """Images of extended sources of random axis ratio and angle, one by one, per band."""
        n = len(sources.patch)
        elongation = torch.tensor(np.exp(rng.uniform(0, np.log(ELONGATION), n)), dtype=torch.float32)
        angle = torch.tensor(rng.uniform(0, np.pi, n), dtype=torch.float32)
        return self.shapes.images(
            instrument[sources.patch],
            sources.kind,
            sources.x,
            sources.y,
            sources.pixel_width,
            elongation,
            angle,
            sources.counts.sum(-1),
        )

    def _add_sources(self, instrument, sources, wide, extended, emission, reach):
        """Expected counts of the emission with points and with extended sources, whose images are given.

        `wide` tells which sources are extended, `reach` is the exposure over its mean, zero where masked.
        """
        images = self.images(instrument, sources.select(~wide))
        images = _added(images, sources.patch[wide], extended)
        return [t + r * i for t, r, i in zip(emission, reach, images, strict=True)]

    def _add_modelled(self, instrument, sources, known, wide, extended, prediction, reach, generator):
        """Predicted counts with those sources that a user has modelled, slightly wrong."""
        if not known.any():
            return prediction
        modelled = self.modelled(instrument, sources.select(known & ~wide), generator)
        factor = 1 + SHAPE_ERROR * torch.randn(int(wide.sum()), generator=generator)
        factor = (factor * known[wide])[:, None, None]
        modelled = _added(modelled, sources.patch[wide], [factor * e for e in extended])
        return [p + r * m for p, r, m in zip(prediction, reach, modelled, strict=True)]


def _added(images, patch, extended):
    """Images of patches with those of single sources."""
    return [i.index_add(0, patch, e) for i, e in zip(images, extended, strict=True)]


def image_significance(images, patch, reach, emission):
    """Expected significance of sources of known shape, each alone on the emission.

    Parameters
    ----------
    images : list of `~torch.Tensor`
        Expected counts of the sources per band, shape ``(n_sources, ny, nx)``.
    patch : `~torch.Tensor`
        Patch of each, shape ``(n_sources,)``.
    reach, emission : list of `~torch.Tensor`
        Relative exposure and expected counts of the emission, shape ``(n_patches, ny, nx)``.

    Returns
    -------
    significance : `~torch.Tensor`
        Standard deviations, shape ``(n_sources,)``.
    """
    squared = torch.zeros(len(patch), device=patch.device)
    for image, r, e in zip(images, reach, emission, strict=True):
        squared += ((r[patch] * image) ** 2 / e[patch].clamp(min=MIN_BACKGROUND)).sum((1, 2))
    return torch.sqrt(squared)
