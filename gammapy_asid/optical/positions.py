# Licensed under a 3-clause BSD style license - see LICENSE
"""Positions in an image, of lists of any origin."""

import logging

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from scipy.spatial import KDTree

from ..catalog.candidates import Candidates
from ..utils.table_columns import column_name, column_values, table_positions
from .flags import OpticalFlag

__all__ = ["PIXEL_COLUMNS", "SAME", "add_sky", "duplicates", "given_table", "pixel_positions"]

log = logging.getLogger(__name__)

#: Names of the columns of pixel positions, in any case, and the number of the first pixel: of photutils and
#: sep it is 0, of SExtractor 1.
PIXEL_COLUMNS = (
    (("xcentroid", "ycentroid"), 0),
    (("x_centroid", "y_centroid"), 0),
    (("x_fit", "y_fit"), 0),
    (("x", "y"), 0),
    (("x_init", "y_init"), 0),
    (("x_0", "y_0"), 0),
    (("x0", "y0"), 0),
    (("xcen", "ycen"), 0),
    (("x_peak", "y_peak"), 0),
    (("xpsf_image", "ypsf_image"), 1),
    (("xwin_image", "ywin_image"), 1),
    (("x_image", "y_image"), 1),
)

#: Positions nearer than this in pixels are one.
SAME = 0.5

# Distance in pixels from the first one beyond which no position lies in an image.
LARGEST = 1e9

# Distance in pixels from which pixel and sky positions of a list can't both be of this image.
OTHER_IMAGE = 1.0


def given_table(sources, wcs=None, columns=()):
    """Table of sources with their positions in an image.

    Parameters
    ----------
    sources : `~astropy.table.Table`, `~astropy.coordinates.SkyCoord` or `~gammapy_asid.Candidates`
        Sources: a table with columns of `PIXEL_COLUMNS`, or of right ascension and declination, which need
        `wcs`, as positions on the sky do.
    wcs : `~astropy.wcs.WCS`, optional
        Celestial projection of the image.
    columns : sequence of str
        Names of columns that are to be made.

    Returns
    -------
    table : `~astropy.table.QTable`
        A copy with all columns, and with ``id``, ``xcentroid``, ``ycentroid`` and ``flags`` as this package
        has them; what had one of these names, or of those of `columns`, gets the ending ``_given``.

    Raises
    ------
    TypeError
        If the sources are something else.
    ValueError
        If they have no positions in this image.
    """
    if isinstance(sources, Candidates):
        sources = sources.table
    if isinstance(sources, SkyCoord):
        icrs = sources.icrs.reshape(-1)
        sources = QTable({"ra": icrs.ra.to("deg"), "dec": icrs.dec.to("deg")})
    if not isinstance(sources, Table):
        raise TypeError(
            f"Sources are a table, SkyCoord, Candidates or OpticalSources, got {type(sources).__name__}"
        )
    x, y = pixel_positions(sources, wcs)
    table = QTable(sources, copy=True)
    for name in ("id", "xcentroid", "ycentroid", "flags", *columns):
        if name in table.colnames:
            table.rename_column(name, f"{name}_given")
    first = QTable({"id": np.arange(1, len(x) + 1), "xcentroid": x, "ycentroid": y})
    first["flags"] = np.zeros(len(x), "i4")
    for name in reversed(first.colnames):
        table.add_column(first[name], index=0, name=name)
    return table


def pixel_positions(table, wcs=None):
    """Pixel positions of the rows of a table in an image.

    Parameters
    ----------
    table : `~astropy.table.Table`
        Table with columns of `PIXEL_COLUMNS`, or of right ascension and declination. Where it has both and
        they differ, those on the sky are taken.
    wcs : `~astropy.wcs.WCS`, optional
        Celestial projection of the image.

    Returns
    -------
    x, y : `~numpy.ndarray`
        Positions, 0 is the centre of the first pixel; NaN where there are none.

    Raises
    ------
    ValueError
        If there are no positions in this image.
    """
    found = _pixel_columns(table)
    sky = _sky(table)
    if found is None and sky is None:
        raise ValueError(
            "The sources have no positions: name columns xcentroid and ycentroid (pixels, the first is 0), "
            f"or ra and dec; there are {', '.join(table.colnames) or 'no columns'}"
        )
    if found is None and wcs is None:
        raise ValueError(
            "The sources have sky positions only, and the image has no WCS: give pixel positions"
        )
    if sky is None or wcs is None:
        return found
    on_sky = _to_pixels(wcs, sky)
    if found is None:
        return on_sky
    distance = np.hypot(*(np.subtract(found, on_sky)))
    if np.isfinite(distance).any() and np.nanmedian(distance) > OTHER_IMAGE:
        log.warning(
            "The pixel positions of the sources are those of another image, their sky positions are taken: "
            f"they differ by {np.nanmedian(distance):.1f} pixels in this one"
        )
        return on_sky
    return found


def _pixel_columns(table):
    for names, first in PIXEL_COLUMNS:
        own = [column_name(table, (name,)) for name in names]
        if None not in own:
            return tuple(column_values(table[name]) - first for name in own)
    return None


def _sky(table):
    """Sky positions of the rows of a table, None if it has none."""
    try:
        return table_positions(table, "The list")
    except ValueError as error:
        if "has no columns" in str(error):
            return None
        raise


def _to_pixels(wcs, sky):
    """Pixel positions of sky positions, NaN where the projection has none."""
    known = np.isfinite(sky.spherical.lon) & np.isfinite(sky.spherical.lat)
    x, y = np.full((2, len(sky)), np.nan)
    if known.any():
        x[known], y[known] = wcs.world_to_pixel(sky[known])
    return x, y


def add_sky(table, wcs):
    """Add columns ``ra`` and ``dec`` in deg (ICRS) to a table, or replace them, if there is a projection.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        Table with ``xcentroid`` and ``ycentroid``, changed in place.
    wcs : `~astropy.wcs.WCS` or None
        Celestial projection of the image.
    """
    if wcs is None:
        return
    ra, dec = np.full((2, len(table)), np.nan)
    x, y = (np.asarray(table[name], float) for name in ("xcentroid", "ycentroid"))
    known = np.isfinite(x) & np.isfinite(y)
    if known.any():
        icrs = wcs.pixel_to_world(x[known], y[known]).icrs
        ra[known], dec[known] = icrs.ra.deg, icrs.dec.deg
    table["ra"], table["dec"] = ra * u.deg, dec * u.deg


def duplicates(x, y):
    """Flag of positions that are nearer than `SAME` to another one.

    Parameters
    ----------
    x, y : `~numpy.ndarray`
        Pixels, shape ``(n,)``.

    Returns
    -------
    flags : `~numpy.ndarray`
        ``DUPLICATE`` or 0, shape ``(n,)``.
    """
    flags = np.zeros(len(x), "i4")
    # No image is so large, and squares of larger numbers may overflow
    known = np.flatnonzero(np.hypot(x, y) < LARGEST)
    if len(known) > 1:
        pairs = KDTree(np.column_stack([x[known], y[known]])).query_pairs(SAME, output_type="ndarray")
        flags[known[pairs.ravel()]] = OpticalFlag.DUPLICATE
    return flags
