# Licensed under a 3-clause BSD style license - see LICENSE
"""Variability of the simulated classes beside that of 4FGL-DR4.

Each source of the catalogue is simulated with its own mean flux and errors: what differs is the light curve.
"""

from dataclasses import asdict
from pathlib import Path

import numpy as np
from astropy.coordinates import SkyCoord, match_coordinates_sky
from matplotlib.figure import Figure
from scipy.stats import chi2, ks_2samp

from gammapy_asid.evaluation.metrics import binomial_interval
from gammapy_asid.simulation.variability import VARIABILITY
from gammapy_asid.stats.variability import fractional_variability

from ..common import arguments, rows_to_markdown, write
from .light_curves import fit_class, mock, read_light_curves

NEEDS = "the catalogues gll_psc_v35.fit and gll_psc_v20.fit of fermipy; four minutes with --fit"

#: Classes of the tables and pictures, by those of the simulation.
GROUPS = {"FSRQ": ("fsrq",), "BL Lac": ("bll",), "pulsar": ("psr",), "PWN, SPP, SNR": ("pwn", "snr")}
#: Of steady sources this share has an index below that of variable ones: 27.69 with 14 bins, 30.58 with 16.
STEADY = 0.99
#: Sources of two catalogues less far apart, in deg, are one.
SAME = 0.3
#: Mean significance of a bin of sources whose yearly scatter is compared.
CLEAR = 2.5
#: Index of bins of two months of sources whose memory is compared: far above that of steady sources.
CLEAR_SHORT = 110
#: Mock catalogues.
REPEAT = 20
#: Lags in bins of two months.
LAGS = (1, 2, 3, 4, 6, 9, 12, 18, 24, 36)


def parser():
    """The program's arguments."""
    result = arguments(__doc__, "variability", seed=1)
    result.add_argument("--catalog", type=Path, default=Path("gll_psc_v35.fit"), help="4FGL-DR4, 14 years")
    result.add_argument("--two-months", type=Path, default=Path("gll_psc_v20.fit"), help="4FGL, 48 bins")
    result.add_argument("--later", type=Path, help="16-year list, for a test on sources not fitted")
    result.add_argument("--fit", action="store_true", help="fit the blazars anew, and print what they give")
    return result


def variable_index(curves):
    """Index that variable sources exceed."""
    return chi2.ppf(STEADY, curves.flux.shape[1] - 1)


def newly_classed(later, earlier):
    """Sources of a later catalogue whose class an earlier one does not know."""
    positions = (SkyCoord(*own.positions.T, unit="deg", frame="galactic") for own in (later, earlier))
    nearest, distance, _ = match_coordinates_sky(*positions)
    same = (distance.deg < SAME) & (earlier.source_class[nearest] == later.source_class)
    return later.select(~same)


