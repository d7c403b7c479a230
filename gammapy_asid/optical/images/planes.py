# Licensed under a 3-clause BSD style license - see LICENSE
"""Masks and errors that lie beside an image in its file, in the ways of the observatories."""

from dataclasses import dataclass

import numpy as np

from .pixels import Pixels

__all__ = ["ComputedPixels", "maps_beside"]

#: Bits of data quality by telescope: those of pixels without usable data, and of full ones. Cosmic rays are
#: none of them: they are found here. (HST: ACS Data Handbook, table 3.4; JWST: Data Products Documentation.)
QUALITY = {"HST": (1 | 2 | 4 | 8 | 16 | 128 | 512, 256), "JWST": (1, 2)}
#: Names of planes of the masks of LSST's pipelines, whose bits the keywords ``MP_...`` number.
BAD_PLANES, FULL_PLANES = ("MP_BAD", "MP_NO_DATA"), ("MP_SAT",)
#: What CCDData calls its errors.
STANDARD, VARIANCE, INVERSE = "StdDevUncertainty", "VarianceUncertainty", "InverseVariance"


@dataclass(frozen=True, eq=False)
class ComputedPixels(Pixels):
    """Pixels that are computed from others.

    Parameters
    ----------
    pixels : `~gammapy_asid.optical.images.pixels.Pixels`
        Pixels of a file or in memory.
    bits : int, optional
        Bits of which one must be set; without them the square root is taken.
    inverse : bool
        Whether the root is that of the inverse.
    """

    pixels: Pixels
    bits: int | None = None
    inverse: bool = False

    @property
    def shape(self):
        """``(ny, nx)``."""
        return self.pixels.shape

    def cut(self, ys, xs):
        part = self.pixels.cut(ys, xs)
        if self.bits is None:
            root = np.sqrt(np.where(part >= 0, part, np.nan))
            return 1 / np.where(root > 0, root, np.nan) if self.inverse else root
        return (part.astype(np.int64) & self.bits) != 0


def maps_beside(hdus, index, pixels_of):
    """Errors, masks and full pixels that lie beside an image.

    Known are the extensions of HST and JWST (``ERR``, ``DQ``), of LSST's pipelines (``VARIANCE``, ``MASK``
    with planes) and those that `~astropy.nddata.CCDData` writes (``UNCERT``, ``MASK``).

    Parameters
    ----------
    hdus : `~astropy.io.fits.HDUList`
        File.
    index : int
        Number of the extension with the image.
    pixels_of : callable
        Gives the pixels of an extension, by its number.

    Returns
    -------
    maps : dict
        Pixels by ``"error"``, ``"mask"`` and ``"full"``, where there are such.
    """
    image, maps = hdus[index], {}
    for number, hdu in enumerate(hdus):
        is_beside = number != index and hdu.is_image and hdu.shape == image.shape and hdu.ver == image.ver
        if not is_beside or hdu.name == image.name:
            continue
        kind = hdu.header.get("UTYPE", STANDARD)
        if hdu.name == "ERR" or (hdu.name == "UNCERT" and kind == STANDARD):
            maps["error"] = pixels_of(number)
        elif hdu.name == "VARIANCE" or (hdu.name == "UNCERT" and kind == VARIANCE):
            maps["error"] = ComputedPixels(pixels_of(number))
        elif hdu.name == "UNCERT" and kind == INVERSE:
            maps["error"] = ComputedPixels(pixels_of(number), inverse=True)
        elif hdu.name in ("DQ", "MASK"):
            maps |= _mask_planes(hdus, hdu, pixels_of(number))
    return maps


def _mask_planes(hdus, hdu, pixels):
    """Pixels without data, and full ones, of an extension with bits."""
    if hdu.name == "DQ":
        telescope = hdu.header.get("TELESCOP", hdus[0].header.get("TELESCOP"))
        bad, full = QUALITY.get(telescope, (0, 0))
    else:
        bad, full = (
            sum(1 << hdu.header[name] for name in names if name in hdu.header)
            for names in (BAD_PLANES, FULL_PLANES)
        )
        if not (bad or full):
            return {"mask": pixels}
    found = {"mask": bad, "full": full}
    return {name: ComputedPixels(pixels, bits) for name, bits in found.items() if bits}
