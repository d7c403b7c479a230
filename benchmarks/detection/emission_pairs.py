# Licensed under a 3-clause BSD style license - see LICENSE
"""Whether the network's lists agree when another model of the emission is given in the same real field."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
import torch
from astropy.coordinates import SkyCoord

from gammapy_asid import DLSourceDetector
from gammapy_asid.evaluation.intervals import share_intervals

from ..common import arguments, data_folder, rows_to_markdown, write
from ..skies.real_fields import V07, known_sky, load_field

__all__ = ["found_again"]

NEEDS = "data, a minute"

#: Official models in the pixels of 0.125 deg that they came in, as far as they are there.
V05, V06_CENTRE, V07_CENTRE = (
    f"lat/iem/gll_iem_{name}" for name in ("v05_rev1_cutout.fits", "v06_gc.fits.gz", "v07_gc.fits.gz")
)
#: Isotropic emission of the events of these fields.
ISOTROPIC = "gammapy-data/fermi_3fhl/iso_P8R2_SOURCE_V6_v06.txt"
#: Largest separation of the same candidate in two lists, deg.
RADIUS = 0.2
#: Scores from which a list is compared, and lowest score at which the other list must have its candidates.
SCORES, LOWEST = (0.8, 0.5), (0.8, 0.5)


@dataclass(frozen=True)
class Pair:
    """Two backgrounds of a field.

    Parameters
    ----------
    field : str
        Field.
    first, second : str, optional
        Files of the emission; without one the background that comes with the counts.
    cut : tuple, optional
        Centre in Galactic coordinates and width and height in deg of the part that both models cover, half a
        degree away from their ends.
    """

    field: str
    first: str | None
    second: str
    cut: tuple | None = None


PAIRS = {
    "Galactic centre, 9° x 7°: v06, v07": Pair(
        "Galactic centre", V06_CENTRE, V07_CENTRE, ((0.0, 0.0), (9.0, 7.0))
    ),
    "Galactic centre: the file's (v06), v07 in 1.5°": Pair("Galactic centre", None, V07),
    "Vela, 18° x 14°: v05, v07 in 1.5°": Pair("Vela", V05, V07, ((263.4, -2.4), (18.0, 14.0))),
    "Vela: the file's, v07 in 1.5°": Pair("Vela", None, V07),
    "Galactic plane: the file's, v07 in 1.5°": Pair("Galactic plane", None, V07),
}


def found_again(one, other, lowest, score=SCORES[0]):
    """Candidates of a list that another list has, too.

    Parameters
    ----------
    one, other : dict or `~astropy.table.Table`
        Columns ``glon``, ``glat`` in deg and ``score``.
    lowest : float
        Lowest score that counts in the other list.
    score : float
        Lowest score of the candidates that are looked for.

    Returns
    -------
    again, number : int
        Candidates found again, and all.
    """
    first, second = _positions(one, score), _positions(other, lowest)
    if not len(first) or not len(second):
        return 0, len(first)
    distance = first[:, None].separation(second).deg
    return int((distance < RADIUS).any(axis=1).sum()), len(first)


def _positions(table, score):
    chosen = np.asarray(table["score"]) >= score
    lon, lat = (u.Quantity(table[name], "deg")[chosen] for name in ("glon", "glat"))
    return SkyCoord(lon, lat, frame="galactic")


def backgrounds(pair, folder):
    """Dataset of a pair with the first background and with the second."""
    dataset = load_field(pair.field, folder)
    if pair.cut:
        centre, size = pair.cut
        dataset = dataset.cutout(SkyCoord(*centre, unit="deg", frame="galactic"), size * u.deg)
    datasets = []
    for number, emission in enumerate((pair.first, pair.second)):
        own = dataset.copy(name=f"{pair.field} {number}")
        if emission:
            own.background = known_sky(dataset, folder, emission, ISOTROPIC)
        datasets.append(own)
    return datasets


def measure(pair, detector, folder):
    """Agreement of the lists with either background, and how far the backgrounds differ."""
    datasets = backgrounds(pair, folder)
    lists = [detector.run(dataset).table for dataset in datasets]
    first, second = (dataset.background.data.sum(axis=0) for dataset in datasets)
    ratio = second / first
    result = {"counts": [float(first.sum()), float(second.sum())]}
    result["rms"] = float(
        np.sqrt(np.average((ratio / np.average(ratio, weights=first) - 1) ** 2, weights=first))
    )
    for score in SCORES:
        for lowest in (low for low in LOWEST if low <= score):
            again = [found_again(*pair, lowest, score) for pair in (lists, lists[::-1])]
            result[f"{score:g} in {lowest:g}"] = again
    return result


def to_markdown(results):
    """Table of the pairs."""
    rows = []
    for name, result in results.items():
        row = [name, "{:.0f} / {:.0f}".format(*result["counts"]), f"{100 * result['rms']:.0f} %"]
        for key in list(result)[2:]:
            (a, n), (b, m) = result[key]
            # Both lists show the same sources: they count once
            share = share_intervals([(a + b) / (n + m)], [(n + m) / 2])[0]
            row.append(f"{a}/{n}, {b}/{m}: {share}")
        rows.append(row)
    cases = [f"score {s:g}, found at {low:g}" for s in SCORES for low in LOWEST if low <= s]
    return rows_to_markdown(["field: first, second background", "counts expected", "rms", *cases], rows)


def parser():
    """Arguments."""
    return arguments(__doc__, "emission_pairs", data=True, model="lat")


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    torch.set_num_threads(1)
    detector, folder = DLSourceDetector(args.model, threshold=min(LOWEST)), data_folder(args.data)
    results = {name: measure(pair, detector, folder) for name, pair in PAIRS.items()}
    write(args.output, results, to_markdown(results))


if __name__ == "__main__":
    main()
