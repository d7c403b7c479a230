# Licensed under a 3-clause BSD style license - see LICENSE
"""Images from files, `~astropy.nddata.CCDData` and arrays."""

import logging
from dataclasses import replace
from os import PathLike

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.nddata import NDData
from gammapy.utils.scripts import make_path

from ...utils.fits_files import fits_hdus
from .given import given_map, given_number, mask_of, standard_deviation, without_mask
from .image import OpticalImage
from .keywords import celestial_wcs, checked_wcs, gain_of, saturation_of, unit_of, zero_point_of
from .pixels import ArrayPixels, hdu_pixels, image_index, size_text
from .planes import maps_beside

__all__ = ["read_image"]

log = logging.getLogger(__name__)

#: Pixels along the shorter side below which there is no sky to be measured.
SMALLEST = 8
#: What may tell celestial coordinates.
WITH_HEADER = (str, PathLike, fits.PrimaryHDU, fits.ImageHDU, fits.CompImageHDU, NDData)


def read_image(
    image,
    hdu=None,
    mask=None,
    error=None,
    background=None,
    gain=None,
    saturation=None,
    zero_point=None,
    psf=None,
):
    """Image with what its header tells of the camera; what is given here goes before that.

    Parameters
    ----------
    image : str, path, HDU, `~astropy.nddata.CCDData`, `~astropy.units.Quantity`, array or `OpticalImage`
        Image in two dimensions. Files may be packed (``.gz``, ``.bz2``) or tile-compressed; those that are
        not packed as a whole are read part by part.
    hdu : int or str, optional
        Extension of the file; by default the first with an image.
    mask : array or path, optional
        Pixels that must not be used (all that is not zero), of the shape of the image.
    error : float, array or path, optional
        Standard deviation of the pixels in the unit of the image.
    background : float, array or path, optional
        Light of the sky in the unit of the image; by default it is measured.
    gain : float, optional
        Electrons in one unit of the image.
    saturation : float, optional
        Value from which on a pixel is saturated.
    zero_point : float, optional
        Magnitude of one unit of the image.
    psf : object, optional
        Point spread function.

    Returns
    -------
    image : `OpticalImage`
        Image.

    Raises
    ------
    TypeError, ValueError
        If that is no image with two dimensions and real numbers, or if what is given with it does not fit.
    """
    found = _found(image, hdu)
    if min(found.shape) < SMALLEST:
        raise ValueError(
            f"{found.name} has {size_text(found.shape)} pixels: too few to tell a source from the sky, "
            f"at least {SMALLEST} along each side are needed."
        )
    given = {"gain": gain, "saturation": saturation, "zero_point": zero_point}
    given = {
        name: given_number(value, name, found.unit) for name, value in given.items() if value is not None
    }
    maps = {"mask": mask, "error": error, "background": background}
    maps = {name: given_map(value, name, found) for name, value in maps.items() if value is not None}
    if psf is not None:
        maps["psf"] = psf
    if found.wcs is None and isinstance(image, WITH_HEADER):
        log.warning(
            f"{found.name} has no celestial coordinates that can be used: positions are in pixels only."
        )
    return replace(found, **given, **maps, origin=found.origin | dict.fromkeys(given, "given"))


def _found(image, hdu):
    """Image with what it brings along itself."""
    if isinstance(image, OpticalImage):
        return image
    if isinstance(image, (str, PathLike)):
        return _from_file(make_path(image), hdu)
    if hdu is not None:
        raise ValueError(f"hdu = {hdu!r} is for files, but the image is a {type(image).__name__}.")
    if isinstance(image, (fits.PrimaryHDU, fits.ImageHDU, fits.CompImageHDU)):
        _check_axes(image.shape, "The image")
        pixels = ArrayPixels(_plain(image.data, "The image"))
        return _with_header(pixels, image.header, image.name or "image", celestial_wcs(image.header))
    if isinstance(image, NDData):
        return _from_nddata(image)
    if isinstance(image, (fits.hdu.base.ExtensionHDU, fits.HDUList)):
        raise TypeError(f"A {type(image).__name__} is no image: give the path or one image extension.")
    told = image.unit if isinstance(image, u.Quantity) else None
    masked, image = mask_of(image), without_mask(image)
    data = ArrayPixels(_plain(getattr(image, "value", image), "The image"))
    mask = None if masked is None else ArrayPixels(masked.reshape(data.shape))
    return replace(_with_header(data, {}, "image", unit=told), mask=mask)


def _plain(data, name):
    """Array in two dimensions of real numbers."""
    data = np.ma.getdata(np.asanyarray(data) if isinstance(data, np.ndarray) else np.asarray(data))
    if data.dtype.kind not in "iuf":
        raise TypeError(f"{name} has values of type {data.dtype}: real numbers are needed.")
    return data.reshape(_check_axes(data.shape, name))


def _check_axes(shape, name):
    """The two axes of an image; further ones may have length one."""
    shape = tuple(shape)
    if 0 in shape or not shape:
        raise ValueError(f"{name} is empty (shape {shape}): an image in two dimensions is needed.")
    axes = shape[-2:]
    if len(shape) > 2 and np.prod(shape[:-2]) > 1:
        raise ValueError(
            f"{name} is a cube of {size_text(shape)} (last axis x): give one of its planes, "
            f"such as `CCDData(cube[0], unit=..., wcs=...)`, or their sum."
        )
    if len(shape) < 2:
        raise ValueError(f"{name} has one axis of {shape[0]} pixels: an image in two dimensions is needed.")
    return axes


def _from_file(path, wanted):
    """Image of a file, with the errors and masks that lie beside it in the same file."""
    # Whether the file is complete is seen where its pixels are
    with fits_hdus(path, memmap=True) as hdus:
        index = image_index(hdus, path, wanted)
        hdu = hdus[index]
        name = path.name if wanted is None else f"{path.name}[{wanted}]"
        _check_axes(hdu.shape, name)
        header = hdu.header.copy()
        if index and header.get("INHERIT", True):
            header.extend(hdus[0].header, unique=True)
        image = _with_header(hdu_pixels(path, index, hdu), header, name, celestial_wcs(header, hdus))
        beside = maps_beside(hdus, index, lambda number: hdu_pixels(path, number, hdus[number]))
    return replace(image, **beside)


def _with_header(pixels, header, name, wcs=None, unit=None):
    """Image of pixels and the header that came with them, in its unit or in another one that is told."""
    text = str(header.get("BUNIT") or "") if unit is None else str(unit)
    told = unit_of(text)
    if told is None and text.strip():
        log.warning(
            f"{name}: the unit {text!r} is not known, its numbers are taken for counts of a detector."
        )
    found = {
        "gain": gain_of(header, told, name),
        "saturation": saturation_of(header, name),
        "zero_point": zero_point_of(header, told, name),
    }
    values = {key: value for key, (value, _) in found.items()}
    origin = {key: keyword for key, (_, keyword) in found.items() if keyword}
    return OpticalImage(data=pixels, name=name, wcs=wcs, unit=unit or told, origin=origin, **values)


def _from_nddata(data):
    """Image of a CCDData or another NDData."""
    header = {str(key).upper(): value for key, value in (data.meta or {}).items()}
    pixels = ArrayPixels(_plain(data.data, "The image"))
    image = _with_header(pixels, header, "image", checked_wcs(data.wcs), data.unit)
    mask = None if data.mask is None else given_map(data.mask, "mask", image)
    if data.uncertainty is None:
        return replace(image, mask=mask)
    return replace(image, mask=mask, error=given_map(standard_deviation(data.uncertainty), "error", image))
