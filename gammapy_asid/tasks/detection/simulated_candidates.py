# Licensed under a 3-clause BSD style license - see LICENSE
"""Candidates of a network in simulated patches, and the sources that they claim."""

import numpy as np
import torch

from ...evaluation.matching import match_brightest
from ...evaluation.metrics import purity_recall
from ...learning.peaks import FAINTEST_SCORE, Peaks, find_centres
from ...learning.targets import match_radius
from ...utils.devices import inference
from .network import field_inputs

__all__ = [
    "DETECTABLE",
    "claimed_sources",
    "detected_candidates",
    "network_output",
    "simulated_candidates",
    "validation_figures",
    "visible_sources",
]

# Expected significance from which a true source is one that the data could show.
DETECTABLE = 2.0

# Matches are found on the sphere: patches lie there from this latitude in deg on, near the equator, where
# longitudes shrink by less than half a percent.
SOUTH = -5.0


@inference()
def network_output(network, batch):
    """Network output for fields, shape ``(n, outputs, ny, nx)``, float32 on the CPU.

    Parameters
    ----------
    network : `~gammapy_asid.learning.unet.MultiResolutionUNet`
        Network in evaluation mode.
    batch : `~gammapy_asid.inputs.batch.FieldBatch`
        Fields.
    """
    device = next(network.parameters()).device
    batch = batch.to(device)
    inputs = {k: v.to(memory_format=torch.channels_last) for k, v in field_inputs(network, batch).items()}
    return network(inputs, batch.conditions).float().cpu()


def simulated_candidates(network, patches):
    """Run the network on simulated patches and match its candidates with the truth.

    True sources are those with an expected significance of at least `DETECTABLE`: a fainter one
    near a candidate has not made it.

    Parameters
    ----------
    network : `~gammapy_asid.learning.unet.MultiResolutionUNet`
        Network in evaluation mode.
    patches : list of `~gammapy_asid.simulation.patches.SimulatedPatches`
        Patches with their truth.

    Returns
    -------
    candidates : dict of `~numpy.ndarray`
        ``score``, ``height``, ``sigma`` and ``has_background`` of every candidate, its
        ``offset`` in deg from the source that it claims within the match radius, NaN for none, and the
        ``flux`` of that source.
    n_true : `~numpy.ndarray`
        Number of true sources in fields without and with a background, shape ``(2,)``.
    """
    columns = {name: [] for name in ("score", "height", "sigma", "has_background", "offset", "flux")}
    n_true = np.zeros(2, int)
    for simulated in patches:
        batch = simulated.batch
        output = network_output(network, batch)
        mask, scale, known = batch.field_mask, batch.pixel_size.numpy(), batch.has_background.numpy()
        parts = []
        for i in range(len(batch)):
            found = find_centres(output[i : i + 1], float(scale[i]), mask[i : i + 1], bands=simulated.bands)
            found.field[:] = i
            parts.append(found)
        peaks = Peaks(*(np.concatenate(v) for v in zip(*(vars(p).values() for p in parts), strict=True)))
        true, separation = claimed_sources(simulated, peaks)
        columns["score"].append(peaks.score)
        columns["height"].append(peaks.height)
        columns["sigma"].append(peaks.sigma * scale[peaks.field])
        columns["has_background"].append(known[peaks.field].astype(int))
        columns["offset"].append(separation)
        flux = np.full(len(true), np.nan)
        flux[true >= 0] = simulated.flux.numpy()[true[true >= 0]]
        columns["flux"].append(flux)
        visible = visible_sources(simulated, DETECTABLE)
        # A tensor of one element would be taken for a number
        n_true += np.bincount(known[simulated.patch[visible].numpy()].astype(int), minlength=2)
    return {name: np.concatenate(parts) for name, parts in columns.items()}, n_true


