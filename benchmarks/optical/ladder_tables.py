# Licensed under a 3-clause BSD style license - see LICENSE
"""Tables and picture of the ladder of densities."""

import numpy as np
from matplotlib.figure import Figure

from ..common import rows_to_markdown, spread68

__all__ = ["density_figure", "summary", "tables"]

#: Significances alone between whose bounds scatter is given.
BINS = ((5, 10), (10, 30), (30, np.inf))
#: Draws for each source of what an estimate at the bound scatters.
DRAWS = 50
#: Numbers of detection in one cell.
PARTS = ("completeness", "purity", "by chance")
#: What the library's own rows begin with.
OURS = "gammapy_asid"


def _joined(rows, name):
    return np.concatenate([np.asarray(row[name], dtype=float) for row in rows])


def detection_numbers(rows):
    """Completeness, purity and F1 of the images of a density, with the standard error of F1."""
    detections, matched, wanted = (sum(row[n] for row in rows) for n in ("detections", "matched", "wanted"))
    completeness, purity = sum(row["found"] for row in rows) / max(wanted, 1), matched / max(detections, 1)
    total = max(completeness + purity, 1e-9)
    variances = (v * (1 - v) / max(n, 1) for v, n in ((completeness, wanted), (purity, detections)))
    # F1 = 2 c p / (c + p): its slopes are 2 (p / (c + p))**2 and 2 (c / (c + p))**2
    slopes = 2 * (purity / total) ** 2, 2 * (completeness / total) ** 2
    return {
        "f1": 2 * completeness * purity / total,
        "f1_err": float(np.sqrt(sum(s**2 * v for s, v in zip(slopes, variances, strict=True)))),
        "completeness": completeness,
        "purity": purity,
        "by chance": float(np.mean([row["by chance"] for row in rows])),
        "seconds": float(np.mean([row["seconds"] for row in rows])),
        "wanted": wanted,
    }


def flux_numbers(rows):
    """Bias, scatter and coverage of fluxes over the truth."""
    ratio, snr = _joined(rows, "flux"), _joined(rows, "snr")
    low, high = _joined(rows, "low"), _joined(rows, "high")
    known = np.isfinite(ratio)
    ratio, snr, low, high = ratio[known], snr[known], low[known], high[known]
    if len(ratio) < 10:
        return {"sources": len(ratio)}
    inside = (ratio - low <= 1) & (ratio + high >= 1)
    bins = {
        f"scatter {first}-{last}": float(spread68(ratio[(snr >= first) & (snr < last)]))
        for first, last in BINS
        if np.sum((snr >= first) & (snr < last)) >= 10
    }
    return {
        "sources": len(ratio),
        "bias": float(np.median(ratio) - 1),
        "scatter": float(spread68(ratio)),
        "coverage": float(inside.mean()),
        "coverage_err": float(np.sqrt(max(inside.mean() * (1 - inside.mean()), 1e-4) / len(ratio))),
        "coverage_all": _coverage_of_all(rows),
    } | bins


def _coverage_of_all(rows):
    """Coverage of all rows that are sources, faint ones too: a user does not know which these are."""
    if not all("covered" in row for row in rows):
        return None
    return sum(row["covered"] for row in rows) / max(sum(row["matched"] for row in rows), 1)


def common_scatter(first, second):
    """Scatter of two programs on the sources that both have found, and their number."""
    ratios = [], []
    for one, two in zip(first, second, strict=True):
        _, i, j = np.intersect1d(one["index"], two["index"], return_indices=True)
        ratios[0].append(np.asarray(one["flux"], dtype=float)[i])
        ratios[1].append(np.asarray(two["flux"], dtype=float)[j])
    one, two = (np.concatenate(part) for part in ratios)
    known = np.isfinite(one) & np.isfinite(two)
    if known.sum() < 10:
        return {"sources": int(known.sum())}
    return {
        "sources": int(known.sum()),
        "scatter": float(spread68(one[known])),
        "other": float(spread68(two[known])),
    }


def bound_scatter(rows, bounds):
    """Scatter of Gaussian errors at the bound on the sources that a program has found."""
    pairs = zip(rows, bounds, strict=True)
    sigma = np.concatenate([np.array(bound, float)[np.array(row["index"], int)] for row, bound in pairs])
    sigma = sigma[np.isfinite(sigma)]
    if len(sigma) < 10:
        return None
    return float(spread68(np.random.default_rng(0).normal(0, sigma, (DRAWS, len(sigma))).ravel()))


