# Licensed under a 3-clause BSD style license - see LICENSE
"""Sky positions of the pixels of an image, of any kind."""

from functools import cached_property

import numpy as np
from astropy.coordinates import SkyCoord
from gammapy.maps import HpxGeom, WcsGeom

from .longitudes import wrapped_geom

__all__ = ["PixelGrid", "same_image", "same_pixels"]

#: Largest relative deviation of a pixel's sides from a common square.
DISTORTION = 0.03

#: Tolerance of positions in pixels: files hold single precision.
PIXEL_TOLERANCE = 0.02


class PixelGrid:
    """Sky positions of the pixels of an image, WCS or HEALPix.

    Parameters
    ----------
    geom : `~gammapy.maps.WcsGeom` or `~gammapy.maps.HpxGeom`
        Image geometry.
    valid : `~numpy.ndarray`
        True for pixels with data, flattened.
    """

    def __init__(self, geom, valid):
        self.geom = geom
        self.valid = valid
        self.is_hpx = isinstance(geom, HpxGeom)

    @cached_property
    def _sides(self):
        """Sides of sample pixels as vectors in rad, each of shape ``(n, 3)``."""
        if self.is_hpx:
            return self._sides_hpx
        ny, nx = self.geom.data_shape
        y, x = (a.ravel() for a in np.meshgrid(*(np.linspace(0, n - 1, 9) for n in (ny, nx)), indexing="ij"))

        def vector(dx, dy):
            lon, lat = (a.to_value("rad") for a in self.geom.pix_to_coord((x + dx, y + dy)))
            return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)

        return vector(0.5, 0) - vector(-0.5, 0), vector(0, 0.5) - vector(0, -0.5)

    @property
    def _sides_hpx(self):
        """Sides of HEALPix pixels, which are rhombs of many shapes."""
        import healpy

        nside, lonlat = int(self.geom.nside[0]), self.geom.get_coord().skycoord.ravel().spherical
        step = max(1, lonlat.size // 100)
        pixels = healpy.ang2pix(nside, lonlat.lon.deg[::step], lonlat.lat.deg[::step], lonlat=True)
        north, west, south, east = np.moveaxis(healpy.boundaries(nside, pixels, step=1), -1, 0)
        return (east - south + north - west) / 2, (west - south + north - east) / 2

    @cached_property
    def size(self):
        """Typical pixel size in deg."""
        if self.is_hpx:
            return float(np.degrees(np.sqrt(np.pi / 3) / self.geom.nside[0]))
        area = np.linalg.norm(np.cross(*self._sides), axis=-1)
        return float(np.degrees(np.sqrt(np.nanmedian(area))))

    @cached_property
    def spread(self):
        """Side in deg of a square whose points scatter as much as those of a typical pixel."""
        # Points of a parallelogram scatter by a twelfth of the squares of its sides
        square = sum((side**2).sum(axis=-1) for side in self._sides) / 2
        return float(np.degrees(np.sqrt(np.nanmedian(square))))

    @property
    def is_square(self):
        """Whether all pixels are nearly squares of one size."""
        if self.is_hpx:
            return False
        sides = np.stack(self._sides)
        lengths = np.linalg.norm(sides, axis=-1)
        cosine = (sides[0] * sides[1]).sum(-1) / lengths.prod(0)
        off = np.abs(lengths / np.radians(self.size) - 1)
        return bool(np.all(off < DISTORTION) and np.all(np.abs(cosine) < DISTORTION))

    @property
    def is_nominal(self):
        """Whether the pixels are nearly squares of the size that the header states.

        The kernels of Gammapy take them to be so.
        """
        if not self.is_square:
            return False
        scales = self.geom.pixel_scales.to_value("deg")
        return bool(np.all(np.abs(scales / self.size - 1) < DISTORTION))

    @cached_property
    def centres(self):
        """Directions of the valid pixels (`~astropy.coordinates.SkyCoord`)."""
        return self.geom.get_coord().skycoord.ravel()[self.valid]

    def boxes(self, target, n_side):
        """Pixels divided in ``n_side**2`` boxes: their centres in pixels of `target`.

        Parameters
        ----------
        target : callable
            Pixel coordinates ``(x, y)`` of a `~astropy.coordinates.SkyCoord`.
        n_side : int
            Boxes along a side; a power of two for HEALPix.

        Returns
        -------
        x, y : `~numpy.ndarray`
            Shape ``(n_pix, n_side**2)``, NaN outside the sky.
        """
        if self.is_hpx:
            return self._boxes_hpx(target, n_side)
        ny, nx = self.geom.data_shape
        y, x = np.mgrid[: ny + 1, : nx + 1] - 0.5
        lon, lat = self.geom.pix_to_coord((x, y))
        corners = np.stack(target(SkyCoord(lon, lat, frame=self.geom.frame)))
        # bilinear between the corners: as exact as the pixel is small against the sphere
        u = (np.arange(n_side) + 0.5) / n_side
        v, u = (a.ravel() for a in np.meshgrid(u, u, indexing="ij"))
        c00, c01, c10, c11 = (
            corners[:, j : ny + j, i : nx + i].reshape(2, -1, 1) for j in (0, 1) for i in (0, 1)
        )
        xy = c00 * (1 - u) * (1 - v) + c01 * u * (1 - v) + c10 * (1 - u) * v + c11 * u * v
        if not np.isfinite(xy).all():
            # a pixel may stick out over the pole or the edge of an all-sky projection
            centre = np.stack(target(self.geom.get_coord().skycoord)).reshape(2, -1, 1)
            xy = np.where(np.isfinite(xy), xy, centre)
        return xy[0], xy[1]

    def _boxes_hpx(self, target, n_side):
        import healpy

        nside, lonlat = int(self.geom.nside[0]), self.geom.get_coord().skycoord.spherical
        ipix = healpy.ang2pix(
            nside, lonlat.lon.deg[self.valid], lonlat.lat.deg[self.valid], nest=True, lonlat=True
        )
        child = ipix[:, None] * n_side**2 + np.arange(n_side**2)
        lon, lat = healpy.pix2ang(nside * n_side, child, nest=True, lonlat=True)
        x, y = np.full((2, self.valid.size, n_side**2), np.nan)
        x[self.valid], y[self.valid] = target(SkyCoord(lon, lat, unit="deg", frame=self.geom.frame))
        return x, y


def same_image(one, other):
    """Whether two image geometries are the same, in their description too.

    Parameters
    ----------
    one, other : `~gammapy.maps.Geom`
        Image geometries.

    Returns
    -------
    same : bool
        True if so.
    """
    return type(one) is type(other) and one == other


def same_pixels(one, other):
    """Whether two image geometries have the same pixels in the same order.

    Compared are the positions of pixels, since one grid can be described in several ways.

    Parameters
    ----------
    one, other : `~gammapy.maps.Geom`
        Image geometries.

    Returns
    -------
    same : bool
        True if so, up to `PIXEL_TOLERANCE` of a pixel.
    """
    if type(one) is not type(other) or one.data_shape != other.data_shape:
        return False
    one, other = wrapped_geom(one), wrapped_geom(other)
    if isinstance(one, WcsGeom):
        if one == other:
            return True
        sample = np.meshgrid(*(np.linspace(0, n - 1, 9).round() for n in one.data_shape[::-1]))
        sky = [SkyCoord(*geom.pix_to_coord(sample), frame=geom.frame) for geom in (one, other)]
    else:
        sky = [geom.get_coord().skycoord for geom in (one, other)]
    inside = [np.isfinite(some.spherical.lon.deg) for some in sky]
    if not np.array_equal(*inside):
        return False
    distance = sky[0][inside[0]].separation(sky[1][inside[0]]).deg
    size = np.degrees(np.sqrt(np.nanmedian(one.solid_angle().to_value("sr"))))
    return bool(np.all(distance < PIXEL_TOLERANCE * size))
