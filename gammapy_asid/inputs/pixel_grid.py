# Licensed under a 3-clause BSD style license - see LICENSE
"""The image geometry of a field, and the way to it from the pixels of a dataset."""

from functools import cached_property

import numpy as np
from astropy.coordinates import SkyCoord, SphericalRepresentation
from gammapy.maps import HpxGeom, WcsGeom
from scipy.sparse.csgraph import connected_components

from .rebin import box_regrid

__all__ = ["Field", "MAX_RADIUS", "PixelGrid", "same_image"]

#: Largest distance in deg of a pixel from the centre of a field that must be reprojected.
MAX_RADIUS = 45.0

#: Largest relative deviation of a pixel's sides from a common square.
DISTORTION = 0.03


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
    def is_regular(self):
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
        if not self.is_regular:
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


class Field:
    """The finest pixels of a band cube, common to all datasets of a field.

    A geometry with nearly square pixels of one size is kept: its pixels are
    joined or split by a whole number to come to 0.7-2 nominal ones. Others are moved
    to an equal-area zenithal projection (ZEA) around the centre of the valid
    pixels, whose distortion stays below 3 % up to 28 deg from there.

    Parameters
    ----------
    grids : list of `PixelGrid`
        Images of the datasets.
    nominal : float
        Nominal pixel size of the model in deg.
    shift : tuple of int
        Empty pixels to add at the left and at the bottom: coarser bands then join other pixels.

    Raises
    ------
    ValueError
        If the field is too large, or if images do not overlap.
    """

    def __init__(self, grids, nominal, shift=(0, 0)):
        self.nominal = nominal
        if len(grids) > 1:
            _check_overlap(grids)
        finest = min(grids, key=lambda grid: grid.size)
        self.reference, self.scale, self.offset = None, 1.0, np.zeros(2)
        self.geom = (finest.is_regular and self._native(finest, grids)) or self._zenithal(finest, grids)
        if any(shift):
            self.offset = self.offset + shift
            wcs, (ny, nx) = self.geom.wcs.deepcopy(), self.geom.data_shape
            wcs.wcs.crpix = wcs.wcs.crpix + shift
            self.geom = WcsGeom(wcs, npix=(nx + shift[0], ny + shift[1]))

    def _native(self, finest, grids):
        """Geometry of the finest image with its pixels joined or split; None if that would be distorted."""
        size = finest.size
        if size < self.nominal:
            options = np.arange(1, int(2 * self.nominal / size) + 2)
            scale = float(options[np.argmin(np.abs(np.log(options * size / self.nominal)))])
        else:
            # a pixel of twice the nominal size, give or take the projection, is not split
            scale = 1 / max(1, np.ceil(size / (2 * self.nominal) - 0.01))
        geom = finest.geom
        wcs = geom.wcs.deepcopy()
        _scale_wcs(wcs.wcs, scale)
        ny, nx = (int(np.ceil(n / scale - 1e-6)) for n in geom.data_shape)
        native = WcsGeom(wcs, npix=(nx, ny))
        self.reference, self.scale = geom, scale
        others = [grid for grid in grids if not same_image(grid.geom, geom)]
        if not others:
            return native
        extended, self.offset = _extended(native, others)
        wide = max(extended.data_shape) * size * scale > 2 * MAX_RADIUS
        if wide or not PixelGrid(extended, None).is_regular:
            self.reference, self.offset = None, np.zeros(2)
            return None
        return extended

    def _zenithal(self, finest, grids):
        centre = _mean_direction(SkyCoord([_mean_direction(grid.centres.icrs) for grid in grids]))
        radius = max(centre.separation(grid.centres).max().deg for grid in grids)
        if radius > MAX_RADIUS:
            raise ValueError(
                f"The field reaches {radius:.0f} deg from its centre, more than {MAX_RADIUS:.0f} deg: "
                "cut it into smaller fields, e.g. with dataset.cutout() or a mask, and run them one by one."
            )
        parts = np.ceil(finest.size / (2 * self.nominal) - 0.01)
        binsz = self.nominal if parts <= 1 else finest.size / parts
        point = WcsGeom.create(skydir=centre, npix=(1, 1), binsz=binsz, proj="ZEA", frame=finest.geom.frame)
        return _extended(point, grids)[0]

    @cached_property
    def pixel_size(self):
        """Pixel size in deg."""
        return PixelGrid(self.geom, None).size

    def is_aligned(self, grid):
        """Whether the pixels of `grid` fit those of the field by a whole number."""
        return self.reference is not None and same_image(grid.geom, self.reference)

    def is_spread(self, grid):
        """Whether counts of `grid` lose their place inside the native pixel."""
        return not (self.is_aligned(grid) and self.scale >= 1)

    def relative_area(self, grid):
        """Area of the pixels of `grid` over that of a pixel of the field, a scalar or shape ``(n_pix,)``."""
        if self.is_aligned(grid):
            return self.scale**-2
        if grid.is_hpx:
            return (grid.size / self.pixel_size) ** 2
        return np.nan_to_num(grid.geom.solid_angle().to_value("deg2").ravel()) / self.pixel_size**2

    def pixel(self, sky):
        """Pixel coordinates ``(x, y)`` of directions."""
        return np.stack(self.geom.coord_to_pix(sky))

    def regrid(self, grid):
        """Transfer of the images of `grid` to the field (`~gammapy_asid.inputs.rebin.Regrid`)."""
        shape = self.geom.data_shape
        if self.is_aligned(grid):
            n_side = max(1, round(1 / self.scale))
            ny, nx = grid.geom.data_shape
            x, y = (
                (np.arange(n * n_side) + 0.5) / n_side / self.scale - 0.5 + offset
                for n, offset in zip((nx, ny), self.offset, strict=True)
            )
            x, y = np.meshgrid(x, y)
            boxes = (
                a.reshape(ny, n_side, nx, n_side).swapaxes(1, 2).reshape(ny * nx, n_side**2) for a in (x, y)
            )
            return box_regrid(*boxes, width=np.full(2, 1e-3), shape=shape)
        ratio = grid.size / self.pixel_size
        n_side = max(2, int(np.ceil(3 * ratio)))
        if grid.is_hpx:
            n_side = 2 ** int(np.ceil(np.log2(n_side)))
        x, y = grid.boxes(self.pixel, n_side)
        if grid.is_hpx:
            # upright boxes around diamonds
            width = np.full(2, np.sqrt(2) * ratio / n_side)
        else:
            # sides of the box around each sub-pixel, which may be turned against the target
            width = np.stack([_spacing(a, n_side) for a in (x, y)])
        # pixels that stick out over the edge of the sky have no width
        return box_regrid(x, y, np.clip(np.nan_to_num(width), 1e-3, 1.0), shape)


