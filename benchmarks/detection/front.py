# Licensed under a 3-clause BSD style license - see LICENSE
"""Front events against twice the front events: purity and recall on the same simulated sources.

Ten years of LAT FRONT events, and twice that exposure: the same sources on the same emission, each with
photons of its own.
"""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import torch

from gammapy_asid.evaluation import (
    binomial_interval,
    match_brightest,
    plot_fraction,
    plot_purity_recall,
    purity_recall,
)
from gammapy_asid.inputs.psf import psf_tables
from gammapy_asid.learning.peaks import FAINTEST_SCORE
from gammapy_asid.simulation import lat_response
from gammapy_asid.tasks.detection.doubles import split_peaks
from gammapy_asid.tasks.detection.model import DetectionModel
from gammapy_asid.tasks.detection.simulated_candidates import visible_sources
from gammapy_asid.tasks.measurement.fitted_sources import fit_batch
from gammapy_asid.tasks.measurement.model import SourceEnsemble

from ..common import arguments, rows_to_markdown, write
from ..skies.open_skies import batch_peaks, load_bank, open_skies

__all__ = ["compare_exposures"]

NEEDS = "data, an hour"

NAMES = "FRONT (F)", "twice FRONT (2F)"
BATCH = 32
#: Seed of the skies; the training counts from 0.
SEED = 2**35
#: True sources: those that the larger exposure could show, in standard deviations.
DETECTABLE = 2.0
RADIUS = 0.3
EDGES = np.logspace(-11, -8, 13)
PURITY = 0.95


@torch.inference_mode()
def find(model, ensembles, patches, response):
    """Candidates of some patches with refined positions and fluxes.

    Parameters
    ----------
    model : `~gammapy_asid.tasks.detection.model.DetectionModel`
        Model.
    ensembles : dict of `~gammapy_asid.tasks.measurement.model.SourceEnsemble`
        Its ensembles for ``position`` and ``flux``.
    patches : `~gammapy_asid.simulation.patches.SimulatedPatches`
        Patches of one instrument.
    response : `~gammapy_asid.inputs.Response`
        Its response.

    Returns
    -------
    field, x, y, score, flux : `~numpy.ndarray`
        Patch, position in pixels, score and 1-100 GeV flux of each, which is NaN for scores too low
        for a fit.
    """
    batch, tables = patches.batch, psf_tables(response)
    peaks, fit = split_peaks(batch_peaks(model, batch), batch, tables)
    near, flux = peaks.score >= FAINTEST_SCORE, np.full(len(peaks), np.nan)
    rows = (getattr(peaks, name)[near] for name in ("field", "x", "y", "score", "sigma"))
    sources = fit_batch(batch, response, *rows, tables=tables, fit=fit)
    refined = ensembles["position"].positions(sources)
    peaks.x[near], peaks.y[near] = refined.x, refined.y
    flux[near] = ensembles["flux"].fluxes(sources, [(1.0, 100.0)])[0].flux
    return peaks.field, peaks.x, peaks.y, peaks.score, flux


