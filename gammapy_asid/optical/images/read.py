# Licensed under a 3-clause BSD style license - see LICENSE
"""Images from files, `~astropy.nddata.CCDData` and arrays."""

import logging
from dataclasses import replace
from os import PathLike

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.nddata import NDData, StdDevUncertainty
from gammapy.utils.scripts import make_path

from ...utils.fits_files import fits_hdus
from .image import OpticalImage
from .keywords import celestial_wcs, gain_of, saturation_of, unit_of, zero_point_of
from .pixels import ArrayPixels, hdu_pixels
from .planes import maps_beside

__all__ = ["read_image"]

log = logging.getLogger(__name__)

#: Pixels along the shorter side below which there is no sky to be measured.
SMALLEST = 8
#: What may tell celestial coordinates.
WITH_HEADER = (str, PathLike, fits.PrimaryHDU, fits.ImageHDU, fits.CompImageHDU, NDData)
#: What must be positive where it is given as a number.
POSITIVE = {
    "gain": "a positive number of electrons in one unit of the image",
    "error": "a positive standard deviation in the unit of the image",
}


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
            f"{found.name} has {_size(found.shape)} pixels: too few to tell a source from the sky, "
            f"at least {SMALLEST} along each side are needed."
        )
    given = {"gain": gain, "saturation": saturation, "zero_point": zero_point}
    given = {name: _number(value, name) for name, value in given.items() if value is not None}
    maps = {"mask": mask, "error": error, "background": background}
    maps = {name: _map(value, name, found) for name, value in maps.items() if value is not None}
    if psf is not None:
        maps["psf"] = psf
    if found.wcs is None and isinstance(image, WITH_HEADER):
        log.warning(
            f"{found.name} has no celestial coordinates that can be used: positions are in pixels only."
        )
    return replace(found, **given, **maps, origin=found.origin | dict.fromkeys(given, "given"))


def _size(shape):
    return " x ".join(str(n) for n in shape)


def _number(value, name):
    """A number that was given for the camera."""
    if np.size(value) != 1:
        raise ValueError(f"{name} has {np.size(value)} values: one number for the whole image is needed.")
    value = float(np.ravel(u.Quantity(value).value)[0])
    if not np.isfinite(value) or (name in POSITIVE and value <= 0):
        raise ValueError(f"{name} = {value:g}: must be {POSITIVE.get(name, 'a finite number')}.")
    return value


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
        return _with_header(ArrayPixels(_plain(image.data, "The image")), image.header, image.name or "image")
    if isinstance(image, NDData):
        return _from_nddata(image)
    if isinstance(image, (fits.hdu.base.ExtensionHDU, fits.HDUList)):
        raise TypeError(f"A {type(image).__name__} is no image: give the path or one image extension.")
    unit = image.unit if isinstance(image, u.Quantity) else None
    masked = np.ma.getmaskarray(image) if isinstance(image, np.ma.MaskedArray) else None
    data = _plain(getattr(image, "value", image), "The image")
    mask = None if masked is None else ArrayPixels(masked.reshape(data.shape))
    return OpticalImage(data=ArrayPixels(data), mask=mask, unit=unit)


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
            f"{name} is a cube of {_size(shape)} (last axis x): give one of its planes, "
            f"such as `CCDData(cube[0], unit=..., wcs=...)`, or their sum."
        )
    if len(shape) < 2:
        raise ValueError(f"{name} has one axis of {shape[0]} pixels: an image in two dimensions is needed.")
    return axes


def _is_image(hdu):
    return hdu.is_image and len(hdu.shape) > 0


def _from_file(path, wanted):
    """Image of a file, with the errors and masks that lie beside it in the same file."""
    # Whether the file is complete is seen where its pixels are
    with fits_hdus(path, memmap=True) as hdus:
        index = _image_index(hdus, path, wanted)
        hdu = hdus[index]
        name = path.name if wanted is None else f"{path.name}[{wanted}]"
        _check_axes(hdu.shape, name)
        header = hdu.header.copy()
        if index and header.get("INHERIT", True):
            header.extend(hdus[0].header, unique=True)
        image = _with_header(hdu_pixels(path, index, hdu), header, name, hdus)
        beside = maps_beside(hdus, index, lambda number: hdu_pixels(path, number, hdus[number]))
    return replace(image, **beside)


def _image_index(hdus, path, wanted):
    """Number of the extension with the image."""
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


def _with_header(pixels, header, name, hdus=None):
    """Image of pixels and the header that came with them."""
    unit = unit_of(header.get("BUNIT"))
    wcs = celestial_wcs(header, hdus)
    told = {
        "gain": gain_of(header, unit, name),
        "saturation": saturation_of(header, name),
        "zero_point": zero_point_of(header, unit, name),
    }
    values = {key: value for key, (value, _) in told.items()}
    origin = {key: keyword for key, (_, keyword) in told.items() if keyword}
    return OpticalImage(data=pixels, name=name, wcs=wcs, unit=unit, origin=origin, **values)


def _from_nddata(data):
    """Image of a CCDData or another NDData."""
    header = fits.Header()
    for key, value in (data.meta or {}).items():
        if isinstance(value, (int, float, str)) and key.isascii() and len(key) <= 8:
            header[key] = value
    if data.unit is not None:
        header["BUNIT"] = data.unit.to_string()
    pixels = ArrayPixels(_plain(data.data, "The image"))
    image = _with_header(pixels, header, "image")
    wcs = data.wcs
    mask = None if data.mask is None else _map(data.mask, "mask", image)
    error = None
    if data.uncertainty is not None:
        error = _map(data.uncertainty.represent_as(StdDevUncertainty).array, "error", image)
    return replace(image, wcs=wcs, unit=data.unit, mask=mask, error=error)


def _map(value, name, image):
    """Mask, error or background of an image: a path, an array of its shape, or a number."""
    if isinstance(value, (str, PathLike)):
        path = make_path(value)
        with fits_hdus(path, memmap=True) as hdus:
            index = _image_index(hdus, path, None)
            pixels = hdu_pixels(path, index, hdus[index])
    elif np.ndim(value) == 0 and name != "mask":
        level = _number(value, name)
        pixels = ArrayPixels(np.broadcast_to(np.float32(level), image.shape))
    else:
        if isinstance(value, u.Quantity) and image.unit is not None and name != "mask":
            value = value.to(image.unit)
        values = np.asarray(getattr(value, "value", value))
        if values.dtype.kind not in "buif":
            raise TypeError(f"The {name} has values of type {values.dtype}: real numbers are needed.")
        pixels = ArrayPixels(values)
    if tuple(pixels.shape) != image.shape:
        raise ValueError(
            f"The {name} has {_size(pixels.shape)} pixels, but {image.name} has {_size(image.shape)}."
        )
    return pixels
