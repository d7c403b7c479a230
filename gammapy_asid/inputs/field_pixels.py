# Licensed under a 3-clause BSD style license - see LICENSE
"""The image geometry of a field, and the way to it from the pixels of a dataset."""

from functools import cached_property

import numpy as np
from astropy.coordinates import SkyCoord, SphericalRepresentation
from gammapy.datasets import Datasets
from gammapy.maps import WcsGeom
from scipy.sparse.csgraph import connected_components

from .masks import valid_bins
from .pixel_grid import PixelGrid, same_image
from .rebin import box_regrid

__all__ = ["MAX_RADIUS", "FieldPixels", "separate_fields"]

#: Largest distance in deg of a pixel from the centre of a field that must be reprojected.
MAX_RADIUS = 45.0


class FieldPixels:
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
        self.geom = (finest.is_square and self._native(finest, grids)) or self._zenithal(finest, grids)
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
        if wide or not PixelGrid(extended, None).is_square:
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
        """Whether the pixels of `grid` fit those of the field by a whole number.

        Parameters
        ----------
        grid : `~gammapy_asid.inputs.pixel_grid.PixelGrid`
            Pixels of a dataset.

        Returns
        -------
        is_aligned : bool
            True if so.
        """
        return self.reference is not None and same_image(grid.geom, self.reference)

    def is_spread(self, grid):
        """Whether counts of `grid` lose their place inside the native pixel.

        Parameters
        ----------
        grid : `~gammapy_asid.inputs.pixel_grid.PixelGrid`
            Pixels of a dataset.

        Returns
        -------
        is_spread : bool
            True if so.
        """
        return not (self.is_aligned(grid) and self.scale >= 1)

    def relative_area(self, grid):
        """Area of the pixels of `grid` over that of a pixel of the field, a scalar or shape ``(n_pix,)``.

        Parameters
        ----------
        grid : `~gammapy_asid.inputs.pixel_grid.PixelGrid`
            Pixels of a dataset.

        Returns
        -------
        area : float or `~numpy.ndarray`
            One for all, or shape ``(n_pix,)``.
        """
        if self.is_aligned(grid):
            return self.scale**-2
        if grid.is_hpx:
            return (grid.size / self.pixel_size) ** 2
        return np.nan_to_num(grid.geom.solid_angle().to_value("deg2").ravel()) / self.pixel_size**2

    def pixel(self, sky):
        """Pixel coordinates ``(x, y)`` of directions.

        Parameters
        ----------
        sky : `~astropy.coordinates.SkyCoord`
            Directions.

        Returns
        -------
        pixels : `~numpy.ndarray`
            Shape ``(2, ...)``.
        """
        return np.stack(self.geom.coord_to_pix(sky))

    def regrid(self, grid):
        """Transfer of the images of `grid` to the field (`~gammapy_asid.inputs.rebin.Regrid`).

        Parameters
        ----------
        grid : `~gammapy_asid.inputs.pixel_grid.PixelGrid`
            Pixels of a dataset.

        Returns
        -------
        regrid : `~gammapy_asid.inputs.rebin.Regrid`
            Transfer.
        """
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


def separate_fields(datasets):
    """Datasets that hang together on the sky, each by one of the others.

    Parameters
    ----------
    datasets : `~gammapy.datasets.Datasets`
        Datasets with valid pixels.

    Returns
    -------
    fields : list of `~gammapy.datasets.Datasets`
        Those of each field, in their order.
    """
    if len(datasets) == 1:
        return [datasets]
    grids = [PixelGrid(d.counts.geom.to_image(), valid_bins(d).any(axis=0).ravel()) for d in datasets]
    field = _fields(grids)
    return [Datasets([datasets[i] for i in np.flatnonzero(field == n).tolist()]) for n in np.unique(field)]


def _fields(grids):
    """Number of the field of each image, shape ``(n,)``."""
    centres = SkyCoord([_mean_direction(grid.centres.icrs) for grid in grids])
    radii = [centre.separation(grid.centres).max().deg for centre, grid in zip(centres, grids, strict=True)]
    apart = centres[:, None].separation(centres[None]).deg
    return connected_components(apart <= np.add.outer(radii, radii), directed=False)[1]


def _check_overlap(grids):
    """Check that the images hang together, each by one of the others."""
    if _fields(_different(grids)).any():
        raise ValueError(
            "The datasets do not overlap on the sky: they must show the same field. "
            "Run the detector on each field separately."
        )


def _different(grids):
    """Images without repetitions: bins of time have the same one."""
    different = []
    for grid in grids:
        same = (
            same_image(grid.geom, own.geom) and np.array_equal(grid.valid, own.valid) for own in different
        )
        if not any(same):
            different.append(grid)
    return different


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
        # A hundredth of a pixel is rounding
        low = np.minimum(low, np.floor(np.nanmin(xy, axis=(1, 2)) - half + 0.5 + 1e-2)).astype(int)
        high = np.maximum(high, np.ceil(np.nanmax(xy, axis=(1, 2)) + half + 0.5 - 1e-2)).astype(int)
    wcs = geom.wcs.deepcopy()
    wcs.wcs.crpix = wcs.wcs.crpix - low
    return WcsGeom(wcs, npix=tuple(int(n) for n in high - low)), -low.astype(float)
