# Licensed under a 3-clause BSD style license - see LICENSE
"""Picture of patches that are wrong, with the true and false candidates of a detector."""

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import PowerNorm

from gammapy_asid.simulation.faulty_patches import FAULTS
from gammapy_asid.stats.known_sky import MIN_BACKGROUND
from gammapy_asid.stats.significance import score_terms, signed_significance
from gammapy_asid.tasks.detection.simulated_candidates import detected_candidates

__all__ = ["figure"]

#: Instrument of the recipe, patches of each fault of which that with most false candidates above SCORE is
#: shown, and the band, 2-7 GeV.
INSTRUMENT, N_TRIED, SCORE, BAND = 0, 24, 0.5, 3
TITLES = {
    "none": "as in training",
    "gas": "gas not predicted",
    "emission": "wrong emission",
    "masks": "ragged mask",
    "bright": "wrong PSF or model",
    "extended": "extended source",
}


def figure(model, simulator, seed):
    """One row a fault: counts, prediction and significance of 2-7 GeV with candidates.

    Parameters
    ----------
    model : `~gammapy_asid.tasks.detection.model.DetectionModel`
        Detector.
    simulator : `~gammapy_asid.simulation.faulty_patches.FaultyLatSimulator`
        Simulator.
    seed : int
        Seed.

    Returns
    -------
    figure : `~matplotlib.figure.Figure`
        Picture.
    """
    fig, axes = plt.subplots(len(FAULTS), 4, figsize=(12.5, 3 * len(FAULTS)), layout="constrained")
    for row, fault in zip(axes, FAULTS, strict=True):
        simulator.shares = np.array([name == fault for name in FAULTS], float)
        patches = simulator.draw(N_TRIED, (seed, 99), INSTRUMENT)
        rows = detected_candidates(model, patches)
        false = (rows["true"] < 0) & (rows["score"] > SCORE)
        patch = int(np.bincount(rows["field"][false], minlength=N_TRIED).argmax())
        _row(row, patches, rows, patch)
        row[0].set_ylabel(TITLES[fault])
    for ax, title in zip(
        axes[0], ("counts", "prediction", "significance", "expected over predicted"), strict=True
    ):
        ax.set_title(title)
    return fig


def _row(axes, patches, rows, patch):
    """Images of one patch and its candidates."""
    batch = patches.batch
    counts, known, mask = (
        getattr(batch, name)[BAND][patch, None] for name in ("counts", "background", "mask")
    )
    kernels = batch.kernels[patch, None, BAND]
    terms = score_terms(counts, known.clamp(min=MIN_BACKGROUND), mask, torch.ones_like(mask), kernels)
    ratio = patches.expected[BAND][patch] / known[0].clamp(min=1e-3)
    norm = PowerNorm(0.4, 0, float(counts.max()))
    pictures = [(counts[0], "inferno", norm), (known[0], "inferno", norm)]
    pictures.append((signed_significance(*terms)[0], "RdBu_r", plt.Normalize(-6, 6)))
    pictures.append((ratio, "RdBu_r", plt.Normalize(0, 2)))
    own = (rows["field"] == patch) & (rows["score"] > 0.1)
    true = rows["true"][own] >= 0
    for ax, (image, cmap, scale) in zip(axes, pictures, strict=True):
        image = np.where(mask[0] > 0, image, np.nan)
        drawn = ax.imshow(image, cmap=cmap, norm=scale, origin="lower")
        plt.colorbar(drawn, ax=ax, shrink=0.8)
        ax.set(xticks=[], yticks=[], facecolor="0.8")
        for chosen, color, marker in ((true, "lime", "o"), (~true, "cyan", "s")):
            size = 20 + 80 * rows["score"][own][chosen]
            place = rows["x"][own][chosen], rows["y"][own][chosen]
            ax.scatter(*place, s=size, marker=marker, facecolor="none", edgecolor=color, lw=1.2)
