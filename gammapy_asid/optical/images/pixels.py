# Licensed under a 3-clause BSD style license - see LICENSE
"""Pixels of an image, read when they are asked for: large files never lie in memory as a whole."""

import logging
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
from astropy.io import fits

__all__ = [
    "ArrayPixels",
    "CompressedPixels",
    "FilePixels",
    "Pixels",
    "hdu_pixels",
    "image_index",
    "size_text",
]

log = logging.getLogger(__name__)

#: Ends of the names of files that are compressed as a whole: only their first byte can be gone to.
PACKED = (".gz", ".bz2", ".xz", ".lzma", ".zip", ".z")


class Pixels(ABC):
    """Pixels of an image with two dimensions; they have a ``shape``."""

    @abstractmethod
    def cut(self, ys, xs):
        """Part of the image, in the machine's byte order.

        Parameters
        ----------
        ys, xs : slice
            Rows and columns inside the image.

        Returns
        -------
        part : `~numpy.ndarray`
            A copy; blank pixels are NaN.
        """


class ArrayPixels(Pixels):
    """Pixels in memory.

    Parameters
    ----------
    array : `~numpy.ndarray`
        Two-dimensional array.
    """

    def __init__(self, array):
        self.array = array
        self.shape = array.shape
        self.dtype = array.dtype

    def cut(self, ys, xs):
        part = self.array[ys, xs]
        return np.array(part, dtype=part.dtype.newbyteorder("="))


class FilePixels(Pixels):
    """Pixels of an uncompressed image of a FITS file: the file is mapped for each part anew.

    Scaled integers are computed in double precision: nothing overflows.

    Parameters
    ----------
    path : path
        File.
    header : `~astropy.io.fits.Header`
        Header of the image as the file has it.
    offset : int
        Byte at which its data begin.

    Raises
    ------
    ValueError
        If the file is too short.
    """

    def __init__(self, path, header, offset):
        self.path = Path(path)
        self.offset = offset
        self.shape = (header["NAXIS2"], header["NAXIS1"])
        self.raw = np.dtype(fits.BITPIX2DTYPE[header["BITPIX"]]).newbyteorder(">")
        self.scale, self.zero = header.get("BSCALE", 1), header.get("BZERO", 0)
        self.blank = header.get("BLANK") if self.raw.kind in "iu" else None
        size = self.raw.itemsize * self.shape[0] * self.shape[1]
        if self.path.stat().st_size < offset + size:
            raise ValueError(f"{path} ends before its image does: it is not complete.")
        is_plain = (self.scale, self.zero, self.blank) == (1, 0, None)
        self.dtype = self.raw.newbyteorder("=") if is_plain else np.dtype(float)

    def cut(self, ys, xs):
        raw = np.memmap(self.path, self.raw, "r", self.offset, self.shape)[ys, xs]
        part = np.array(raw, dtype=self.dtype)
        if self.blank is not None:
            part[raw == self.blank] = np.nan
        if (self.scale, self.zero) != (1, 0):
            part *= self.scale
            part += self.zero
        return part


class CompressedPixels(Pixels):
    """Pixels of a tile-compressed image of a FITS file.

    The rows read last are kept: tiles are often rows of the image, and parts of it asked for along rows.

    Parameters
    ----------
    path : path
        File.
    index : int
        Number of the extension.
    shape : tuple of int
        ``(ny, nx)``.
    """

    def __init__(self, path, index, shape):
        self.path, self.index, self.shape = Path(path), index, shape
        self.rows, self.kept = None, None
        self.dtype = self.cut(slice(0, 1), slice(0, 1)).dtype

    def cut(self, ys, xs):
        if self.rows != (ys.start, ys.stop):
            with fits.open(self.path) as hdus:
                part = hdus[self.index].section[..., ys, :]
            self.rows = ys.start, ys.stop
            self.kept = part.reshape(part.shape[-2:])
        return np.array(self.kept[:, xs], dtype=self.kept.dtype.newbyteorder("="))


def hdu_pixels(path, index, hdu):
    """Pixels of an image extension of an open file.

    Parameters
    ----------
    path : path or None
        The file; None where there is only the extension in memory.
    index : int
        Number of the extension.
    hdu : `~astropy.io.fits.ImageHDU` or like it
        Extension with a two-dimensional image, apart from axes of length one.

    Returns
    -------
    pixels : `FilePixels`, `CompressedPixels` or `ArrayPixels`
        Files that are packed as a whole are read into memory.
    """
    shape = hdu.shape[-2:]
    if path is None or Path(path).suffix.lower() in PACKED:
        return ArrayPixels(np.asarray(hdu.data).reshape(shape))
    if isinstance(hdu, fits.CompImageHDU):
        return CompressedPixels(path, index, shape)
    return FilePixels(path, hdu.header, hdu.fileinfo()["datLoc"])


def size_text(shape):
    """Shape of an array as text, such as ``120 x 150``.

    Parameters
    ----------
    shape : tuple of int
        Shape.
    """
    return " x ".join(str(n) for n in shape)


def image_index(hdus, path, wanted):
    """Number of the extension with the image.

    Parameters
    ----------
    hdus : `~astropy.io.fits.HDUList`
        File.
    path : path
        Its name, for messages.
    wanted : int or str or None
        The extension; None for the first with an image, or the first ``SCI``.

    Raises
    ------
    ValueError
        If there is no image.
    """
    if wanted is not None:
        try:
            index = hdus.index_of(wanted)
            hdu = hdus[index]
        except (KeyError, IndexError):
            names = [f"{i} {hdu.name}".strip() for i, hdu in enumerate(hdus)]
            raise ValueError(f"{path} has no extension {wanted!r}, but {names}.") from None
        if not _is_image(hdu):
            raise ValueError(f"Extension {wanted!r} of {path} is a {type(hdu).__name__} without an image.")
        return index
    images = [i for i, hdu in enumerate(hdus) if _is_image(hdu)]
    if not images:
        kinds = sorted({type(hdu).__name__ for hdu in hdus})
        raise ValueError(f"{path} has no image, only {kinds}.")
    science = [i for i in images if hdus[i].name == "SCI"] or images
    if len(science) > 1 and hdus[science[1]].shape[-2:] == hdus[science[0]].shape[-2:]:
        log.info(f"{path} has {len(science)} images: extension {science[0]} is taken, others by `hdu`.")
    return science[0]


def _is_image(hdu):
    return hdu.is_image and len(hdu.shape) > 0
