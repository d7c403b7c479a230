# Licensed under a 3-clause BSD style license - see LICENSE
"""How many sources of 4FGL-DR4 the photons of the real fields can show.

Each source is a point with its spectrum of the catalogue, on the given background and all other sources.
"""

import astropy.units as u
import numpy as np
from gammapy.datasets import Datasets
from gammapy.modeling.models import LogParabolaSpectralModel, PointSpatialModel, SkyModel

from gammapy_asid.inputs.prediction import Kernels
from gammapy_asid.likelihood.point_prediction import PointPrediction
from gammapy_asid.likelihood.prediction import Pixels
from gammapy_asid.stats.image_bounds import asimov_ts

from ..common import arguments, data_folder, rows_to_markdown, write
from ..skies.catalogs import galactic_positions, read_catalog
from ..skies.league_fields import LEAGUE
from .league_matching import NUMBERS

__all__ = ["expected_ts"]

NEEDS = "data, five minutes"

#: Expected test statistics from which sources are counted.
LIMITS = (25, 16, 9)


def expected_ts(dataset, catalog):
    """Expected test statistic of the sources of 4FGL inside a field.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data with a background.
    catalog : `~astropy.table.Table`
        Table of 4FGL.

    Returns
    -------
    ts : `~numpy.ndarray`
        All else known, shape ``(n,)``.
    """
    positions = galactic_positions(catalog)
    inside = dataset.counts.geom.to_image().contains(positions)
    pixels = Pixels(Datasets([dataset]), [Kernels(dataset)])
    predictions = [
        PointPrediction(_source(*pair), pixels)
        for pair in zip(positions[inside], catalog[inside], strict=True)
    ]
    background = pixels.flat([dataset.background.data])
    total = background + sum(predict() for predict in predictions)
    ts = []
    for predict in predictions:
        own = predict()
        seen = own > 0
        # Where nothing but a source is predicted a photon would be proof
        others = np.maximum(total[seen] - own[seen], background[background > 0].min())
        ts.append(asimov_ts(own[seen], others))
    return np.array(ts)


def _source(position, row):
    spectrum = LogParabolaSpectralModel(
        amplitude=row["LP_Flux_Density"] * u.Unit("cm-2 s-1 MeV-1"),
        reference=row["Pivot_Energy"] * u.MeV,
        alpha=row["LP_Index"],
        beta=row["LP_beta"],
    )
    place = PointSpatialModel.from_position(position)
    return SkyModel(spectral_model=spectrum, spatial_model=place, name=str(row["Source_Name"]))


def parser():
    """Arguments."""
    return arguments(__doc__, "league_limit", data=True)


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    folder, groups = data_folder(args.data), {}
    catalog = read_catalog("4FGL-DR4", folder)
    for field in LEAGUE.values():
        ts = expected_ts(field.make(folder), catalog)
        # A list has no more entries
        numbers = [len(ts), *(min(int((ts > limit).sum()), max(NUMBERS)) for limit in LIMITS)]
        groups.setdefault(field.group, []).append(numbers)
    rows = [[group, len(fields), *np.sum(fields, axis=0).tolist()] for group, fields in groups.items()]
    rows.append(["all fields", *np.sum([row[1:] for row in rows], axis=0).tolist()])
    rows = [[str(cell) for cell in row] for row in rows]
    header = ["data", "fields", "sources", *(f"expected TS > {limit}" for limit in LIMITS)]
    write(args.output, rows, rows_to_markdown(header, rows))


if __name__ == "__main__":
    main()