def validation_figures(network, patches):
    """Purity and recall on simulated patches, with and without a background.

    Parameters
    ----------
    network : `~gammapy_asid.learning.unet.MultiResolutionUNet`
        Network in evaluation mode.
    patches : list of `~gammapy_asid.simulation.patches.SimulatedPatches`
        Patches with their truth.

    Returns
    -------
    metrics : dict of float
        ``precision``, ``recall`` at a score of 0.5 and ``recall95`` at a purity of 0.95, each ``_counts`` and
        ``_background``.
    """
    candidates, n_true = simulated_candidates(network, patches)
    metrics = {}
    for known, name in enumerate(("counts", "background")):
        chosen = candidates["has_background"] == known
        if n_true[known] == 0:
            continue
        found = np.isfinite(candidates["offset"][chosen])
        curve = purity_recall(candidates["score"][chosen], found, n_true[known])
        above = candidates["score"][chosen] > 0.5
        metrics[f"precision_{name}"] = float(found[above].mean()) if above.any() else 0.0
        metrics[f"recall_{name}"] = float(found[above].sum() / n_true[known])
        metrics[f"recall95_{name}"] = float(max(curve.recall[curve.purity >= 0.95], default=0.0))
    return metrics


def visible_sources(patches, significance):
    """True sources on valid pixels of an expected significance, bool of shape ``(n_sources,)``.

    Parameters
    ----------
    patches : `~gammapy_asid.simulation.patches.SimulatedPatches`
        Patches with their truth.
    significance : float
        Smallest expected significance.
    """
    mask = patches.batch.field_mask
    column, row = torch.round(patches.x).long(), torch.round(patches.y).long()
    ny, nx = mask.shape[1:]
    inside = (column >= 0) & (column < nx) & (row >= 0) & (row < ny)
    valid = mask[patches.patch, row.clamp(0, ny - 1), column.clamp(0, nx - 1)] > 0
    return inside & valid & (patches.significance >= significance)


def claimed_sources(patches, peaks):
    """Match peaks with the true sources that the data could show.

    Parameters
    ----------
    patches : `~gammapy_asid.simulation.patches.SimulatedPatches`
        Patches with their truth.
    peaks : `~gammapy_asid.learning.peaks.Peaks`
        Peaks, their fields those of the patches.

    Returns
    -------
    true : `~numpy.ndarray`
        Index of the true source that each peak claims, -1 for none, shape ``(n_peaks,)``.
    separation : `~numpy.ndarray`
        Distance to it in deg, NaN for none.
    """
    true = torch.nonzero(visible_sources(patches, DETECTABLE))[:, 0].numpy()
    scale, patch = patches.batch.pixel_size.numpy(), patches.patch.numpy()[true]
    matches = match_brightest(
        peaks.x * scale[peaks.field],
        peaks.y * scale[peaks.field] + SOUTH,
        peaks.score,
        patches.x.numpy()[true] * scale[patch],
        patches.y.numpy()[true] * scale[patch] + SOUTH,
        patches.flux.numpy()[true],
        radius=match_radius(patches.bands, patches.width).numpy()[true],
        pred_group=peaks.field,
        true_group=patch,
    )
    claimed = np.full(len(peaks), -1)
    claimed[matches.is_matched] = true[matches.true_index[matches.is_matched]]
    return claimed, matches.separation


def detected_candidates(model, patches):
    """Candidates of a trained model in patches of one instrument, and what each claims.

    Parameters
    ----------
    model : `~gammapy_asid.tasks.detection.model.DetectionModel`
        Detection model.
    patches : `~gammapy_asid.simulation.patches.SimulatedPatches`
        Patches with their truth, on the CPU.

    Returns
    -------
    rows : dict of `~numpy.ndarray`
        Columns of `~gammapy_asid.learning.peaks.Peaks` with calibrated scores of at least
        `FAINTEST_SCORE`, and ``true``, see `claimed_sources`.
    """
    batch = patches.batch
    output, pixel_size = network_output(model.network, batch), float(batch.pixel_size[0])
    peaks = find_centres(output, pixel_size, batch.field_mask, bands=patches.bands)
    known = batch.has_background.numpy()[peaks.field]
    for value in (False, True):
        here = known == value
        peaks.score[here] = model.card.score(peaks.score[here], peaks.height[here], value)
    peaks = peaks.select(peaks.score >= FAINTEST_SCORE)
    return vars(peaks) | {"true": claimed_sources(patches, peaks)[0]}