def compare_exposures(model, ensembles, simulator, n_patches, seed=SEED):
    """Candidates of both exposures and their matches with the same true sources.

    Parameters
    ----------
    model, ensembles
        See `find`.
    simulator : `~benchmarks.skies.open_skies.OpenSkies`
        Simulator with the two responses.
    n_patches : int
        Number of patches.
    seed : int
        Seed of the skies.

    Returns
    -------
    result : dict
        ``flux`` of all true sources, ``true``, whether the larger exposure could show it, and by name
        the ``score``, ``flux`` and match (``real``) of the candidates and the score at which each source is
        ``found``.
    """
    truth = {"flux": [], "true": []}
    columns = {name: {key: [] for key in ("score", "flux", "real", "found")} for name in NAMES}
    for i in range(-(-n_patches // BATCH)):
        skies = [simulator.draw(BATCH, (seed, i), instrument) for instrument in (0, 1)]
        # One truth for both: what the larger exposure could show
        true, deep = visible_sources(skies[1], DETECTABLE).numpy(), skies[1]
        inside = visible_sources(deep, 0).numpy()
        truth["flux"].append(deep.flux.numpy()[inside])
        truth["true"].append(true[inside])
        size = float(deep.batch.pixel_size[0])
        for name, patches, response in zip(NAMES, skies, simulator.bank.responses, strict=True):
            field, x, y, score, flux = find(model, ensembles, patches, response)
            matches = match_brightest(
                x * size,
                y * size - 3,
                score,
                *(deep.x.numpy()[true] * size, deep.y.numpy()[true] * size - 3, deep.flux.numpy()[true]),
                radius=RADIUS,
                pred_group=field,
                true_group=deep.patch.numpy()[true],
            )
            found = np.full(len(true), -np.inf)
            found[true] = matches.true_score(score)
            rows = score, flux, matches.is_matched, found[inside]
            for key, row in zip(columns[name], rows, strict=True):
                columns[name][key].append(row)
    join = {name: {key: np.concatenate(v) for key, v in rows.items()} for name, rows in columns.items()}
    return {key: np.concatenate(v) for key, v in truth.items()} | join


def summarise(result):
    """Curves, thresholds and the numbers of the table by exposure."""
    rows, n_true = {}, int(result["true"].sum())
    for name in NAMES:
        own = result[name]
        curve = purity_recall(own["score"], own["real"], n_true)
        threshold = curve.threshold_at_purity(PURITY)
        row = {"threshold": threshold, "average precision": curve.average_precision, "true": n_true}
        for purity in (0.95, 0.9):
            row[f"recall at {purity:g}"] = curve.at_threshold(curve.threshold_at_purity(purity))[1]
        for flux in (1e-10, 2e-10, 4.5e-10):
            cut = result["flux"] > flux
            row[f"S1>{flux:g}"] = float(np.mean(own["found"][cut] >= threshold))
        rows[name] = row
    return rows


def figure(results):
    """Purity against recall, completeness and purity against flux.

    Parameters
    ----------
    results : dict of dict
        Results of `compare_exposures`: with a background, and without.
    """
    fig, axes = plt.subplots(1, 3, figsize=(14, 4.4), layout="constrained")
    curves = {
        f"{name}, {case}": purity_recall(result[name]["score"], result[name]["real"], result["true"].sum())
        for case, result in results.items()
        for name in NAMES
    }
    plot_purity_recall(curves, ax=axes[0]).set(xlim=(0, 0.9), ylim=(0.7, 1.005))
    axes[0].legend(loc="lower left", fontsize="small")
    result = next(iter(results.values()))
    for name, color, marker in zip(NAMES, ("C0", "C1"), ("o", "s"), strict=True):
        own, threshold = result[name], curves[f"{name}, {next(iter(results))}"].threshold_at_purity(PURITY)
        style = {"label": name, "color": color, "marker": marker}
        plot_fraction(result["flux"], own["found"] >= threshold, EDGES, ax=axes[1], **style)
        kept = own["score"] >= threshold
        plot_fraction(own["flux"][kept], own["real"][kept], EDGES, ax=axes[2], **style)
    axes[1].set(
        ylabel=f"Completeness at purity {PURITY:g}", xlabel="True flux 1-100 GeV [cm$^{-2}$ s$^{-1}$]"
    )
    axes[2].set(
        ylabel=f"Purity of the candidates at {PURITY:g} in all",
        xlabel="Estimated flux 1-100 GeV [cm$^{-2}$ s$^{-1}$]",
        ylim=(0.5, 1.02),
    )
    axes[1].legend(loc="upper left")
    axes[2].legend(loc="lower right")
    return fig


def to_markdown(results):
    """Table of the exposures."""
    lines = []
    for case, result in results.items():
        for name, row in summarise(result).items():
            found = round(row["recall at 0.95"] * row["true"])
            _, low, high = (float(v[0]) for v in binomial_interval(found, row["true"]))
            cells = [f"{row[key]:.3f}" for key in ("recall at 0.9", "average precision")]
            cells += [f"{row[key]:.3f}" for key in row if key.startswith("S1")]
            interval = f"{row['recall at 0.95']:.3f} ({low:.3f}-{high:.3f})"
            lines.append([name, case, str(row["true"]), interval, *cells])
    header = ["events", "given", "true sources", "R at P .95", "R at P .90", "average precision"]
    return rows_to_markdown([*header, "R(S1>1e-10) at P .95", "R(>2e-10)", "R(>4.5e-10)"], lines)


def parser():
    """Arguments."""
    own = arguments(__doc__, "front", data=True, model="lat", bank=None)
    own.add_argument("--patches", type=int, default=2048, help="number of patches")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    torch.set_num_threads(1)
    model = DetectionModel.load(args.model)
    ensembles = {kind: SourceEnsemble.load(args.model, kind) for kind in ("position", "flux")}
    caldb, bank = args.data / "lat" / "irfs", load_bank(args.bank, args.data)
    front = lat_response("P8R3_SOURCE_V2", "FRONT", livetime=10.0, caldb=caldb)
    responses = [front, replace(front, exposure=2 * front.exposure)]
    results = {
        case: compare_exposures(model, ensembles, open_skies(responses, bank, share), args.patches)
        for case, share in (("background", 1.0), ("counts only", 0.0))
    }
    summary = {case: summarise(result) for case, result in results.items()}
    write(args.output, summary, to_markdown(results), figure(results))


if __name__ == "__main__":
    main()
