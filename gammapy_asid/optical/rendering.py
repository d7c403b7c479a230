# Licensed under a 3-clause BSD style license - see LICENSE
"""Light of point clouds as images: deposited between pixels, spread by the point spread function."""

import torch
from scipy.fft import next_fast_len

from .batch import OVERSAMPLING
from .psf_families import WIDE_HALF

__all__ = ["MARGIN", "fine_kernels", "render"]

#: Pixels around an image in which sources are drawn too.
MARGIN = 20

#: Points of the grid of light in a pixel, along each axis.
FINE = 2


def _cubic(t):
    """Weights of the four grid points around a place (Keys 1981, IEEE Trans. ASSP 29), shape ``(4, k)``."""
    t2 = t * t
    t3 = t2 * t
    inner = 1.5 * t3 - 2.5 * t2 + 1
    before = -0.5 * t3 + t2 - 0.5 * t
    after = 0.5 * t3 - 0.5 * t2
    return torch.stack([before, inner, 1 - before - inner - after, after])


def _deposit(image, x, y, light, n, side):
    """Light on a grid with `FINE` points a pixel, shape ``(n, FINE, FINE, side, side)``, phases apart."""
    u, v = (x + MARGIN) * FINE, (y + MARGIN) * FINE
    fine = side * FINE
    inside = (u >= 1) & (u < fine - 3) & (v >= 1) & (v < fine - 3)
    image, u, v, light = image[inside], u[inside], v[inside], light[inside]
    column, row = u.floor(), v.floor()
    in_x, in_y = _cubic(u - column), _cubic(v - row) * light
    first = ((image * fine + row.long() - 1) * fine + column.long() - 1).int()
    grid = torch.zeros(n * fine * fine, device=x.device)
    for i in range(4):
        for j in range(4):
            grid.index_add_(0, first + (i * fine + j), in_y[i] * in_x[j])
    return grid.view(n, side, FINE, side, FINE).permute(0, 2, 4, 1, 3)


def fine_kernels(psf):
    """Point spread functions on the grid of light.

    Parameters
    ----------
    psf : `~torch.Tensor`
        Result of `~gammapy_asid.optical.psf_families.draw_psfs`, shape ``(n, m, m)``.

    Returns
    -------
    kernels : `~torch.Tensor`
        Shape ``(n, k, k)`` with ``k = 2 * FINE * WIDE_HALF + 1``.
    """
    step = OVERSAMPLING // FINE
    return psf[:, ::step, ::step]


def render(image, x, y, light, kernels, size):
    """Images of points of light.

    Parameters
    ----------
    image : `~torch.Tensor`
        Number of the image of each point, shape ``(k,)``.
    x, y : `~torch.Tensor`
        Positions in pixels; up to `MARGIN` pixels outside they count, too.
    light : `~torch.Tensor`
        Light of each point.
    kernels : `~torch.Tensor`
        Result of `fine_kernels`.
    size : int
        Side of the images in pixels.

    Returns
    -------
    images : `~torch.Tensor`
        Shape ``(n, size, size)``.
    """
    n = len(kernels)
    # What leaves at one side must not come back into the image at the other
    side = next_fast_len(size + MARGIN + max(MARGIN, WIDE_HALF), real=True)
    grid = _deposit(image, x, y, light, n, side)
    total = 0
    for a in range(FINE):
        for b in range(FINE):
            # Points of phase a lie a / FINE pixels further: a pixel sees them at that offset less
            part = kernels[:, (FINE - a) % FINE :: FINE, (FINE - b) % FINE :: FINE]
            shift = [WIDE_HALF - (1 if phase else 0) for phase in (a, b)]
            spread = torch.fft.rfft2(part, s=(side, side))
            moved = torch.fft.rfft2(grid[:, a, b])
            turn = [_phase(side, s, half=axis) for axis, s in enumerate(shift)]
            total = total + moved * spread * turn[0][:, None] * turn[1]
    images = torch.fft.irfft2(total, s=(side, side))
    return images[:, MARGIN : MARGIN + size, MARGIN : MARGIN + size].clamp(min=0)


def _phase(side, shift, half):
    """Factor in Fourier space that moves an image back by a number of pixels."""
    frequency = torch.fft.rfftfreq(side) if half else torch.fft.fftfreq(side)
    return torch.exp(2j * torch.pi * frequency * shift)
