# Licensed under a 3-clause BSD style license - see LICENSE
"""Regions on the sky that hold sources."""

import numpy as np
from regions import EllipseSkyRegion, PointSkyRegion, Regions

__all__ = ["error_regions"]


def error_regions(table, positions, containment):
    """Error ellipses of candidates.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        Candidates.
    positions : `~astropy.coordinates.SkyCoord`
        Their positions, shape ``(n,)``.
    containment : {0.68, 0.95}
        Probability that an ellipse holds the source.

    Returns
    -------
    regions : `~regions.Regions`
        Regions labelled with the names, points where the error is not known.

    Raises
    ------
    ValueError
        If the containment is another one.
    """
    level = {0.68: "68", 0.95: "95"}.get(containment)
    if level is None:
        raise ValueError(f"No error ellipse for a containment of {containment}: give 0.68 or 0.95")
    axes = f"semi_major_{level}", f"semi_minor_{level}"
    lost = ~(np.isfinite(positions.ra) & np.isfinite(positions.dec))
    if lost.any():
        raise ValueError(f"{table['name'][lost][0]} has no position: leave it out")
    return Regions([_region(position, row, *axes) for position, row in zip(positions, table, strict=True)])


def _region(position, row, major, minor):
    """Error ellipse of a row, a point if it has none."""
    meta = {"text": str(row["name"])}
    if not (row[major] > 0 and row[minor] > 0 and np.isfinite(row["pos_angle"])):
        return PointSkyRegion(position, meta=meta)
    # The width of a region points west to east, its angle runs anticlockwise on the sky.
    return EllipseSkyRegion(position, 2 * row[minor], 2 * row[major], row["pos_angle"], meta=meta)
