# Licensed under a 3-clause BSD style license - see LICENSE
"""Sources of 5 to 10 standard deviations gained, and fakes, as the threshold is lowered.

On the simulated sky 235 the significance is the root of the expected TS, in the real field around 3C 279 it
is that of 4FGL-DR4.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from astropy.coordinates import SkyCoord

from gammapy_asid import DLSourceDetector
from gammapy_asid.evaluation import match_brightest

from ..common import arguments, kept, rows_to_markdown, write
from ..skies.catalogs import load_catalog
from ..skies.real_fields import load_field
from ..skies.sky235 import load_sky235, random_patches
from ..skies.sky235_patches import sky_response
from ..skies.sky235_spectra import load_spectra
from .found_sources import predictions
from .real_sky import RADIUS
from .scoring import match
from .sky235 import CLASSICAL, peak_patches
from .sky235_limit import information_limit

__all__ = ["real_field", "simulated_sky"]

NEEDS = "data, an hour"

#: Significances in standard deviations.
FAINT, BRIGHT = (5.0, 10.0), (10.0, np.inf)
THRESHOLDS = np.round(np.arange(0.95, 0.04, -0.05), 2)
#: Significances of the peaks of the classical methods.
SIGNIFICANCES = np.arange(8.0, 1.9, -0.5)
FIELD = "3C 279"
#: Area of a patch of sky 235 in square degrees.
PATCH_AREA = 100.0


def gains(score, matched, true_score, significance, thresholds):
    """Found sources of both ranges and fakes at each threshold.

    Parameters
    ----------
    score : array-like
        Scores of the candidates.
    matched : array-like of bool
        Which of them match a true source of any significance.
    true_score : array-like
        Score at which each true source is found.
    significance : array-like
        Significance of each true source.
    thresholds : array-like
        Thresholds.

    Returns
    -------
    result : dict of list
        ``faint`` and ``bright``: numbers found; ``fakes``; and ``n_faint`` and ``n_bright``, the numbers of
        true sources.
    """
    score, significance = np.asarray(score), np.asarray(significance)
    ranges = {
        name: (significance >= low) & (significance < high)
        for name, (low, high) in (("faint", FAINT), ("bright", BRIGHT))
    }
    result = {
        name: [int(np.sum(own & (true_score >= threshold))) for threshold in thresholds]
        for name, own in ranges.items()
    }
    result["fakes"] = [int(np.sum(~matched & (score >= threshold))) for threshold in thresholds]
    result |= {f"n_{name}": int(own.sum()) for name, own in ranges.items()}
    return result | {"threshold": np.asarray(thresholds, float).tolist()}


def simulated_sky(sky, tables, significance, patches=None):
    """Numbers of `gains` by method on the simulated sky.

    Parameters
    ----------
    sky : `~benchmarks.skies.sky235.Sky`
        The sky.
    tables : dict of `~astropy.table.Table`
        Predictions by method.
    significance : `~numpy.ndarray`
        Root of the expected TS of each true source.
    patches : array-like of int, optional
        Patches that were searched; default is all.

    Returns
    -------
    result : dict of dict
        Numbers by method, with the number of ``patches``.
    """
    result = {}
    patches = np.arange(sky.n_patches) if patches is None else patches
    searched = np.isin(sky.patch, patches)
    for method, table in tables.items():
        table = table[np.isin(table["patch"], patches)]
        matches, score = match(sky, table), np.asarray(table["score"])
        found = matches.true_score(score)[searched]
        steps = SIGNIFICANCES if method in CLASSICAL else THRESHOLDS
        row = gains(score, matches.is_matched, found, significance[searched], steps)
        result[method] = row | {"patches": len(patches)}
    return result


def real_field(model, folder):
    """Numbers of `gains` in the real field, and of matches by chance.

    A candidate is a match within the radius of `benchmarks.detection.real_sky`. Matches by chance are those
    of the candidates mirrored in the field, the mean of three mirrors.

    Parameters
    ----------
    model : str or path
        Model.
    folder : path
        Data folder.

    Returns
    -------
    result : dict of dict
        Numbers by case.
    """
    dataset = load_field(FIELD, folder)
    counts_only = dataset.copy(name="counts")
    counts_only.background = None
    catalog = load_catalog("4FGL-DR4", dataset, folder)
    geom, significance = dataset.counts.geom.to_image(), np.asarray(catalog["signif"])
    detector, result = DLSourceDetector(model=model, threshold=float(THRESHOLDS[-1])), {}
    for case, data in (("background", dataset), ("counts only", counts_only)):
        table = detector.run(data).table
        x, y = geom.coord_to_pix(SkyCoord(table["glon"], table["glat"], frame="galactic"))
        ny, nx = geom.data_shape
        score, rows = np.asarray(table["score"], float), []
        for px, py in ((x, y), (nx - 1 - x, y), (x, ny - 1 - y), (nx - 1 - x, ny - 1 - y)):
            position = geom.pix_to_coord((px, py))
            sky = SkyCoord(*position, frame=geom.frame).galactic
            matches = match_brightest(
                *(sky.l.deg, sky.b.deg, score, catalog["glon"], catalog["glat"], catalog["signif_range"]),
                radius=RADIUS[FIELD],
            )
            row = gains(score, matches.is_matched, matches.true_score(score), significance, THRESHOLDS)
            rows.append(row)
        result[case] = rows[0] | {
            f"chance {name}": np.mean([row[name] for row in rows[1:]], axis=0).tolist()
            for name in ("faint", "bright")
        }
    return result


def figure(whole, some, real):
    """Gains and fakes against the threshold, the methods beside each other, and the real field."""
    fig, axes = plt.subplots(1, 3, figsize=(14.5, 4.6), layout="constrained")
    ax = axes[0]
    for method, color in (("background true", "C0"), ("background none", "C1")):
        row = whole[method]
        share = np.array(row["faint"]) / row["n_faint"]
        ax.plot(row["threshold"], share, color=color, label=f"found, {method}")
        fakes = np.array(row["fakes"]) / (np.array(row["fakes"]) + row["faint"] + np.array(row["bright"]))
        ax.plot(row["threshold"], fakes, "--", color=color, label=f"fakes, {method}")
    ax.set(
        xlabel="Threshold on the score",
        ylabel="Share of the 5-10 $\\sigma$ sources, of the candidates",
        xlim=(1, 0),
        ylim=(0, 1),
        title="Sky 235",
    )
    ax.legend(fontsize="small", loc="lower left", bbox_to_anchor=(0, 0.12))
    ax = axes[1]
    for method, row in some.items():
        area = row["patches"] * PATCH_AREA / 100
        style = "s--" if method in CLASSICAL else "o-"
        share = np.array(row["faint"]) / row["n_faint"]
        ax.plot(np.array(row["fakes"]) / area, share, style, ms=3, label=method)
    n_patches = next(iter(some.values()))["patches"]
    ax.set(
        xlabel="Fakes in 100 square degrees",
        ylabel="Share of the 5-10 $\\sigma$ sources found",
        xlim=(-0.1, 5),
        ylim=(0, 1),
        title=f"Sky 235, the same {n_patches} patches",
    )
    ax.legend(fontsize="small", loc="lower right")
    ax = axes[2]
    for case, color in (("background", "C0"), ("counts only", "C1")):
        row = real[case]
        label = f"4FGL-DR4 of 5-10 $\\sigma$, of {row['n_faint']}, {case}"
        ax.step(row["threshold"], row["faint"], color=color, where="mid", label=label)
        ax.step(row["threshold"], row["fakes"], color=color, ls="--", where="mid", label=f"unmatched, {case}")
        ax.step(row["threshold"], row["chance faint"], color=color, ls=":", where="mid")
    ax.plot([], [], color="0.4", ls=":", label="5-10 $\\sigma$ by chance")
    ax.set(
        xlabel="Threshold on the score", ylabel="Number", xlim=(1, 0), title="3C 279, 2 years, 400 deg$^2$"
    )
    ax.legend(fontsize="small", loc="upper left")
    return fig


def to_markdown(whole, some, real, steps=(0.9, 0.7, 0.5, 0.3, 0.1)):
    """Tables of the simulated sky and of the real field."""
    lines = []
    for results in (whole, some):
        for method, row in results.items():
            own = (6.0, 5.0, 4.0, 3.0) if method in CLASSICAL else steps
            for threshold in own:
                i = int(np.argmin(np.abs(np.array(row["threshold"]) - threshold)))
                name = f"{method}, {row['patches']} patches"
                faint = f"{row['faint'][i]} of {row['n_faint']}", f"{row['faint'][i] / row['n_faint']:.3f}"
                fakes = row["fakes"][i] / row["patches"] / PATCH_AREA * 100
                bright = f"{row['bright'][i]} of {row['n_bright']}"
                lines.append([name, f"{threshold:g}", *faint, bright, str(row["fakes"][i]), f"{fakes:.3f}"])
    header = ["sky 235", "threshold", "5-10 sigma found", "share", "above 10 sigma", "fakes"]
    text = rows_to_markdown([*header, "fakes in 100 square degrees"], lines) + "\n"
    lines = []
    for case, row in real.items():
        for threshold in steps:
            i = int(np.argmin(np.abs(np.array(row["threshold"]) - threshold)))
            found = (
                f"{row[name][i]} of {row[f'n_{name}']} ({row[f'chance {name}'][i]:.1f})"
                for name in ("faint", "bright")
            )
            lines.append([case, f"{threshold:g}", *found, str(row["fakes"][i])])
    header = ["3C 279", "threshold", "5-10 sigma matched (by chance)", "above 10 sigma (by chance)"]
    return text + rows_to_markdown([*header, "unmatched"], lines)


def parser():
    """Arguments."""
    own = arguments(__doc__, "faint_sources", data=True, model="lat")
    own.add_argument("--ts-map-patches", type=int, default=48, help="random patches for the TS map")
    own.add_argument("--classical", action="store_true", help="measure the classical methods alone")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    torch.set_num_threads(1)
    sky, folder = load_sky235(args.data), Path(args.output).parent
    response = sky_response(args.data)
    expected_ts = kept(
        folder / "sky235_expected_ts.npy",
        lambda: information_limit(sky, load_spectra(sky, args.data), response)[0],
        lambda ts, path: np.save(path, ts),
        np.load,
    )
    some = random_patches(sky, args.ts_map_patches)
    data = sky, sky.counts(0, some), sky.background(some), response, some
    peaks = {method: peak_patches(method, *data) for method in CLASSICAL}
    significance = np.sqrt(expected_ts)
    if args.classical:
        results = {"whole": {}, "some": simulated_sky(sky, peaks, significance, some), "real": {}}
        write(args.output, results, to_markdown(**results))
        return
    tables = {
        f"background {name}": predictions(sky, folder, name, args.data, args.model)
        for name in ("true", "none")
    } | {"published network": sky.published}
    results = {
        "whole": simulated_sky(sky, tables, significance),
        "some": simulated_sky(sky, tables | peaks, significance, some),
        "real": real_field(args.model, args.data),
    }
    write(args.output, results, to_markdown(**results), figure(**results))


if __name__ == "__main__":
    main()