def summary(results):
    """Numbers of each density and program."""
    densities = {}
    for key, methods in results["images"].items():
        densities[key] = {
            name: {
                **detection_numbers(rows),
                **{"fluxes": flux_numbers(rows), "bound": bound_scatter(rows, results["bounds"][key])},
                "common": {
                    other: common_scatter(rows, methods[other])
                    for other in methods
                    if name.startswith(OURS) and not other.startswith(OURS)
                },
            }
            for name, rows in methods.items()
        }
    return {name: results[name] for name in ("versions", "chosen")} | {"densities": densities}


def _cell(value, digits=3):
    return "" if value is None else f"{value:.{digits}f}"


def tables(summary):
    """Tables in Markdown."""
    densities = summary["densities"]
    names = list(next(iter(densities.values())))
    rows = [
        [key] + [f"{m[n]['f1']:.3f} ± {m[n]['f1_err']:.3f}" for n in names] for key, m in densities.items()
    ]
    text = "F1\n\n" + rows_to_markdown(["sources a square arcminute", *names], rows)
    rows = [
        [key]
        + [f"{m[n]['completeness']:.2f} / {m[n]['purity']:.2f} / {m[n]['by chance']:.2f}" for n in names]
        for key, m in densities.items()
    ]
    text += "\nCompleteness / purity / matched by chance\n\n" + rows_to_markdown(["density", *names], rows)
    header = ["density", "program", "sources", "bias", "scatter", *(f"S/N {a}-{b}" for a, b in BINS)]
    rows = []
    for key, methods in densities.items():
        for name, found in methods.items():
            numbers = found["fluxes"]
            row = [
                key,
                name,
                str(numbers["sources"]),
                _cell(numbers.get("bias")),
                _cell(numbers.get("scatter")),
            ]
            row += [_cell(numbers.get(f"scatter {a}-{b}")) for a, b in BINS]
            covered = _cell(numbers.get("coverage")) + " ± " + _cell(numbers.get("coverage_err"))
            rows.append([*row, covered, _cell(numbers.get("coverage_all")), _cell(found["bound"])])
    header += ["68 % coverage", "of all rows", "bound"]
    text += "\nFluxes over the truth\n\n" + rows_to_markdown(header, rows)
    rows = [
        [key, name, other, str(c["sources"]), _cell(c.get("scatter")), _cell(c.get("other"))]
        for key, methods in densities.items()
        for name, found in methods.items()
        for other, c in found["common"].items()
    ]
    header = ["density", "program", "beside", "sources of both", "scatter", "of the other"]
    text += "\nScatter on the same sources\n\n" + rows_to_markdown(header, rows)
    rows = [[key] + [_cell(m[n]["seconds"], 1) for n in names] for key, m in densities.items()]
    return text + "\nSeconds an image\n\n" + rows_to_markdown(["density", *names], rows)


def density_figure(summary, camera="MeerLICHT"):
    """F1 and scatter of fluxes against the density."""
    keys = [key for key in summary["densities"] if key.startswith(camera)]
    density = [float(key.split()[1]) for key in keys]
    figure = Figure(figsize=(9, 4), layout="constrained")
    detect, flux = figure.subplots(1, 2)
    for name in summary["densities"][keys[0]]:
        rows = [summary["densities"][key][name] for key in keys]
        style = {"marker": "o", "lw": 2.5, "color": "k"} if name == OURS else {"marker": ".", "lw": 1.2}
        style["ls"] = "--" if name.startswith(OURS) and name != OURS else "-"
        detect.plot(density, [row["f1"] for row in rows], label=name, **style)
        flux.plot(density, [row["fluxes"].get("scatter", np.nan) for row in rows], label=name, **style)
    bound = [summary["densities"][key].get(OURS, {}).get("bound") for key in keys]
    if all(value is not None for value in bound):
        flux.plot(density, bound, "k:", label="Cramér-Rao bound")
    detect.set(xscale="log", xlabel="Sources a square arcminute", ylabel="F1", ylim=(0, 1))
    flux.set(
        xscale="log", yscale="log", xlabel="Sources a square arcminute", ylabel="Scatter of flux over truth"
    )
    flux.legend(fontsize=7)
    return figure
