# Licensed under a 3-clause BSD style license - see LICENSE
"""Tables of results."""

import numpy as np

from ..common import rows_to_markdown
from .scoring import PURITIES

__all__ = ["mean_of_seeds", "to_markdown"]

COLUMNS = {
    "R": "recall",
    "R(S1>1e-10)": "S1>1e-10",
    "R(>2e-10)": "S1>2e-10",
    "R(>4.5e-10)": "S1>4.5e-10",
    "abs(b)>20 R(>2e-10)": "abs(b)>20 S1>2e-10",
    "abs(b)<5 R(>1e-9)": "abs(b)<5 S1>1e-9",
}


def mean_of_seeds(results):
    """Mean over observations of the numbers of `score_predictions`; no curves."""
    first = results[0]
    mean = {}
    for name, value in first.items():
        if isinstance(value, dict) and name != "curve":
            mean[name] = mean_of_seeds([result[name] for result in results])
        elif isinstance(value, (int, float)):
            mean[name] = float(np.mean([result[name] for result in results]))
    return mean


def to_markdown(summary):
    """Markdown table of cases: one row for each purity, and below the numbers of the case itself.

    Parameters
    ----------
    summary : dict of dict
        Results of `mean_of_seeds` by name of the case.

    Returns
    -------
    text : str
        Two tables.
    """
    rows, general = [], []
    for case, result in summary.items():
        for purity in (f"{value:g}" for value in PURITIES):
            at = result[purity]
            offsets = "/".join(f"{at[f'offset_{q}']:.3f}" for q in (50, 68, 95))
            row = [case, purity, *(f"{at[name]:.3f}" for name in COLUMNS.values())]
            bright = f"{at['bright offset_68']:.3f}, {100 * at['bright within_0p15']:.1f} %"
            once = f"{at['once purity']:.3f}/{at['once recall']:.3f}"
            optimal = f"{at['optimal purity']:.3f}/{at['optimal recall']:.3f}"
            rows.append([*row, offsets, f"{100 * at['within_0p15']:.1f} %", bright, optimal, once])
        names = "average_precision", "calibration_error", "found again", "purity change", "seconds a patch"
        general.append([case, *(f"{result[name]:.4f}" if name in result else "-" for name in names)])
        for at in (result["0.95"], result["0.9"]):
            general[-1].append(f"{at['false']:.0f}: {100 * at['doubles']:.1f} %")
            general[-1][-1] += f" ({100 * at['doubles by chance']:.1f} %)"
    offsets = ["offset 50/68/95 deg", "<0.15 deg", "S1>4.5e-10: 68 % offset, <0.15 deg"]
    header = ["case", "P", *COLUMNS, *offsets, "optimal P/R", "counted once P/R"]
    text = rows_to_markdown(header, rows) + "\n"
    header = ["case", "average precision", "calibration error", "found again", "purity change", "s a patch"]
    header += [f"false at P {purity}: doubles (by chance)" for purity in ("0.95", "0.90")]
    return text + rows_to_markdown(header, general)
