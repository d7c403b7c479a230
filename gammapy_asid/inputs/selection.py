# Licensed under a 3-clause BSD style license - see LICENSE
"""The selection of events that a FITS file states: which part of the sky, which energies and times."""

import logging
import re
from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from gammapy.data import GTI

__all__ = ["Selection", "read_gti", "read_selection"]

log = logging.getLogger(__name__)

#: Frames of positions, by the first axis.
FRAMES = {"RA": "icrs", "GLON": "galactic", "L": "galactic"}
#: Quantities of angle whose cuts on their own are not understood.
ANGLES = ("RA", "DEC", "L", "B", "GLON", "GLAT")
#: Number of values of each shape.
SHAPES = {"CIRCLE": (3,), "ANNULUS": (4,), "BOX": (4, 5), "ROTBOX": (5,)}


@dataclass(frozen=True)
class Shape:
    """A region of the sky.

    Parameters
    ----------
    kind : {"CIRCLE", "ANNULUS", "BOX"}
        Kind.
    centre : `~astropy.coordinates.SkyCoord`
        Centre.
    sizes : tuple of float
        Radius, inner and outer radius, or width and height, in deg.
    angle : float
        Of a box, counter-clockwise from the equator, in deg.
    """

    kind: str
    centre: SkyCoord
    sizes: tuple
    angle: float = 0.0

    @property
    def reach(self):
        """Largest distance in deg from the centre."""
        return 0.5 * float(np.hypot(*self.sizes)) if self.kind == "BOX" else self.sizes[-1]

    def contains(self, sky, margin):
        """Whether directions lie inside, away from the border by a margin in deg.

        Parameters
        ----------
        sky : `~astropy.coordinates.SkyCoord`
            Directions.
        margin : float or `~numpy.ndarray`
            Margin.

        Returns
        -------
        inside : `~numpy.ndarray`
            Bool, in the shape of the directions.
        """
        if self.kind != "BOX":
            distance = self.centre.separation(sky).deg
            inner = self.sizes[0] + margin if self.kind == "ANNULUS" else -1
            outer = self.sizes[-1] - margin if self.sizes[-1] < 180 else 180
            return (distance <= outer) & (distance >= inner)
        own = sky.transform_to(self.centre.skyoffset_frame(rotation=-self.angle * u.deg)).spherical
        x, y = own.lon.wrap_at("180d").deg * np.cos(own.lat.rad), own.lat.deg
        return (np.abs(x) <= self.sizes[0] / 2 - margin) & (np.abs(y) <= self.sizes[1] / 2 - margin)


@dataclass(frozen=True)
class Selection:
    """Part of the sky and of the energies.

    Parameters
    ----------
    cuts : list of list of `Shape`
        A direction is selected if it is in any of the shapes of each cut.
    e_min, e_max : float
        Energies in GeV.
    """

    cuts: list
    e_min: float = 0.0
    e_max: float = np.inf

    def circle(self):
        """Centre and radius in deg of a circle that holds all that is selected; None for the whole sky."""
        single = [shapes[0] for shapes in self.cuts if len(shapes) == 1 and shapes[0].reach < 180]
        if not single:
            return None
        smallest = min(single, key=lambda shape: shape.reach)
        return smallest.centre, smallest.reach

    def contains(self, geom):
        """Pixels of an image geometry that lie inside throughout.

        Parameters
        ----------
        geom : `~gammapy.maps.WcsGeom`
            Image geometry.

        Returns
        -------
        inside : `~numpy.ndarray`
            Bool, shape of the image.
        """
        sky = geom.get_coord().skycoord
        inside = np.isfinite(sky.spherical.lon.deg)
        # One half of the diagonal of a pixel
        margin = np.sqrt(np.nan_to_num(geom.solid_angle().to_value("deg2")) / 2)
        sky, margin = sky[inside], np.broadcast_to(margin, inside.shape)[inside]
        selected = [np.any([s.contains(sky, margin) for s in shapes], axis=0) for shapes in self.cuts]
        inside[inside] = np.all(selected, axis=0) if selected else True
        return inside

    def whole_bins(self, edges):
        """Energy bins that lie inside throughout; edges in GeV.

        Parameters
        ----------
        edges : `~numpy.ndarray`
            Shape ``(n + 1,)``.

        Returns
        -------
        inside : `~numpy.ndarray`
            Bool, shape ``(n,)``.
        """
        # A thousandth is rounding: headers state energies in few digits
        return (edges[:-1] > self.e_min * 0.999) & (edges[1:] < self.e_max * 1.001)


