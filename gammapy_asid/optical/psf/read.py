# Licensed under a 3-clause BSD style license - see LICENSE
"""Point spread functions that users have: images, files of PSFEx, models of photutils and Astropy."""

import os
import warnings
from functools import partial
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.modeling import Model
from scipy.ndimage import fourier_uniform, map_coordinates

from ...utils.fits_files import fits_hdus
from ..batch import HALF, OVERSAMPLING
from .psf import OFFSETS, PSF, full_width, powers

__all__ = ["as_psf", "psf_from_image", "psf_from_model", "psf_from_psfex"]

#: Share of the light outside of the stamp from which on it is said: below it other errors are larger.
CUT_WARNED = 0.01
#: Names of the position among the parameters of models of photutils and Astropy.
POSITIONS = (("x_0", "y_0"), ("x_mean", "y_mean"))
#: Keywords of the samples in a pixel, of WebbPSF/STPSF and photutils.
OVERSAMPLING_KEYS = ("OVERSAMP", "DET_SAMP", "PSFSAMP")


def as_psf(psf, oversampling=None, binning=1):
    """Point spread function of an image, from anything that describes one.

    Parameters
    ----------
    psf : `PSF`, array, model, path or HDU
        A `PSF`, an image of one with the star in the middle, a model of `photutils.psf` or
        `astropy.modeling.models`, or a file: of PSFEx (``.psf``) or a FITS image. As in these libraries the
        value at an offset is the share of the light in a *pixel* at that offset.
    oversampling : float, optional
        Samples of an image in a pixel of the sky's image; by default the header's ``OVERSAMP``, else 1.
    binning : int
        Pixels that are summed along each axis; positions and widths count the summed ones.

    Returns
    -------
    psf : `PSF`
        Centred and normalised.

    Raises
    ------
    ValueError
        For an image that is none of a PSF, and for a PSF wider than the stamp.
    TypeError
        For anything else.
    """
    if isinstance(psf, PSF):
        return psf if binning == 1 else _binned_psf(psf, binning)
    if isinstance(psf, Model):
        return psf_from_model(psf, binning=binning)
    if isinstance(psf, str | os.PathLike):
        return _from_file(Path(psf), oversampling, binning)
    if isinstance(psf, fits.BinTableHDU):
        return psf_from_psfex(psf, binning=binning)
    if hasattr(psf, "header") and getattr(psf, "data", None) is not None:
        return psf_from_image(psf.data, oversampling or _oversampling(psf.header), binning=binning)
    if isinstance(psf, np.ndarray | list):
        return psf_from_image(psf, oversampling or 1, binning=binning)
    raise TypeError(f"A PSF is an image, a model, a file or a PSF, not {type(psf).__name__}")


def psf_from_image(image, oversampling=1, *, binning=1, pixel_included=True):
    """Point spread function from an image of it.

    Parameters
    ----------
    image : array-like
        Image with the star near the middle and no background, of any side.
    oversampling : float
        Samples in a pixel along each axis, at least 1.
    binning : int
        Pixels that are summed along each axis.
    pixel_included : bool
        Whether the image is already smoothed by the pixel, as all images on pixels are. Images of the optics
        alone, sampled more than once a pixel, are not.

    Returns
    -------
    psf : `PSF`
        Centred and normalised.
    """
    image = np.squeeze(np.array(image, dtype=float))
    if image.ndim != 2 or min(image.shape) < 3:
        raise ValueError(f"An image of a PSF has two dimensions of 3 pixels or more, got {image.shape}")
    if not oversampling >= 1:
        raise ValueError(f"A PSF has at least one sample a pixel, not {oversampling}")
    if not np.isfinite(image).all() or image.sum() <= 0 or image.max() <= 0:
        raise ValueError("An image of a PSF is finite and has a positive sum: has it blank pixels?")
    if not pixel_included:
        image = _smoothed_by_pixel(image, oversampling)
    if oversampling == 1 and full_width(image, 1) < 1.6:
        warnings.warn(
            "The image of the PSF has one sample a pixel and is narrower than 1.6 pixels: what lies between "
            "the pixels is not in it. Give one with more samples a pixel",
            stacklevel=2,
        )
    cy, cx = _center(image)
    values = partial(_interpolated, image[None], center=(cx, cy), step=1 / oversampling)
    side = max(image.shape) / oversampling / 2
    return _sampled(values, binning, reach=side)


def psf_from_model(model, *, binning=1):
    """Point spread function from a two-dimensional model of photutils or Astropy.

    Parameters
    ----------
    model : `~astropy.modeling.Model`
        Model whose value at an offset is the share of the light in a pixel there, as photutils fits it.
    binning : int
        Pixels that are summed along each axis.

    Returns
    -------
    psf : `PSF`
        Normalised; the model's position and flux do not matter.
    """
    if model.n_inputs != 2:
        raise ValueError(
            f"A model of a PSF has two inputs, x and y; {type(model).__name__} has {model.n_inputs}"
        )
    model = model.copy()
    for names in POSITIONS:
        if set(names) <= set(model.param_names):
            for name in names:
                setattr(model, name, 0)
    return _sampled(lambda x, y: np.asarray(model(x, y), dtype=float)[None], binning, reach=4 * HALF)