def compare(curves, drawn):
    """Figures of a class in the catalogue and in mock catalogues.

    Parameters
    ----------
    curves, drawn : `LightCurves`
        Yearly light curves, measured and simulated ones.
    """
    result, limit = {"n": len(curves)}, variable_index(curves)
    clear = {"4FGL": curves.significance > CLEAR}
    clear["simulated"] = np.tile(clear["4FGL"], len(drawn) // len(curves))
    scatter = {}
    for name, own in (("4FGL", curves), ("simulated", drawn)):
        number = int(np.sum(own.index > limit))
        share, low, high = (float(value[0]) for value in binomial_interval(number, len(own)))
        scatter[name] = fractional_variability(own.flux, own.error)[0][clear[name]]
        result[name] = {
            "share": share,
            "interval": (low, high),
            "index": np.quantile(own.index, (0.16, 0.5, 0.84)).tolist(),
            "scatter": np.quantile(scatter[name], (0.16, 0.5, 0.84)).tolist(),
        }
    result["n_clear"] = len(scatter["4FGL"])
    result["p_index"] = float(ks_2samp(curves.index, drawn.index).pvalue)
    result["p_scatter"] = float(ks_2samp(*scatter.values()).pvalue)
    result["distance_index"] = float(ks_2samp(curves.index, drawn.index).statistic)
    result["distance_scatter"] = float(ks_2samp(*scatter.values()).statistic)
    return result


def structure(curves):
    """Median over sources of the squared differences at `LAGS` over twice the variance, and its error."""
    flux = curves.flux[curves.index > CLEAR_SHORT]
    variance = flux.var(axis=1, ddof=1)
    values = np.array([((flux[:, k:] - flux[:, :-k]) ** 2).mean(axis=1) / (2 * variance) for k in LAGS])
    rng = np.random.default_rng(1)
    rows = rng.integers(0, len(flux), (200, len(flux)))
    return np.median(values, axis=1), np.median(values[:, rows], axis=2).std(axis=1)


def table(results):
    """Figures as a Markdown table."""
    header = ["class", "n", "variable, measured", "simulated", "index 16/50/84 %, measured", "simulated"]
    header += ["n clear", "yearly scatter 16/50/84 %, measured", "simulated"]
    rows = []
    for name, result in results.items():
        shares, indices, scatters = [], [], []
        for side in ("4FGL", "simulated"):
            own = result[side]
            low, high = own["interval"]
            shares.append(f"{own['share']:.3f} ({low:.3f}-{high:.3f})")
            indices.append("/".join(f"{value:.0f}" for value in own["index"]))
            scatters.append("/".join(f"{value:.2f}" for value in own["scatter"]))
        rows.append([name, str(result["n"]), *shares, *indices, str(result["n_clear"]), *scatters])
    return rows_to_markdown(header, rows)


def draw(groups, short):
    """Picture of both distributions over each other.

    Parameters
    ----------
    groups : dict of tuple of `LightCurves`
        Yearly light curves of each class, measured and simulated.
    short : dict of tuple of `LightCurves`
        The same for bins of two months.
    """
    figure = Figure(figsize=(13, 8), layout="constrained")
    axes = figure.subplots(3, len(groups))
    for column, (name, (curves, drawn)) in enumerate(groups.items()):
        top, middle, bottom = axes[:, column]
        edges = np.geomspace(3, max(200, 1.01 * curves.index.max()), 22)
        _compare_histograms(top, curves.index, drawn.index, edges)
        top.axvline(variable_index(curves), color="0.5", ls=":", lw=1)
        top.set(xscale="log", xlabel="variability index", title=f"{name} ({len(curves)})")
        clear = curves.significance > CLEAR
        scatter, simulated = (fractional_variability(own.flux, own.error)[0] for own in (curves, drawn))
        simulated = simulated[np.tile(clear, len(drawn) // len(curves))]
        edges = np.linspace(0, 1.05 * max(0.5, scatter[clear].max()), 20)
        _compare_histograms(middle, scatter[clear], simulated, edges)
        middle.set(xlabel=f"yearly scatter ({clear.sum()} clear)")
        if name not in short:
            bottom.set_axis_off()
            continue
        lag = np.array(LAGS) / 6
        value, error = structure(short[name][0])
        bottom.errorbar(lag, value, error, fmt="o", color="k", ms=4, label="4FGL, bins of two months")
        bottom.plot(lag, structure(short[name][1])[0], color="C1", label="simulated")
        bottom.set(xscale="log", xlabel="lag (years)", ylabel="squared difference / 2 variance")
        bottom.minorticks_off()
        bottom.set(ylim=(0, 1.4), xticks=(0.2, 0.5, 1, 2, 5), xticklabels=("0.2", "0.5", "1", "2", "5"))
        bottom.legend(frameon=False)
    axes[0, 0].set_ylabel("sources")
    axes[1, 0].set_ylabel("sources")
    axes[0, 0].legend(frameon=False)
    return figure


def _compare_histograms(ax, values, simulated, edges):
    number = np.histogram(values.clip(*edges[[0, -1]]), edges)[0]
    expected = np.histogram(simulated.clip(*edges[[0, -1]]), edges)[0] / REPEAT
    ax.stairs(expected, edges, color="C1", fill=True, alpha=0.4, label="simulated")
    center = np.sqrt(edges[1:] * edges[:-1]) if edges[0] > 0 else (edges[1:] + edges[:-1]) / 2
    ax.errorbar(center, number, np.sqrt(number), fmt="o", color="k", ms=3, lw=1, label="4FGL-DR4")


def main(argv=None):
    """Compare, and fit if asked."""
    args = parser().parse_args(argv)
    yearly, short = read_light_curves(args.catalog), read_light_curves(args.two_months, "2")
    results, text = {}, ""
    if args.fit:
        results["fitted"] = {}
        for name in ("fsrq", "bll"):
            fitted, deviance = fit_class(name, [yearly, short], seed=args.seed)
            results["fitted"][name] = asdict(fitted) | {"deviance": deviance}
            text += f"{name}: {fitted}, deviance {deviance:.0f}\n"
    rng = np.random.default_rng(args.seed + 100)
    groups, months = {}, {}
    for name, members in GROUPS.items():
        own = yearly.select(np.isin(yearly.source_class, members))
        groups[name] = own, mock(own, rng, VARIABILITY, REPEAT)
        if "fsrq" in members or "bll" in members:
            own = short.select(np.isin(short.source_class, members))
            months[name] = own, mock(own, rng, VARIABILITY, REPEAT // 4)
    results["classes"] = {name: compare(*pair) for name, pair in groups.items()}
    text += table(results["classes"])
    if args.later is not None:
        results["newly classed"] = compare_later(args.later, yearly, rng)
        text += "\n" + table(results["newly classed"])
    write(args.output, results, text, draw(groups, months))


def compare_later(path, yearly, rng):
    """Figures of sources that a later catalogue is the first to class: no fit has seen them."""
    later, results = newly_classed(read_light_curves(path), yearly), {}
    for name, members in GROUPS.items():
        own = later.select(np.isin(later.source_class, members))
        results[name] = compare(own, mock(own, rng, VARIABILITY, REPEAT))
    return results


if __name__ == "__main__":
    main()
