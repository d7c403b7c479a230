# Licensed under a 3-clause BSD style license - see LICENSE
"""Separation of neighbouring sources: the network beside Gammapy's TS map and a matched filter.

Pairs of sources on high-latitude emission, each at least 3 deg from the next pair. The fainter source of a
pair has 30 expected counts in one band, and the 68 % containment radius of that band is the unit of distance.
"""

from itertools import product

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.stats import norm

from gammapy_asid.evaluation import binomial_interval
from gammapy_asid.inputs import LAT_BANDS, cube_from_arrays
from gammapy_asid.inputs.batch import field_batch
from gammapy_asid.inputs.psf import psf_tables
from gammapy_asid.learning.peaks import FAINTEST_SCORE
from gammapy_asid.tasks.detection.doubles import split_peaks
from gammapy_asid.tasks.detection.model import DetectionModel
from gammapy_asid.tasks.measurement.fitted_sources import fit_batch
from gammapy_asid.tasks.measurement.model import SourceEnsemble

from ..common import Parts, arguments, rows_to_markdown, write
from ..skies.open_skies import batch_peaks, load_bank
from ..skies.pairs import INDEX, PIXEL_SIZE, Pairs, PairSimulator
from .sky235 import CLASSICAL

__all__ = ["is_separated"]

NEEDS = "data, hours"

#: Bands: 2-7, 7-20 and 20-1000 GeV.
BANDS = (3, 4, 5)
RATIOS = (1, 3, 10)
DISTANCES = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0)
#: Points of the classical methods, of which the TS map is slow: band, flux ratio, distance.
CLASSICAL_POINTS = tuple(
    (band, ratio, distance)
    for band, ratio in ((4, 1), (4, 3), (4, 10), (3, 1), (5, 1))
    for distance in (0.75, 1.0, 1.5, 2.0, 3.0)
)
STYLES = {
    "network": "o-",
    "counts only": "^:",
    "TS map": "x:",
    "TS map from the band on": "s--",
    "matched filter": "+:",
    "matched filter from the band on": "d--",
}
METHODS = (*STYLES, "photons")
#: Largest offset of a candidate from its source in deg; half the distance where that is less.
RADIUS = 0.3
#: Lowest score, and lowest significance of a peak of the TS map and of the matched filter.
THRESHOLD, MIN_SQRT_TS = 0.5, 5.0


def is_separated(x, y, field, pairs, radius):
    """Pairs of which each source has a candidate of its own.

    Parameters
    ----------
    x, y, field : array-like
        Positions in pixels and fields of the candidates.
    pairs : `Pairs`
        Fields.
    radius : float
        Largest offset in pixels; not more than half the distance, so that no candidate serves both.

    Returns
    -------
    separated : `~numpy.ndarray`
        Bool, shape ``(n_fields, 4)``.
    """
    near = np.hypot(x - pairs.x[field].T, y - pairs.y[field].T).T < radius
    found = np.zeros(pairs.x.shape, bool)
    np.logical_or.at(found, field, near)
    return found.all(-1)


@torch.inference_mode()
def network_candidates(model, ensemble, simulator, pairs, known=True, refine=True):
    """Positions in pixels, fields and scores of a network's candidates."""
    cubes = [
        cube_from_arrays(counts, simulator.geom, simulator.response, background if known else None)
        for counts, background in zip(pairs.counts, pairs.background, strict=True)
    ]
    batch = field_batch(cubes)
    peaks = batch_peaks(model, batch)
    if refine:
        tables = psf_tables(simulator.response)
        peaks, fit = split_peaks(peaks, batch, tables)
        near = peaks.score >= FAINTEST_SCORE
        rows = (getattr(peaks, name)[near] for name in ("field", "x", "y", "score", "sigma"))
        refined = ensemble.positions(fit_batch(batch, simulator.response, *rows, tables=tables, fit=fit))
        peaks.x[near], peaks.y[near] = refined.x, refined.y
    return peaks.x, peaks.y, peaks.field, peaks.score


def classical_peaks(method, simulator, pairs, first=0):
    """Positions in pixels, fields and significances of the peaks of a classical method, from a band on."""
    parts = []
    for i in range(len(pairs.counts)):
        dataset = simulator.dataset(pairs, i)
        peaks = CLASSICAL[method](
            dataset.slice_by_energy(energy_min=LAT_BANDS.edges[first] * u.GeV) if first else dataset,
            kernel_width="3 deg",
            threshold=MIN_SQRT_TS,
            min_distance="0.1 deg",
            index=INDEX,
        )
        x, y = simulator.geom.coord_to_pix({"lon": peaks["glon"], "lat": peaks["glat"]})
        parts.append((x, y, np.full(len(peaks), i), np.asarray(peaks["score"])))
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def figure(results, simulator):
    """Share of separated pairs against the distance."""
    fig, axes = plt.subplots(1, len(BANDS), figsize=(14, 5.2), layout="constrained", sharey=True)
    for ax, band in zip(axes, BANDS, strict=True):
        for color, ratio in zip(("C0", "C1", "C2"), RATIOS, strict=True):
            for method, style in STYLES.items():
                rows = [r for r in results if (r["band"], r["ratio"], r["method"]) == (band, ratio, method)]
                if not rows or (method in ("counts only", *CLASSICAL) and ratio != 1):
                    continue
                number = [[r[key] for r in rows] for key in ("separated", "pairs")]
                share, low, high = binomial_interval(*number)
                ax.errorbar(
                    [r["distance"] for r in rows],
                    share,
                    yerr=np.maximum([share - low, high - share], 0),
                    fmt=style,
                    color=color,
                    markersize=4,
                    capsize=2,
                    label=f"{method}, 1:{ratio}",
                    markerfacecolor="none" if method != "network" else color,
                )
        rows = [r for r in results if (r["band"], r["ratio"], r["method"]) == (band, 1, "photons")]
        ax.plot([r["distance"] for r in rows], [r["share"] for r in rows], "k-.", lw=1, label="photons, 1:1")
        edges = LAT_BANDS.edges[band : band + 2]
        ax.set_title(
            f"{edges[0]:g}-{edges[1]:g} GeV: unit {simulator.radius[band]:.3f} deg", fontsize="medium"
        )
        ax.set(xlabel="Distance in 68 % radii of the band", ylim=(-0.03, 1.03), xlim=(0.3, 4.2))
        ax.axhline(0.5, color="0.7", lw=0.8)
        ax.axvline(1.0, color="0.7", lw=0.8)
    axes[0].set_ylabel("Share of pairs separated")
    # The second panel has all the methods
    fig.legend(*axes[1].get_legend_handles_labels(), fontsize="small", loc="outside lower center", ncols=5)
    return fig