def read_selection(hdulist, filename):
    """Read the selection of events that the keywords DSTYPn, DSUNIn and DSVALn of the Fermi tools state.

    Parameters
    ----------
    hdulist : `~astropy.io.fits.HDUList`
        List of events, or map.
    filename : str or path
        Named in errors.

    Returns
    -------
    selection : `Selection`
        Selection; everything where the file states none.

    Raises
    ------
    ValueError
        If a cut on the sky is not understood.
    """
    cuts, e_min, e_max = [], 0.0, np.inf
    for header in (hdu.header for hdu in hdulist):
        for key in header:
            if not re.fullmatch(r"DSTYP\d+", key):
                continue
            number = key.removeprefix("DSTYP")
            kind = str(header[key]).replace(" ", "").upper()
            value = str(header.get(f"DSVAL{number}", "")).strip()
            unit = str(header.get(f"DSUNI{number}", "")).strip()
            position = re.fullmatch(r"POS\((\w+),\w+\)", kind)
            try:
                if position:
                    cuts.append(_shapes(value, FRAMES[position[1]], u.Unit(unit or "deg")))
                elif kind == "ENERGY":
                    low, high = _range(value, u.Unit(unit or "MeV"))
                    e_min, e_max = max(e_min, low), min(e_max, high)
                elif kind in ANGLES:
                    raise ValueError("only cuts of POS(RA,DEC) are known")
            except (IndexError, KeyError, ValueError) as error:
                raise ValueError(
                    f"{filename} states a selection that is not understood, {key} {kind} of {value!r} "
                    f"({error}): make a dataset with dataset.mask_safe for it"
                ) from None
    return Selection(cuts, e_min, e_max)


def read_gti(hdulist, filename):
    """Read the good time intervals that a file of events or counts holds beside them.

    Parameters
    ----------
    hdulist : `~astropy.io.fits.HDUList`
        List of events, or map.
    filename : str or path
        Named in warnings.

    Returns
    -------
    gti : `~gammapy.data.GTI` or None
        None where there are none, or where they can't be read, which is warned of.
    """
    if "GTI" not in hdulist:
        return None
    try:
        return GTI.from_table_hdu(hdulist["GTI"])
    except (KeyError, TypeError, ValueError) as error:
        log.warning(f"{filename} has good time intervals that can't be read ({error}): they are left out")
        return None


def _shapes(value, frame, unit):
    """Shapes of a list such as ``CIRCLE(83.6,22.0,15)``."""
    items = re.findall(r"([^\s,(][^(]*)\(([^)]*)\)", value)
    if not items or re.sub(r"[^\s,(][^(]*\([^)]*\)|[\s,]", "", value):
        raise ValueError("no list of regions")
    return [_shape(kind.strip().upper(), numbers, frame, unit) for kind, numbers in items]


def _shape(kind, numbers, frame, unit):
    numbers = [float(number) for number in numbers.split(",")]
    if kind not in SHAPES or len(numbers) not in SHAPES[kind]:
        raise ValueError(f"known are {', '.join(SHAPES)}")
    lon, lat, *sizes = (np.array(numbers) * unit).to_value("deg")
    centre = SkyCoord(lon, lat, unit="deg", frame=frame)
    if kind in ("BOX", "ROTBOX"):
        return Shape("BOX", centre, tuple(sizes[:2]), sizes[2] if len(sizes) > 2 else 0.0)
    return Shape(kind, centre, tuple(sizes))


def _range(value, unit):
    """Lowest and highest energy in GeV of ranges such as ``100:300000``."""
    ends = [part.split(":") for part in value.split(",")]
    low = min(float(end[0]) if end[0].strip() else 0.0 for end in ends)
    high = max(float(end[1]) if end[1].strip() else np.inf for end in ends)
    return tuple(float((end * unit).to_value("GeV")) for end in (low, high))
