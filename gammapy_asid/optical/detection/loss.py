# Licensed under a 3-clause BSD style license - see LICENSE
"""What the detection network for images learns."""

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from ...learning.targets import detection_loss, target_maps
from ..bands import OPTICAL_BANDS, PIXEL
from .network import COSMIC, TRAIL

__all__ = ["LEARNED", "optical_loss", "optical_targets"]

#: Significance alone, and share in the light at its place, from which a source is marked: fainter ones are
#: noise, and those in the light of others are theirs.
LEARNED, LEARNED_SHARE = 1.5, 0.15

#: Share of marks in the pixels of an image below which its weight grows no more. Images with few sources have
#: as much to teach as crowds, whose entropies are a hundred times as large.
FEWEST = 0.01

#: Weights of the entropies of the masks beside those of the sources; all are means over pixels.
COSMIC_WEIGHT, TRAIL_WEIGHT = 60, 15

#: Share of marks in an image of weight one.
USUAL = 0.03

#: Half-light radius of a Gaussian over its width.
GAUSSIAN_HALF = 1.18


def optical_targets(simulated):
    """Maps to learn of simulated images.

    Parameters
    ----------
    simulated : `~gammapy_asid.optical.simulator.SimulatedImages`
        Images with their truth.

    Returns
    -------
    targets : `~torch.Tensor`
        Shape ``(n, 7, ny, nx)``: those of `~gammapy_asid.learning.targets.target_maps`, pixels of cosmic rays
        and of trails.
    """
    n = len(simulated)
    seen = (simulated.snr >= LEARNED) & (simulated.share >= LEARNED_SHARE)
    maps = target_maps(
        simulated.patch[seen],
        simulated.x[seen],
        simulated.y[seen],
        torch.full((n,), PIXEL),
        n,
        simulated.batch.shape,
        bands=OPTICAL_BANDS,
        width=simulated.width[seen] / GAUSSIAN_HALF * PIXEL,
    )
    return torch.cat([maps, simulated.cosmic[:, None].float(), simulated.trail[:, None].float()], 1)


def optical_loss(output, target, valid):
    """Loss of the sources, of cosmic rays and of trails.

    Parameters
    ----------
    output, target : `~torch.Tensor`
        Output of the network and result of `optical_targets`, shape ``(n, 7, ny, nx)``.
    valid : `~torch.Tensor`
        Pixels with data, bool of shape ``(n, ny, nx)``.

    Returns
    -------
    parts : dict of `~torch.Tensor`
        ``loss`` and its parts.
    """
    marked = target[:, 0].mean((1, 2)) + FEWEST
    parts = detection_loss(output[:, :COSMIC], target[:, :COSMIC], valid.float(), USUAL / marked)
    weight = valid.float() / valid.sum().clamp(min=1)
    for name, i, factor in (("cosmic", COSMIC, COSMIC_WEIGHT), ("trail", TRAIL, TRAIL_WEIGHT)):
        entropy = binary_cross_entropy_with_logits(output[:, i], target[:, i], reduction="none")
        parts[name] = (entropy * weight).sum()
        parts["loss"] = parts["loss"] + factor * parts[name]
    return parts
