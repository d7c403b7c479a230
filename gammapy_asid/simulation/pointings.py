# Licensed under a 3-clause BSD style license - see LICENSE
"""Pointings of a survey: the tables of the CTAO Galactic Plane Survey, and random ones like them."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io.ascii import InconsistentTableError
from astropy.table import QTable

from ..utils.files import regular_file

__all__ = ["PATTERNS", "draw_pointings", "read_pointings"]

COLUMNS = ("name", "lon", "lat", "duration", "irf")

# Latitude of the two rows of the survey, and the distance along them of pointings of one of its
# passes, in deg.
ROW, STEP = 0.9743, 1.1667


@dataclass(frozen=True)
class Pattern:
    """A way to point at a field.

    Parameters
    ----------
    kind : {"survey", "wobble"}
        Two rows along the Galactic plane, or four pointings around one place.
    hours : tuple of float
        Interval of the observation time in hours: in each deg of longitude, or in all.
    """

    kind: str
    hours: tuple


#: Surveys of the plane, and observations of one place, shallow and deep.
PATTERNS = (Pattern("survey", (3.0, 30.0)), Pattern("wobble", (1.0, 10.0)), Pattern("wobble", (10.0, 100.0)))


def read_pointings(filename):
    """Read the pointings of the CTAO Galactic Plane Survey.

    Parameters
    ----------
    filename : str or path
        Table ``GPS_pointings.dat``: values separated by commas, with columns ``name``, ``lon`` and
        ``lat`` (Galactic, deg), ``duration`` (s) and ``irf``.

    Returns
    -------
    pointings : `~astropy.table.QTable`
        ``position``, ``livetime``, ``name`` of the part of the survey and ``site``, North or South.
        Pointings of one site at the same place are added.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no such table.
    """
    filename = regular_file(filename)
    try:
        table = QTable.read(filename, format="ascii.csv")
    except (InconsistentTableError, UnicodeDecodeError) as error:
        raise ValueError(f"{filename} is no table of pointings ({error})") from error
    missing = [name for name in COLUMNS if name not in table.colnames]
    if missing or not len(table):
        raise ValueError(f"{filename} is no table of pointings: it has no {', '.join(missing) or 'rows'}")
    table["site"] = [irf.split("_")[0] for irf in table["irf"]]
    # Places are given to 1e-4 deg.
    table["lon"] = np.round(np.asarray(table["lon"], float) % 360, 3)
    table["lat"] = np.round(np.asarray(table["lat"], float), 3)
    groups = table.group_by(["site", "name", "lon", "lat"])
    first = groups[groups.groups.indices[:-1]]
    return QTable(
        {
            "position": SkyCoord(first["lon"], first["lat"], unit="deg", frame="galactic"),
            "livetime": np.add.reduceat(np.asarray(groups["duration"], float), groups.groups.indices[:-1])
            * u.s,
            "name": np.asarray(first["name"]),
            "site": np.asarray(first["site"]),
        }
    )


def draw_pointings(rng, center, width, pattern):
    """Random pointings at a field.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Random numbers.
    center : `~astropy.coordinates.SkyCoord`
        Centre of the field.
    width : float
        Width of the field in longitude in deg.
    pattern : `Pattern`
        Way to point; one of `PATTERNS`.

    Returns
    -------
    position : `~astropy.coordinates.SkyCoord`
        Pointings, shape ``(n,)``.
    livetime : `~astropy.units.Quantity`
        Observation time of each.
    """
    center = center.galactic
    hours = np.exp(rng.uniform(*np.log(pattern.hours)))
    if pattern.kind == "wobble":
        offset, angle = rng.uniform(0.5, 1.2), rng.uniform(0, 90)
        position = center.directional_offset_by((angle + 90 * np.arange(4)) * u.deg, offset * u.deg)
        share = rng.dirichlet(np.full(4, 10.0))
        return position, hours * share * u.h
    lon, lat, passes = [], [], rng.integers(1, 5)
    for i in range(passes):
        step = STEP * rng.uniform(0.7, 2.5)
        along = np.arange(-width / 2 - 5, width / 2 + 5, step) + rng.uniform(0, step)
        lon.append(along)
        lat.append(np.where((np.arange(len(along)) + i) % 2, ROW, -ROW))
    lon, lat = np.concatenate(lon), np.concatenate(lat)
    share = rng.gamma(10.0, 0.1, len(lon)) * hours * (width + 10) / len(lon)
    return SkyCoord(center.l.deg + lon, lat, unit="deg", frame="galactic"), share * u.h
