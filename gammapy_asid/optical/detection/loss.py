# Licensed under a 3-clause BSD style license - see LICENSE
"""What the detection network for images learns."""

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, smooth_l1_loss

from ...learning.targets import detection_loss, target_maps
from ..bands import FINER, OPTICAL_BANDS, PIXEL, STEP
from .network import BRIGHTNESS, split_output

__all__ = ["LEARNED", "optical_loss", "optical_targets"]

#: Significance alone, and share in the light at its place, from which a source is marked: fainter ones are
#: noise, and those in the light of others are theirs.
LEARNED, LEARNED_SHARE = 1.5, 0.15

#: Share of marks in the pixels of an image below which its weight grows no more. Images with few sources have
#: as much to teach as crowds, whose entropies are a hundred times as large.
FEWEST = 0.007

#: Weights of the entropies of the masks beside those of the sources; all are means over pixels.
COSMIC_WEIGHT, TRAIL_WEIGHT = 60, 15

#: Weight of the brightness.
BRIGHTNESS_WEIGHT = 0.2

#: Share of marks in an image of weight one.
USUAL = 0.02

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
    maps : `~torch.Tensor`
        Shape ``(n, 6, FINER * ny, FINER * nx)``: those of `~gammapy_asid.learning.targets.target_maps`, and
        the logarithm of the flux.
    masks : `~torch.Tensor`
        Pixels of cosmic rays and of trails, shape ``(n, 2, ny, nx)``.
    """
    n = len(simulated)
    seen = (simulated.snr >= LEARNED) & (simulated.share >= LEARNED_SHARE)
    maps = target_maps(
        simulated.patch[seen],
        *((v[seen] + 0.5) * FINER - 0.5 for v in (simulated.x, simulated.y)),
        torch.full((n,), STEP),
        n,
        tuple(FINER * side for side in simulated.batch.shape),
        bands=OPTICAL_BANDS,
        width=simulated.width[seen] / GAUSSIAN_HALF * PIXEL,
        value=torch.log(simulated.flux[seen]),
    )
    return maps, torch.stack([simulated.cosmic, simulated.trail], 1).float()


def optical_loss(output, target, valid):
    """Loss of the sources, of their brightness, of cosmic rays and of trails.

    Parameters
    ----------
    output : `~torch.Tensor`
        Output of the network.
    target : tuple of `~torch.Tensor`
        Result of `optical_targets`.
    valid : `~torch.Tensor`
        Pixels with data, bool of shape ``(n, ny, nx)``.

    Returns
    -------
    parts : dict of `~torch.Tensor`
        ``loss`` and its parts.
    """
    (maps, masks), (wanted, artefacts) = split_output(output), target
    fine = valid.float().repeat_interleave(FINER, 1).repeat_interleave(FINER, 2)
    marked = wanted[:, 0].mean((1, 2)) + FEWEST
    # Split: the gradient of an indexed map is a full set of maps
    sources, brightness = maps.split((BRIGHTNESS, 2), 1)
    parts = detection_loss(sources, wanted[:, :BRIGHTNESS], fine, USUAL / marked)
    # Likelihood of the brightness, as that of the offsets
    value, log_error = brightness.unbind(1)
    log_error = log_error.clamp(-4, 2)
    pull = (value - wanted[:, BRIGHTNESS]) * torch.exp(-log_error)
    # Far outliers of an untrained network would drown all else
    weight = wanted[:, 4] * fine
    nll = smooth_l1_loss(pull, torch.zeros_like(pull), reduction="none", beta=3.0) * 3 + log_error
    parts["brightness"] = (nll * weight).sum() / weight.sum().clamp(min=1)
    parts["loss"] = parts["loss"] + BRIGHTNESS_WEIGHT * parts["brightness"]
    share = valid.float() / valid.sum().clamp(min=1)
    for i, (name, factor) in enumerate((("cosmic", COSMIC_WEIGHT), ("trail", TRAIL_WEIGHT))):
        entropy = binary_cross_entropy_with_logits(masks[:, i], artefacts[:, i], reduction="none")
        parts[name] = (entropy * share).sum()
        parts["loss"] = parts["loss"] + factor * parts[name]
    return parts
