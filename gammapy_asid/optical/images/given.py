# Licensed under a 3-clause BSD style license - see LICENSE
"""Numbers and maps that are given with an image, in its units."""

from itertools import combinations
from os import PathLike

import astropy.units as u
import numpy as np
from astropy.nddata import StdDevUncertainty
from astropy.utils.masked import Masked
from gammapy.utils.scripts import make_path

from ...utils.fits_files import fits_hdus
from .pixels import ArrayPixels, hdu_pixels, image_index, size_text

__all__ = ["given_map", "given_number", "mask_of", "standard_deviation", "without_mask"]

#: What must be positive where it is given as a number.
POSITIVE = {
    "gain": "a positive number of electrons in one unit of the image",
    "error": "a positive standard deviation in the unit of the image",
}
#: Units of counts of a detector, which are one and the same, also of electrons in one.
COUNTS = [
    pair
    for one, other in combinations((u.adu, u.ct, u.DN), 2)
    for pair in ((one, other), (u.electron / one, u.electron / other))
]


def given_number(value, name, unit):
    """A number that was given for the camera.

    Parameters
    ----------
    value : float or `~astropy.units.Quantity`
        Number; a plain one is in the unit that is needed.
    name : str
        ``"gain"``, ``"zero_point"``, or the name of a level in the unit of the image.
    unit : `~astropy.units.UnitBase` or None
        Unit of the image.

    Returns
    -------
    value : float
        In electrons per unit of the image, in magnitudes, or in the unit of the image.

    Raises
    ------
    ValueError
        If it is not one number, makes no sense, or is in another kind of unit.
    """
    if np.size(value) != 1:
        raise ValueError(f"{name} has {np.size(value)} values: one number for the whole image is needed.")
    value = float(np.ravel(_in_unit(value, name, unit))[0])
    if not np.isfinite(value) or (name in POSITIVE and value <= 0):
        raise ValueError(f"{name} = {value:g}: must be {POSITIVE.get(name, 'a finite number')}.")
    return value


def _in_unit(value, name, unit):
    """Values of what may have a unit, in the one that is needed."""
    own = getattr(value, "unit", None)
    if own is None or own == u.dimensionless_unscaled:
        return getattr(value, "value", value)
    if name == "zero_point":
        if u.mag in (own, getattr(own, "function_unit", None)):
            return value.value
        raise ValueError(f"The zero_point is in {own}: give it in mag, or as a plain number.")
    if unit is None and name != "gain":
        return value.value
    needed = u.electron / (unit or u.adu) if name == "gain" else unit
    try:
        return value.to_value(needed, COUNTS)
    except u.UnitConversionError:
        raise ValueError(
            f"The {name} is in {own}, but {needed} is needed: convert it, or give plain numbers."
        ) from None


def given_map(value, name, image):
    """Mask, error or background of an image.

    Parameters
    ----------
    value : str, path, array or float
        File, values of the shape of the image (further axes may have length one), or a number, which a mask
        can't be. Masked values of errors and of the background are not known.
    name : str
        ``"mask"``, ``"error"`` or ``"background"``.
    image : `~gammapy_asid.optical.images.OpticalImage`
        The image.

    Returns
    -------
    pixels : `~gammapy_asid.optical.images.pixels.Pixels`
        In the unit of the image.

    Raises
    ------
    TypeError, ValueError
        If it holds no real numbers, has another shape, or is in another kind of unit.
    """
    if isinstance(value, (str, PathLike)):
        path = make_path(value)
        with fits_hdus(path, memmap=True) as hdus:
            index = image_index(hdus, path, None)
            pixels = hdu_pixels(path, index, hdus[index])
    elif np.ndim(value) == 0 and name != "mask":
        level = given_number(value, name, image.unit)
        pixels = ArrayPixels(np.broadcast_to(np.float32(level), image.shape))
    else:
        pixels = ArrayPixels(_plane(value, name, image))
    if tuple(pixels.shape) != image.shape:
        raise ValueError(
            f"The {name} has {size_text(pixels.shape)} pixels, but {image.name} has {size_text(image.shape)}."
        )
    return pixels


def _plane(value, name, image):
    """Values of an array without its axes of length one before the last two."""
    unknown, value = mask_of(value), without_mask(value)
    if name == "mask":
        value = getattr(value, "value", value)
    values = np.asarray(_in_unit(value, name, image.unit))
    if values.dtype.kind not in "buif":
        raise TypeError(f"The {name} has values of type {values.dtype}: real numbers are needed.")
    if unknown is not None:
        values = np.where(unknown, 1 if name == "mask" else np.nan, values)
    return values.reshape(values.shape[-2:]) if set(values.shape[:-2]) == {1} else values


def mask_of(values):
    """Which values of an array are masked: those of Numpy and of Astropy alike.

    Parameters
    ----------
    values : array
        Array of any kind.

    Returns
    -------
    mask : `~numpy.ndarray` or None
        Bool, of the shape of the array; None if it can have no mask.
    """
    if isinstance(values, np.ma.MaskedArray):
        return np.ma.getmaskarray(values)
    return np.asarray(values.mask) if isinstance(values, Masked) else None


def without_mask(values):
    """Array without its mask, with its unit.

    Parameters
    ----------
    values : array
        Array of any kind.
    """
    if isinstance(values, Masked):
        return values.unmasked
    return values.data if isinstance(values, np.ma.MaskedArray) else values


def standard_deviation(uncertainty):
    """Standard deviations of what `~astropy.nddata.NDData` holds as uncertainty.

    Parameters
    ----------
    uncertainty : `~astropy.nddata.NDUncertainty`
        Standard deviations, variances or their inverse.

    Returns
    -------
    error : `~numpy.ndarray` or `~astropy.units.Quantity`
        With the unit that it tells.

    Raises
    ------
    TypeError
        If it does not tell what it is.
    """
    try:
        with np.errstate(divide="ignore", invalid="ignore"):
            error = uncertainty.represent_as(StdDevUncertainty)
    except TypeError:
        raise TypeError(
            f"The uncertainty of the image is of type {type(uncertainty).__name__}: make it a "
            "StdDevUncertainty, VarianceUncertainty or InverseVariance of astropy.nddata."
        ) from None
    return error.array if error.unit is None else error.quantity
