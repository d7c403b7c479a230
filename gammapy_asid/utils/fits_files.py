# Licensed under a 3-clause BSD style license - see LICENSE
"""FITS files that are whole: what was written is listed in them and demanded when they are read."""

import warnings
import zlib
from contextlib import contextmanager

from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from .files import no_fits, opened, regular_file

__all__ = ["fits_hdus", "open_fits", "write_fits"]

#: Key of the first HDU with the names of all others.
LIST = "HDULIST"


def write_fits(hdus, path):
    """Write HDUs with the list of their names in the first one.

    Parameters
    ----------
    hdus : list of HDU
        The first is a primary HDU.
    path : str or path
        File, which must not exist.
    """
    hdus = fits.HDUList(hdus)
    # Without a comment, for which a long list leaves no room
    hdus[0].header[LIST] = ",".join(hdu.name for hdu in hdus[1:])
    hdus.writeto(path)


@contextmanager
def open_fits(filename):
    """HDUs of a FITS file that is whole.

    Parameters
    ----------
    filename : str or path
        File, compressed or not.

    Yields
    ------
    hdulist : `~astropy.io.fits.HDUList`
        HDUs.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no FITS file, or ends before its end.
    """
    path = regular_file(filename)
    size = _size(path)
    # What its warnings are about is told below in one sentence
    with fits_hdus(path) as hdulist:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyUserWarning)
            _check_end(hdulist, size, filename)
        yield hdulist


def fits_hdus(path, memmap=False):
    """HDUs of a FITS file, whole or not.

    Parameters
    ----------
    path : str or path
        File, compressed or not.
    memmap : bool
        Whether data are read where they are used.

    Returns
    -------
    hdulist : `~astropy.io.fits.HDUList`
        HDUs of an open file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no FITS file; the error says what it begins with.
    """
    path = regular_file(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyUserWarning)
        try:
            return fits.open(path, memmap=memmap, lazy_load_hdus=False)
        except OSError:
            raise no_fits(path) from None


def _check_end(hdulist, size, filename):
    names = {hdu.name for hdu in hdulist}
    place = hdulist[-1].fileinfo()
    end = place["datLoc"] + place["datSpan"]
    listed = [name for name in str(hdulist[0].header.get(LIST, "")).split(",") if name]
    # The filling of the last block is no data, and some programs leave it out
    short = size < (end if listed else place["datLoc"] + min(hdulist[-1].size, place["datSpan"]))
    header = False
    if size > end:
        with opened(hdulist.filename()) as file:
            file.seek(end)
            header = file.read(8) == b"XTENSION"
    # Also without a list a table of the axes of a map tells that there was one
    listed += [name.removesuffix("_BANDS") for name in names if name.endswith("_BANDS")]
    lost = [name for name in dict.fromkeys(listed) if name not in names]
    if short or header or lost:
        what = f", it lacks {', '.join(lost)}" if lost else ""
        raise ValueError(f"{filename} is cut off{what}: copy or make it again")


def _size(path):
    """Bytes of a file without its compression."""
    size = 0
    try:
        with opened(path) as file:
            while chunk := file.read(1 << 22):
                size += len(chunk)
    except (EOFError, zlib.error, OSError) as error:
        raise ValueError(f"{path} is cut off or damaged ({error}): copy or make it again") from None
    return size