def to_markdown(results, simulator):
    """Table: a row for each band, flux ratio and method, a column for each distance."""
    lines = []
    for band in BANDS:
        edges = LAT_BANDS.edges[band : band + 2]
        unit = f"{edges[0]:g}-{edges[1]:g} GeV, {simulator.radius[band]:.3f}"
        for ratio in RATIOS:
            for method in METHODS:
                rows = [r for r in results if (r["band"], r["ratio"], r["method"]) == (band, ratio, method)]
                if not rows:
                    continue
                share = {r["distance"]: r["share"] for r in rows}
                cells = [f"{share[d]:.2f}" if d in share else "-" for d in DISTANCES]
                number = str(rows[0]["pairs"]) if method != "photons" else "-"
                flux = f"{simulator.flux(band):.1e}"
                lines.append([unit, flux, f"1:{ratio}", method, number, *cells])
    header = ["band, its 68 % radius (deg)", "S1 of the fainter", "fluxes", "method", "pairs a point"]
    return rows_to_markdown([*header, *(f"{d:g}" for d in DISTANCES)], lines)


def one_point(model, ensemble, simulator, band, ratio, distance, fields, ts_map_fields):
    """Share of the pairs that each method separates, and what the photons allow: a row of each.

    Without a model the network is left out.
    """
    rng = np.random.default_rng([band, ratio, int(100 * distance)])
    pairs = simulator.draw(rng, fields, band, ratio, distance)
    radius = min(RADIUS / PIXEL_SIZE, distance * simulator.radius[band] / PIXEL_SIZE / 2)
    network, found = [model, ensemble, simulator, pairs], {}
    if model is not None:
        found["network"] = pairs, THRESHOLD, network_candidates(*network)
        found["counts only"] = pairs, THRESHOLD, network_candidates(*network, known=False)
    for method in CLASSICAL if (band, ratio, distance) in CLASSICAL_POINTS else ():
        used = pairs
        if method == "TS map":
            used = Pairs(*(v[:ts_map_fields] for v in (pairs.counts, pairs.background, pairs.x, pairs.y)))
        # Without the low energies, whose wide point spread function hides what the band can separate
        for name, first in ((method, 0), (f"{method} from the band on", band)):
            found[name] = used, MIN_SQRT_TS, classical_peaks(method, simulator, used, first)
    point, rows = {"band": band, "ratio": ratio, "distance": distance}, []
    for method, (used, threshold, (x, y, field, score)) in found.items():
        kept = score >= threshold
        own = is_separated(x[kept], y[kept], field[kept], used, radius)
        numbers = {"separated": int(own.sum()), "pairs": own.size, "share": float(own.mean())}
        rows.append(point | {"method": method} | numbers)
    # Observed roots of likelihood ratios scatter by one around the expected one
    expected = float(np.sqrt(simulator.two_or_one(band, ratio, distance)))
    share = float(norm.cdf(expected - 4))
    return [*rows, point | {"method": "photons", "share": share, "sqrt_ts": expected}]


def parser():
    """Arguments."""
    own = arguments(__doc__, "neighbours", data=True, model="lat", bank=None)
    own.add_argument("--fields", type=int, default=32, help="fields of four pairs at each point")
    own.add_argument("--ts-map-fields", type=int, default=8, help="how many of them for the TS map")
    own.add_argument("--classical", action="store_true", help="measure the classical methods alone")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    torch.set_num_threads(1)
    simulator = PairSimulator(load_bank(args.bank, args.data), args.data)
    model = ensemble = None
    if not args.classical:
        model, ensemble = DetectionModel.load(args.model), SourceEnsemble.load(args.model, "position")
    numbers = {"fields": args.fields, "ts_map_fields": args.ts_map_fields}
    parts, results = Parts(args.output, model=None if args.classical else args.model, **numbers), []
    points = CLASSICAL_POINTS if args.classical else product(BANDS, RATIOS, DISTANCES)
    for band, ratio, distance in points:
        results += parts(
            f"{band}, {ratio}, {distance}",
            lambda point=(band, ratio, distance): one_point(model, ensemble, simulator, *point, **numbers),
        )
    write(args.output, results, to_markdown(results, simulator), figure(results, simulator))


if __name__ == "__main__":
    main()
