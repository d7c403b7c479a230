# Licensed under a 3-clause BSD style license - see LICENSE
"""Detection in the published example patch of a simulated plane survey, beside classical methods.

Counts, background and truth are those of the files; exposure and point spread function are those of its
pointings with the response prod5.
"""

import json

import astropy.units as u
import numpy as np
import torch
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from gammapy.maps import Map, MapAxis
from gammapy.modeling.models import Model, Models

from gammapy_asid.simulation.survey_dataset import survey_dataset

from ..common import arguments, rows_to_markdown, write
from ..skies.gps_fields import source_width
from .gps import PURITIES, find_all, score_lists

__all__ = ["load_patch"]

NEEDS = "data with the published patch, minutes"

#: Pixels of the file that are joined along each axis: 0.01 to 0.04 deg.
JOINED = 4


def load_patch(folder):
    """Dataset and truth of the patch.

    Parameters
    ----------
    folder : path
        Folder of its files, ``gps_patch_0``.

    Returns
    -------
    dataset : `~gammapy.datasets.MapDataset`
        Three bins, 0.03-1, 1-10 and 10-100 TeV.
    truth : `~astropy.table.QTable`
        As of `benchmarks.skies.gps_fields`.
    ratio : float
        Background of the file over that of the response.
    """
    counts, background = (
        Map.read(folder / f"patch_0_{name}.fits").downsample(JOINED) for name in ("counts", "bkg")
    )
    observations = json.loads((folder / "patch_0_observations.txt").read_text())
    pointings = SkyCoord(observations["l"], observations["b"], unit="deg", frame="galactic")
    true_axis = MapAxis.from_energy_bounds(0.02, 200, 8, unit="TeV", per_decade=True, name="energy_true")
    dataset = survey_dataset(
        counts.geom, true_axis, pointings, observations["livetime"] * u.s, "prod5-south", "patch"
    )
    ratio = background.data.sum() / dataset.background.data.sum()
    dataset.counts, dataset.background = counts, background
    entries = json.loads((folder / "patch_0_models.txt").read_text())["properties"]
    models = Models([Model.from_dict(entry) for entry in entries])
    rows = []
    for model in models:
        dataset.models = Models([model])
        signal = dataset.npred_signal().data
        position = model.position.galactic
        rows.append(
            (
                model.name,
                position.l.deg,
                position.b.deg,
                source_width(model),
                model.spectral_model.integral(1 * u.TeV, 100 * u.TeV).to_value("cm-2 s-1"),
                np.sqrt(np.sum(signal**2 / background.data)),
            )
        )
    dataset.models = None
    names, units = (
        ("name", "glon", "glat", "width", "flux", "significance"),
        ("", *["deg"] * 3, "cm-2 s-1", ""),
    )
    return dataset, QTable(rows=rows, names=names, units=units), ratio


def parser():
    """Arguments."""
    return arguments(__doc__, "gps_patch", data=True, model="cta-gps")


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    torch.set_num_threads(1)
    dataset, truth, ratio = load_patch(args.data / "cta/gps_patch_0")
    lists, seconds = find_all(dataset, args.model)
    # All true sources count here: there are few.
    truth["significance"] = np.maximum(truth["significance"], 2.0)
    results = {method: score_lists([table], [truth]) for method, table in lists.items()}
    rows = [
        [
            method,
            purity,
            f"{result[purity]['threshold']:.3g}",
            f"{round(result[purity]['completeness'] * len(truth))} of {len(truth)}",
        ]
        for method, result in results.items()
        for purity in (f"{value:g}" for value in PURITIES)
    ]
    text = rows_to_markdown(["method", "purity", "threshold", "found"], rows)
    text += f"\nBackground of the file over that of prod5: {ratio:.3f}\n"
    write(args.output, {"seconds": seconds, "background_ratio": float(ratio)} | results, text)


if __name__ == "__main__":
    main()
