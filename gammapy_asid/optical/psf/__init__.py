# Licensed under a 3-clause BSD style license - see LICENSE
"""Point spread functions of images: given or measured on the image's own stars."""

from .measure import measure_psf
from .psf import PSF
from .read import as_psf, psf_from_image, psf_from_model, psf_from_psfex

__all__ = ["PSF", "as_psf", "measure_psf", "psf_from_image", "psf_from_model", "psf_from_psfex"]