def _check_overlap(grids):
    """Check that the images hang together, each by one of the others."""
    centres = SkyCoord([_mean_direction(grid.centres.icrs) for grid in grids])
    radii = [centre.separation(grid.centres).max().deg for centre, grid in zip(centres, grids, strict=True)]
    apart = centres[:, None].separation(centres[None]).deg
    n_fields, _ = connected_components(apart <= np.add.outer(radii, radii), directed=False)
    if n_fields > 1:
        raise ValueError(
            "The datasets do not overlap on the sky: they must show the same field. "
            "Run the detector on each field separately."
        )


def same_image(one, other):
    """Whether two image geometries are the same, in their description too."""
    return type(one) is type(other) and one == other


def _spacing(a, n_side):
    """Extent along one target axis of the sub-pixels of each pixel, shape ``(n_pix, 1)``."""
    square = a.reshape(-1, n_side, n_side)
    across, along = square[:, 0, -1] - square[:, 0, 0], square[:, -1, 0] - square[:, 0, 0]
    return ((np.abs(across) + np.abs(along)) / (n_side - 1))[:, None]


def _scale_wcs(wcs, scale):
    """Pixels ``scale`` times larger, the corner of the image stays."""
    if wcs.has_cd():
        wcs.cd = wcs.cd * scale
    else:
        wcs.cdelt = wcs.cdelt * scale
    wcs.crpix = (wcs.crpix - 0.5) / scale + 0.5


def _mean_direction(sky):
    mean = sky.cartesian.mean().represent_as(SphericalRepresentation)
    return SkyCoord(mean.lon, mean.lat, frame=sky.frame.name)


def _extended(geom, grids):
    """`geom` enlarged to hold the valid pixels of `grids`, and the shift of its origin (x, y)."""
    ny, nx = geom.data_shape
    low, high = np.array([0, 0]), np.array([nx, ny])
    for grid in grids:
        xy = np.stack(grid.boxes(lambda sky: np.stack(geom.coord_to_pix(sky)), 2))[:, grid.valid]
        half = grid.size / PixelGrid(geom, None).size / 4
        low = np.minimum(low, np.floor(np.nanmin(xy, axis=(1, 2)) - half + 0.5 + 1e-2)).astype(int)
        high = np.maximum(high, np.ceil(np.nanmax(xy, axis=(1, 2)) + half + 0.5 - 1e-2)).astype(int)
    wcs = geom.wcs.deepcopy()
    wcs.wcs.crpix = wcs.wcs.crpix - low
    return WcsGeom(wcs, npix=tuple(int(n) for n in high - low)), -low.astype(float)