def psf_from_psfex(file, *, binning=1):
    """Point spread function from a file of PSFEx, with its change over the field.

    Parameters
    ----------
    file : path or `~astropy.io.fits.BinTableHDU`
        File of PSFEx, or its table.
    binning : int
        Pixels that are summed along each axis.

    Returns
    -------
    psf : `PSF`
        With PSFEx's polynomial in X and Y; no other dependence is read.
    """
    if isinstance(file, fits.BinTableHDU):
        header, data = file.header, file.data
    else:
        with fits_hdus(file) as hdus:
            header, data = hdus[1].header.copy(), hdus[1].data.copy()
    if "PSF_MASK" not in data.names or "PSF_SAMP" not in header:
        raise ValueError(f"{file} is no file of PSFEx: it has no PSF_MASK")
    masks = np.asarray(data["PSF_MASK"][0], dtype=float)
    center, scale, degree = (0.0, 0.0), (1.0, 1.0), 0
    if header.get("POLNAXIS", 0):
        if header["POLNAXIS"] != 2 or header["POLNGRP"] != 1:
            raise ValueError("Only PSFEx's polynomials in X and Y of one group are read")
        # FITS counts pixels from 1. PSFEx's coordinates go from -1/2 to 1/2 over the field of the stars
        center = tuple(float(header[f"POLZERO{axis}"]) - 1 for axis in (1, 2))
        scale = tuple(float(header[f"POLSCAL{axis}"]) / 2 for axis in (1, 2))
        degree = int(header["POLDEG1"])
    masks = masks[: len(powers(degree))] * [[[0.5 ** sum(power)]] for power in powers(degree)]
    middle = [(n - 1) / 2 for n in masks.shape[:0:-1]]
    step = float(header["PSF_SAMP"])
    psf = _sampled(
        partial(_interpolated, masks, center=middle, step=step),
        binning,
        reach=max(masks.shape[1:]) * step / 2,
    )
    return PSF(
        terms=psf.terms,
        center=tuple((value + 0.5) / binning - 0.5 for value in center),
        scale=tuple(value / binning for value in scale),
        origin="given, from PSFEx",
        n_stars=int(header.get("ACCEPTED", 0)),
        cut=psf.cut,
    )


def _from_file(path, oversampling, binning):
    with fits_hdus(path) as hdus:
        for hdu in hdus:
            if isinstance(hdu, fits.BinTableHDU) and "PSF_MASK" in hdu.columns.names:
                return psf_from_psfex(hdu, binning=binning)
            if hdu.is_image and hdu.header.get("NAXIS", 0) >= 2:
                return psf_from_image(hdu.data, oversampling or _oversampling(hdu.header), binning=binning)
    raise ValueError(f"{path} has neither an image nor a table of PSFEx")


def _oversampling(header):
    return next((float(header[key]) for key in OVERSAMPLING_KEYS if key in header), 1)


def _binned_psf(psf, binning):
    values = partial(_interpolated, psf.terms, center=(HALF * OVERSAMPLING,) * 2, step=1 / OVERSAMPLING)
    binned = _sampled(values, binning, reach=HALF)
    return PSF(
        terms=binned.terms,
        center=tuple((value + 0.5) / binning - 0.5 for value in psf.center),
        scale=tuple(value / binning for value in psf.scale),
        origin=psf.origin,
        n_stars=psf.n_stars,
        fwhm_err=None if psf.fwhm_err is None else psf.fwhm_err / binning,
        cut=psf.cut,
    )


def _sampled(values, binning, reach):
    """PSF of a function of the offsets; ``reach`` is how far from the star it is known, in pixels."""
    reach = max(int(np.ceil(reach / binning)), HALF)
    offsets = np.arange(-reach * OVERSAMPLING, reach * OVERSAMPLING + 1) / OVERSAMPLING
    parts = (np.arange(binning) - (binning - 1) / 2)[:, None] + offsets * binning
    total = 0
    for row in parts:
        for column in parts:
            total = total + values(*np.meshgrid(column, row))
    edge = (reach - HALF) * OVERSAMPLING
    stamp = total[:, edge : edge + len(OFFSETS), edge : edge + len(OFFSETS)]
    width = full_width(total[0])
    cut = max(1 - stamp[0].sum() / total[0].sum(), 0.0)
    if width > HALF or cut > 0.5:
        raise ValueError(
            f"The PSF is wider than the stamp of {2 * HALF + 1} pixels: its full width at half maximum is "
            f"{width:.1f} pixels and {cut:.0%} of its light falls outside. Sum the image's pixels first"
        )
    if cut > CUT_WARNED:
        warnings.warn(
            f"{cut:.1%} of the PSF's light falls outside of the stamp of {2 * HALF + 1} pixels and is lost",
            stacklevel=4,
        )
    return PSF(terms=stamp, cut=float(cut))


def _interpolated(images, x, y, *, center, step):
    """Splines of degree five through images at offsets from their centre; ``step`` is that of samples."""
    at = np.stack([center[1] + y / step, center[0] + x / step])
    return np.stack([map_coordinates(image, at, order=5, mode="constant") for image in images])


def _center(image):
    """Centre ``(y, x)`` by the light in a circle of half of the maximum around the brightest sample."""
    y, x = np.unravel_index(np.argmax(image), image.shape)
    sigma = max(full_width(image, 1) / 2.3548, 0.8)
    rows, columns = np.indices(image.shape)
    for _ in range(20):
        weight = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma**2)) * image
        # Twice the step: the weight holds the centre back by half
        step_y, step_x = (
            2 * ((at - now) * weight).sum() / weight.sum() for at, now in ((rows, y), (columns, x))
        )
        y, x = y + step_y, x + step_x
        if not (0 <= y < image.shape[0] and 0 <= x < image.shape[1]):
            raise ValueError("The image of the PSF has no centre: is a star in its middle?")
        if max(abs(step_y), abs(step_x)) < 1e-4:
            break
    return y, x


def _smoothed_by_pixel(image, oversampling):
    return np.fft.ifftn(fourier_uniform(np.fft.fftn(image), size=oversampling)).real
