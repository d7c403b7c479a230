# Licensed under a 3-clause BSD style license - see LICENSE
"""Detection in the four runs of the CTAO's first data challenge around the Galactic centre.

Its sky model is not at hand: candidates are compared with the sources of the plane known at TeV energies
(gamma-cat and the H.E.S.S. survey), of which it was made, and with the peaks of classical methods.
"""

import time
import warnings

import astropy.units as u
import numpy as np
import torch
from astropy.coordinates import SkyCoord
from gammapy.catalog import SourceCatalogGammaCat, SourceCatalogHGPS
from gammapy.data import DataStore
from gammapy.datasets import MapDataset
from gammapy.makers import MapDatasetMaker, SafeMaskMaker
from gammapy.maps import MapAxis, WcsGeom

from ..common import arguments, rows_to_markdown, write
from .gps import CLASSICAL, find_all

__all__ = ["load_1dc"]

NEEDS = "data with the runs of the first data challenge, minutes"

EDGES = (0.03, 0.05, 0.1, 0.17, 0.3, 0.55, 1.0, 1.8, 3.0, 5.5, 10.0, 30.0, 100.0)
#: Thresholds at which lists are compared, and the radius of a match in deg for points.
THRESHOLDS = {"network": (0.5, 0.9)} | dict.fromkeys(CLASSICAL, (5,))
RADIUS = 0.2


def load_1dc(folder):
    """Dataset of the four runs, 10 deg x 7 deg around the Galactic centre."""
    store = DataStore.from_dir(folder / "gammapy-data/cta-1dc/index/gps")
    axis = MapAxis.from_energy_edges(EDGES * u.TeV)
    true_axis = MapAxis.from_energy_bounds(0.02, 200, 8, unit="TeV", per_decade=True, name="energy_true")
    geom = WcsGeom.create(
        skydir=SkyCoord(0, 0, unit="deg", frame="galactic"),
        width=(10, 7),
        binsz=0.04,
        frame="galactic",
        proj="CAR",
        axes=[axis],
    )
    stacked = MapDataset.create(geom, energy_axis_true=true_axis, binsz_irf=0.5, name="1dc")
    maker = MapDatasetMaker()
    safe = SafeMaskMaker(methods=["offset-max"], offset_max=4 * u.deg)
    for observation in store.get_observations(
        [110380, 111140, 111159, 111630], required_irf="full-enclosure"
    ):
        dataset = maker.run(stacked.copy(name="run"), observation)
        stacked.stack(safe.run(dataset, observation))
    return stacked


def known_sources(dataset):
    """Names, positions and widths in deg of catalogued sources in the field, of two catalogues."""
    rows = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for catalog in (SourceCatalogGammaCat(), SourceCatalogHGPS()):
            inside = dataset.mask_safe.geom.to_image().contains(catalog.positions)
            found = []
            for index in np.flatnonzero(inside):
                source = catalog[int(index)]
                try:
                    width = source.spatial_model().evaluation_radius.to_value("deg") / 5
                except (AttributeError, TypeError, ValueError):
                    width = 0.0
                found.append((source.name, catalog.positions[index], width))
            rows[catalog.tag] = found
    return rows


def parser():
    """Arguments."""
    return arguments(__doc__, "cta_1dc", data=True, model="cta-gps")


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    torch.set_num_threads(1)
    start = time.time()
    dataset = load_1dc(args.data)
    print(f"dataset made in {time.time() - start:.0f} s, {dataset.counts.data.sum():.0f} counts")
    catalogs = known_sources(dataset)
    lists, seconds = find_all(dataset, args.model)
    result, rows = {"seconds": seconds}, []
    for method, table in lists.items():
        for threshold in THRESHOLDS[method]:
            chosen = table[np.asarray(table["score"]) >= threshold]
            position = SkyCoord(chosen["glon"], chosen["glat"], frame="galactic")
            entry = {"candidates": []}
            for name, sources in catalogs.items():
                near = [
                    [s for s, p, width in sources if q.separation(p).deg < np.hypot(RADIUS, width)]
                    for q in position
                ]
                entry[name] = {
                    "sources": len(sources),
                    "found": sorted({s for names in near for s in names}),
                    "unmatched": int(sum(not names for names in near)),
                }
            for q, score in zip(position, chosen["score"], strict=True):
                entry["candidates"].append((q.l.wrap_at("180d").deg, q.b.deg, float(score)))
            result[f"{method} >= {threshold}"] = entry
            cells = [
                cell
                for name in catalogs
                for cell in (
                    f"{len(entry[name]['found'])} of {entry[name]['sources']}",
                    f"{entry[name]['unmatched']}",
                )
            ]
            rows.append([method, f"{threshold:g}", f"{len(chosen)}", *cells, f"{seconds[method]:.1f}"])
    header = ["method", "threshold", "candidates"]
    header += [cell for name in catalogs for cell in (f"{name} found", "unmatched")]
    write(args.output, result, rows_to_markdown([*header, "processor s"], rows))


if __name__ == "__main__":
    main()
