# Licensed under a 3-clause BSD style license - see LICENSE
"""Images of stars and of galaxies of several sizes and shapes behind a point spread function."""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.special import gamma, kv

from ..batch import OVERSAMPLING

__all__ = ["DERIVATIVES", "TEMPLATES", "Shape", "places", "template_tables"]


class Shape(NamedTuple):
    """Shape of a galaxy.

    Parameters
    ----------
    size : float
        Half-light radius over the full width at half maximum of the point spread function.
    index : float
        Index of the profile: 0.5 is an exponential disk, -0.6 much like de Vaucouleurs' profile (Spergel
        2010, ApJS 191, 58).
    ratio : float
        Minor over major axis.
    angle : float
        Of the major axis from x to y in rad.
    """

    size: float
    index: float = 0.5
    ratio: float = 1.0
    angle: float = 0.0


#: A star (None) and galaxies: sizes a factor of two apart, a bulge, and inclined disks at four angles.
TEMPLATES = (
    None,
    Shape(0.15),
    Shape(0.3),
    Shape(0.6),
    Shape(1.2),
    Shape(0.5, index=-0.6),
    *(Shape(0.6, ratio=0.35, angle=float(angle)) for angle in np.pi * np.arange(4) / 4),
)

#: Templates whose derivatives stand for those of others of similar size: of each template its own.
DERIVATIVES = (0, 3)
_PARENT = (0, 0, 0, 1, 1, 1, 1, 1, 1, 1)

#: Samples of the point spread function along an axis while profiles are put on, a power of two with room for
#: what a convolution spreads, and samples in a pixel of the tables.
_SIDE, _FINE = 128, 2 * OVERSAMPLING


@cache
def _half_light(index):
    """Half-light radius of a profile of this index in units of its scale (Spergel 2010, eq. 11)."""

    def missing(u):
        order = index + 1
        return 2 * order * (u / 2) ** order * kv(order, u) / gamma(order + 1) - 0.5

    return brentq(missing, 1e-3, 10)


def _spectra(fwhm, device):
    """Fourier transforms of the profiles on half of the plane, shape ``(n, n_templates, ...)``."""
    # Radians a pixel
    ky = 2 * torch.pi * torch.fft.fftfreq(_SIDE, 1 / OVERSAMPLING, device=device)[:, None]
    kx = 2 * torch.pi * torch.fft.rfftfreq(_SIDE, 1 / OVERSAMPLING, device=device)[None]
    spectra = []
    for shape in TEMPLATES:
        if shape is None:
            spectra.append(torch.ones(len(fwhm), *torch.broadcast_shapes(ky.shape, kx.shape), device=device))
            continue
        cos, sin, root = np.cos(shape.angle), np.sin(shape.angle), np.sqrt(shape.ratio)
        # Axes of equal geometric mean
        square = ((cos * kx + sin * ky) / root) ** 2 + ((cos * ky - sin * kx) * root) ** 2
        scale = (fwhm * shape.size / _half_light(shape.index))[:, None, None]
        spectra.append((1 + square * scale**2) ** -(1 + shape.index))
    return torch.stack(spectra, 1)


def template_tables(psf, fwhm):
    """Finely sampled images of the templates and derivatives, each of unit flux.

    Parameters
    ----------
    psf : `~torch.Tensor`
        Effective point spread functions, shape ``(n, m, m)``, see `~gammapy_asid.optical.batch.ImageBatch`.
    fwhm : `~torch.Tensor`
        Full width at half maximum of each in pixels, shape ``(n,)``.

    Returns
    -------
    tables : `~torch.Tensor`
        Shape ``(n, n_templates + 2 * n_derivatives, s, s)``: `TEMPLATES`, then for each of `DERIVATIVES` the
        change per pixel of shift along x and along y; eight samples a pixel, centre in the corner.
    """
    half = psf.shape[-1] // 2
    padded = torch.nn.functional.pad(psf, (0, _SIDE - psf.shape[-1], 0, _SIDE - psf.shape[-1]))
    light = torch.fft.rfft2(torch.roll(padded, (-half, -half), (-2, -1)))
    spectra = light[:, None] * _spectra(fwhm, psf.device)
    # Samples twice as fine: no light at higher frequencies
    side, middle = 2 * _SIDE, _SIDE // 2
    fine = torch.zeros(*spectra.shape[:2], side, side // 2 + 1, dtype=spectra.dtype, device=psf.device)
    fine[..., :middle, : middle + 1] = spectra[..., :middle, :]
    fine[..., -middle:, : middle + 1] = spectra[..., -middle:, :]
    tables = torch.fft.irfft2(fine, s=(side, side)) * (side / _SIDE) ** 2
    parents = tables[:, list(DERIVATIVES)]
    along = [(parents.roll(1, axis) - parents.roll(-1, axis)) * (_FINE / 2) for axis in (-1, -2)]
    return torch.cat([tables, torch.stack(along, 2).flatten(1, 2)], 1)


def places(tables, image, offset_x, offset_y, size):
    """Templates at the sub-pixel places of sources.

    Parameters
    ----------
    tables : `~torch.Tensor`
        Result of `template_tables`.
    image : `~torch.Tensor`
        Number of the point spread function of each source, shape ``(k,)``.
    offset_x, offset_y : `~torch.Tensor`
        Position less the centre of the middle pixel of the stamp in pixels, shape ``(k,)``.
    size : int
        Side of the stamps in pixels, odd.

    Returns
    -------
    templates : `~torch.Tensor`
        Shape ``(k, n_tables, size, size)``; places are exact to 1/16 pixel, the derivatives carry the rest.
    """
    steps = _FINE * (torch.arange(size, device=tables.device) - size // 2)
    rows, columns = (
        (steps - torch.round(_FINE * offset)[:, None]).long() % tables.shape[-1]
        for offset in (offset_y, offset_x)
    )
    side = tables.shape[-1]
    index = (rows[:, :, None] * side + columns[:, None, :]).flatten(1)
    flat = tables.flatten(2)
    parts = [flat[i][:, index[image == i]].transpose(0, 1) for i in range(len(tables))]
    order = torch.argsort(image, stable=True)
    return torch.cat(parts)[torch.argsort(order)].unflatten(-1, (size, size))


def parent_of(template):
    """Number in `DERIVATIVES` of what stands for the derivatives of a template.

    Parameters
    ----------
    template : int
        Number of the template.
    """
    return _PARENT[template]
