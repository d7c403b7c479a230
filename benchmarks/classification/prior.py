# Licensed under a 3-clause BSD style license - see LICENSE
"""Shares of the classes of 4FGL-DR4 with Galactic latitude, which `tasks/classification/prior.py` holds.

Associated sources only, smoothed with a Gaussian in the hyperbolic arc sine of the latitude in deg. Of its
widths that is best with which the sources, each told by the others, are most likely; an infinite one stands
for shares that do not change.
"""

import numpy as np

from gammapy_asid.catalog.columns import CLASSES
from gammapy_asid.tasks.classification.prior import LATITUDES

from ..common import arguments, rows_to_markdown, write
from ..skies.catalogs import read_catalog

NEEDS = "data"

#: Classes of 4FGL, in lower case, that belong to each class here.
MEMBERS = {
    "AGN": ("bll", "fsrq", "bcu", "rdg", "agn", "css", "ssrq", "sey", "nlsy1"),
    "PSR": ("psr", "msp"),
    "PWN-SNR": ("pwn", "snr", "spp"),
}
#: Widths of the Gaussian that are tried.
WIDTHS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.9, np.inf)


def smoothed(latitude, kind, n_kinds, places, width, leave_out=False):
    """Shares of kinds at places, shape ``(n_places, n_kinds)``; half a source of each is added.

    With `leave_out` the places are those of the sources, which do not count for themselves.
    """
    distance = np.arcsinh(places)[:, None] - np.arcsinh(latitude)
    weight = np.exp(-0.5 * (distance / width) ** 2)
    if leave_out:
        np.fill_diagonal(weight, 0)
    counts = np.stack([weight[:, kind == i].sum(axis=1) for i in range(n_kinds)], axis=1) + 0.5
    return counts / counts.sum(axis=1, keepdims=True)


def best_width(latitude, kind, n_kinds):
    """Width with the largest likelihood, and the mean logarithms of the likelihood by width."""
    own = {}
    for width in WIDTHS:
        shares = smoothed(latitude, kind, n_kinds, latitude, width, leave_out=True)
        own[str(width)] = float(np.log(shares[np.arange(len(kind)), kind]).mean())
    return float(max(own, key=own.get)), own


def parser():
    """Arguments."""
    return arguments(__doc__, output="prior", data=True)


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    table = read_catalog("4FGL-DR4", args.data)
    name = np.char.strip(np.char.lower(np.asarray(table["CLASS1"]).astype(str)))
    latitude = np.abs(np.asarray(table["GLAT"], dtype=float))
    kinds = {
        "classes": [np.isin(name, MEMBERS[own]) for own in CLASSES],
        "fsrq": [name == "bll", name == "fsrq"],
    }
    results = {"latitudes": LATITUDES, "unassociated": int((name == "").sum())}
    places = np.array(LATITUDES)
    for key, members in kinds.items():
        known = np.any(members, axis=0)
        kind = np.argmax(members, axis=0)[known]
        width, likelihood = best_width(latitude[known], kind, len(members))
        shares = smoothed(latitude[known], kind, len(members), places, width)
        results[key] = {
            "sources": [int(member.sum()) for member in members],
            "width": str(width),
            "log_likelihood": likelihood,
            "shares": shares.round(4).tolist(),
        }
    rows = [
        [f"{place:g}", *(f"{share:.4f}" for share in own), f"{fsrq[1]:.4f}"]
        for place, own, fsrq in zip(
            LATITUDES, results["classes"]["shares"], results["fsrq"]["shares"], strict=True
        )
    ]
    write(args.output, results, rows_to_markdown(["|b| (deg)", *CLASSES, "FSRQ of AGN"], rows))


if __name__ == "__main__":
    main()
