# Licensed under a 3-clause BSD style license - see LICENSE
"""An image with what is known of its camera, read part by part."""

from dataclasses import dataclass, field

import numpy as np

from .pixels import Pixels

__all__ = ["OpticalImage"]


@dataclass(eq=False, kw_only=True)
class OpticalImage:
    """Image of a sky in one band; see `read_image`, which makes it.

    Parameters
    ----------
    data : `~gammapy_asid.optical.images.pixels.Pixels`
        Values of the pixels, cut from a file where they are asked for.
    name : str
        Name for messages and tables.
    mask : `~gammapy_asid.optical.images.pixels.Pixels`, optional
        Pixels that must not be used: every value that is not zero.
    error : `~gammapy_asid.optical.images.pixels.Pixels`, optional
        Standard deviation of each pixel, in the unit of the data.
    full : `~gammapy_asid.optical.images.pixels.Pixels`, optional
        Pixels at saturation: every value that is not zero.
    background : `~gammapy_asid.optical.images.pixels.Pixels`, optional
        Light of the sky, if it is known.
    wcs : `~astropy.wcs.WCS`, optional
        Celestial world coordinates.
    unit : `~astropy.units.UnitBase`, optional
        Unit of the data.
    gain : float, optional
        Electrons in one unit of the data.
    saturation : float, optional
        Value in the data from which on a pixel is saturated.
    missing : float, optional
        Value that stands for no data.
    zero_point : float, optional
        Magnitude of one unit of the data.
    psf : object, optional
        Point spread function that was given.
    origin : dict
        What told gain, saturation and zero point: keywords of the header, or ``"given"``.
    """

    data: Pixels
    name: str = "image"
    mask: Pixels | None = None
    error: Pixels | None = None
    full: Pixels | None = None
    background: Pixels | None = None
    wcs: object = None
    unit: object = None
    gain: float | None = None
    saturation: float | None = None
    missing: float | None = None
    zero_point: float | None = None
    psf: object = None
    origin: dict = field(default_factory=dict)

    @property
    def shape(self):
        """``(ny, nx)``."""
        return tuple(int(n) for n in self.data.shape)

    def cut(self, ys, xs):
        """Part of the image.

        Parameters
        ----------
        ys, xs : slice
            Rows and columns inside the image.

        Returns
        -------
        data : `~numpy.ndarray`
            Values in the unit of the data, float32 where that holds them exactly, else float64; where the
            pixels have none, NaN.
        mask : `~numpy.ndarray`
            Pixels without usable data: masked, NaN or infinite.
        error : `~numpy.ndarray` or None
            Standard deviation of each pixel. Pixels whose error is not a positive number count as masked.
        """
        data = self.data.cut(ys, xs)
        data = data.astype(np.promote_types(data.dtype, np.float32), copy=False)
        mask = ~np.isfinite(data)
        if self.missing is not None:
            mask |= data == self.missing
        if self.mask is not None:
            mask |= self.mask.cut(ys, xs) != 0
        if self.error is None:
            return data, mask, None
        error = self.error.cut(ys, xs)
        mask |= ~(np.isfinite(error) & (error > 0))
        return data, mask, error
