# Licensed under a 3-clause BSD style license - see LICENSE
"""Lines of equal longitude and latitude on a map, as lists of points."""

import numpy as np
from astropy.coordinates import SkyCoord

__all__ = ["graticule"]

#: Distances between lines in deg.
STEPS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30)

#: Lines along the longer side, about.
LINES = 5

#: Points of a line.
POINTS = 80


def graticule(geom):
    """Lines of equal longitude and latitude that cross a map.

    Parameters
    ----------
    geom : `~gammapy.maps.WcsGeom`
        Geometry of the map.

    Returns
    -------
    lines : list of dict
        ``points`` in pixels from the lower left corner of the map, shape ``(n, 2)``, ``label`` (the place of
        its text), ``anchor`` (``start`` or ``middle``) and ``text``.
    """
    image = geom.to_image()
    ny, nx = image.data_shape
    coords = image.get_coord()
    lon, lat = (coords[name].to_value("deg") for name in ("lon", "lat"))
    known = np.isfinite(lon) & np.isfinite(lat)
    # Longitudes about the centre: a map may hold the jump at 360 deg
    centre = image.center_skydir.data.lon.deg
    lon = centre + (lon[known] - centre + 180) % 360 - 180
    spans = (lon.min(), lon.max()), (lat[known].min(), lat[known].max())
    lines = []
    for axis in (0, 1):
        step = _step(spans[axis], spans)
        other = np.linspace(*spans[1 - axis], POINTS)
        for value in np.arange(np.ceil(spans[axis][0] / step), spans[axis][1] / step) * step:
            place = (np.full(POINTS, value), other) if axis == 0 else (other, np.full(POINTS, value))
            points = (
                np.column_stack(image.coord_to_pix(SkyCoord(*place, unit="deg", frame=image.frame))) + 0.5
            )
            with np.errstate(invalid="ignore"):
                inside = np.all((points > 0) & (points < [nx, ny]), axis=1)
            if inside.sum() > 1:
                lines.append(_line(points[inside], axis, value, nx, ny))
    return lines


def _step(span, spans):
    """Distance between lines, the same in both directions unless one would have none."""
    width = max(high - low for low, high in spans)
    wanted = min(width / LINES, (span[1] - span[0]) / 2)
    return max([step for step in STEPS if step <= wanted], default=STEPS[0])


def _line(points, axis, value, nx, ny):
    """A line with its text at the lower or at the left side."""
    edge = points[np.argmin(points[:, 1 - axis])]
    margin = 0.012 * max(nx, ny)
    label = [edge[0], margin] if axis == 0 else [margin, edge[1] + margin / 2]
    text = f"{value % 360 if axis == 0 else value:.2f}".rstrip("0").rstrip(".") + "°"
    return {
        "points": np.round(points, 2).tolist(),
        "label": np.round(label, 2).tolist(),
        "anchor": "middle" if axis == 0 else "start",
        "text": "0°" if text == "-0°" else text,
    }
