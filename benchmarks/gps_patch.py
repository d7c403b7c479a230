# Licensed under a 3-clause BSD style license - see LICENSE
"""Detection in the published example patch of a simulated plane survey, beside Gammapy's TS map.

Counts, background and truth are those of the files; exposure and point spread function are those of its
pointings with the response prod5. Run as ``python -m benchmarks.gps_patch --output gps_patch.json``.
"""

import argparse
import json
from pathlib import Path

import astropy.units as u
import numpy as np
import torch
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from gammapy.maps import Map, MapAxis
from gammapy.modeling.models import Model, Models

from gammapy_asid.simulation.survey_dataset import survey_dataset

from .gps import find_all, score_lists
from .gps_fields import source_width
from .sky235 import data_folder

__all__ = ["load_patch"]

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
        As of `benchmarks.gps_fields`.
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


def main():
    """Run all methods and print what they find."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="cta-gps")
    parser.add_argument("--data", help="data folder; by default that of GAMMAPY_ASID_DATA")
    parser.add_argument("--output", default="gps_patch.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    dataset, truth, ratio = load_patch(data_folder(args.data) / "cta/gps_patch_0")
    print(f"background of the file over that of prod5: {ratio:.3f}")
    lists, seconds = find_all(dataset, args.model)
    result = {"seconds": seconds, "background_ratio": float(ratio)}
    for method, table in lists.items():
        # All true sources count here: there are few.
        everything = truth.copy()
        everything["significance"] = np.maximum(everything["significance"], 2.0)
        result[method] = score_lists([table], [everything])
        for purity in ("0.95", "0.9", "0.8"):
            entry = result[method][purity]
            print(
                method,
                purity,
                entry["threshold"],
                round(entry["completeness"] * len(truth)),
                "of",
                len(truth),
            )
    Path(args.output).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
