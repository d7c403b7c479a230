# Licensed under a 3-clause BSD style license - see LICENSE
"""Fluxes, latitudes and offsets of the sources found among all sources of the simulated sky 235."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from astropy.table import Table

from gammapy_asid.evaluation import binomial_interval, plot_fraction, plot_offset, purity_recall
from gammapy_asid.tasks.detection.model import DetectionModel
from gammapy_asid.tasks.measurement.model import SourceEnsemble

from ..common import arguments, kept, rows_to_markdown, write
from ..skies.sky235 import load_sky235
from ..skies.sky235_patches import sky_response
from .scoring import match
from .sky235 import detect_patches

__all__ = ["at_purity", "predictions"]

NEEDS = "data, half an hour"

EDGES = np.logspace(-11.5, -7, 28)
PURITY = 0.95
#: Purity of the published network with all its predictions, at which it finds 56 %.
LOW_PURITY = 0.878
LATITUDES = {"|b| > 20 deg": (20, 90), "5 deg < |b| < 20 deg": (5, 20), "|b| < 5 deg": (0, 5)}


def predictions(sky, folder, name, data=True, model="lat"):
    """Predictions of a model for one observation of the sky, kept in a file.

    Parameters
    ----------
    sky : `~benchmarks.skies.sky235.Sky`
        The sky.
    folder : path
        Folder of the files.
    name : {"true", "none"}
        Background that the model is given.
    data : path, optional
        Data folder.
    model : str or path
        Model.

    Returns
    -------
    table : `~astropy.table.Table`
        Columns ``patch``, ``lon``, ``lat`` and ``score``.
    """

    def detect():
        network, ensemble = DetectionModel.load(model), SourceEnsemble.load(model, "position")
        background = sky.background() if name == "true" else None
        response = sky_response(data, network.bands)
        return detect_patches(network, ensemble, sky, sky.counts(0), background, response)

    return kept(Path(folder) / f"sky235_{name}.fits", detect, Table.write, Table.read)


def at_purity(sky, table, purity=PURITY):
    """Matches, whether each true source is found, and which predictions are kept at a purity."""
    matches, score = match(sky, table), np.asarray(table["score"])
    threshold = purity_recall(score, matches.is_matched, matches.n_true).threshold_at_purity(purity)
    return matches, matches.true_score(score) >= threshold, score >= threshold


def figure(sky, table):
    """Fluxes of all and of found sources, completeness and purity by latitude, offsets against flux."""
    matches, found, kept = at_purity(sky, table)
    fig, axes = plt.subplots(2, 2, figsize=(11, 8.5), layout="constrained")
    ax = axes[0, 0]
    ax.hist(sky.flux, EDGES, color="0.8", label=f"all sources: {len(sky.flux)}")
    low = at_purity(sky, table, LOW_PURITY)[1]
    ax.hist(sky.flux[low], EDGES, histtype="step", color="C1", label=f"purity {LOW_PURITY:g}: {low.sum()}")
    ax.hist(sky.flux[found], EDGES, histtype="step", color="C0", label=f"purity {PURITY:g}: {found.sum()}")
    ax.set(xscale="log", xlabel="Flux 1-100 GeV [cm$^{-2}$ s$^{-1}$]", ylabel="Sources")
    ax.legend()

    latitude = np.abs(np.asarray(table["lat"]))
    score, real = np.asarray(table["score"]), matches.is_matched
    for label, (first, last) in LATITUDES.items():
        own = (np.abs(sky.lat) >= first) & (np.abs(sky.lat) < last)
        plot_fraction(sky.flux[own], found[own], np.logspace(-11, -8, 13), ax=axes[0, 1], label=label)
        near = (latitude >= first) & (latitude < last)
        curve = purity_recall(score[near], real[near], own.sum())
        axes[1, 0].plot(curve.recall, curve.purity, label=label)
        mark = kept & near
        axes[1, 0].plot(real[mark].sum() / own.sum(), real[mark].mean(), "ko", ms=4)
    axes[1, 0].plot([], [], "ko", ms=4, label=f"at purity {PURITY:g} of the whole sky")
    axes[0, 1].set_ylabel(f"Completeness at purity {PURITY:g}")
    axes[0, 1].legend(loc="lower right", fontsize="small")
    axes[1, 0].set(xlabel="Recall, all fluxes", ylabel="Purity", xlim=(0.1, 0.9), ylim=(0.6, 1.01))
    axes[1, 0].legend(loc="lower left")
    source = np.flatnonzero(found)
    offset = matches.separation[matches.pred_index[source]]
    plot_offset(sky.flux[source], offset, EDGES[4:25:2], ax=axes[1, 1])
    share = 100 * np.mean(offset < 0.15)
    axes[1, 1].axhline(0.15, color="C3", lw=1, ls="--", label=f"0.15 deg: {share:.1f} % below")
    axes[1, 1].legend(loc="lower left")
    return fig


def numbers(sky, tables):
    """Share of all sources that is found, by case and purity, and the offsets of those found.

    Parameters
    ----------
    sky : `~benchmarks.skies.sky235.Sky`
        The sky.
    tables : dict of `~astropy.table.Table`
        Predictions by case.

    Returns
    -------
    rows : list of dict
        Numbers.
    """
    rows = []
    for case, table in tables.items():
        for purity in (PURITY, 0.9, LOW_PURITY):
            matches, found, kept = at_purity(sky, table, purity)
            share, low, high = (float(v[0]) for v in binomial_interval(found.sum(), len(found)))
            offset = matches.separation[kept & matches.is_matched]
            row = {"case": case, "purity": purity, "found": int(found.sum()), "all": len(found)}
            row |= {"share": share, "low": low, "high": high, "within": float(np.mean(offset < 0.15))}
            for label, (first, last) in LATITUDES.items():
                own = (np.abs(sky.lat) >= first) & (np.abs(sky.lat) < last)
                latitude = np.abs(np.asarray(table["lat"]))
                near = kept & (latitude >= first) & (latitude < last)
                row[label] = float(matches.is_matched[near].mean()), float(found[own].mean())
            rows.append(row)
    return rows


def to_markdown(rows):
    """Table of the numbers."""
    lines = []
    for row in rows:
        share = f"{100 * row['share']:.1f} ({100 * row['low']:.1f}-{100 * row['high']:.1f}) %"
        cells = [row["case"], f"{row['purity']:g}", f"{row['found']} of {row['all']}", share]
        cells += [f"{row[label][0]:.3f}/{row[label][1]:.3f}" for label in LATITUDES]
        lines.append([*cells, f"{100 * row['within']:.1f} %"])
    header = ["case", "purity", "found", "share", *(f"P/R {label}" for label in LATITUDES)]
    names = [name.replace("|b|", "abs(b)") for name in header]
    return rows_to_markdown([*names, "within 0.15 deg"], lines)


def parser():
    """Arguments."""
    return arguments(__doc__, "found_sources", data=True, model="lat")


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    torch.set_num_threads(1)
    sky, folder = load_sky235(args.data), Path(args.output).parent
    tables = {
        f"background {name}": predictions(sky, folder, name, args.data, args.model)
        for name in ("true", "none")
    }
    rows = numbers(sky, tables | {"published network": sky.published})
    write(args.output, rows, to_markdown(rows), figure(sky, tables["background true"]))


if __name__ == "__main__":
    main()
