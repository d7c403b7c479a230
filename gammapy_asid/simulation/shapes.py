# Licensed under a 3-clause BSD style license - see LICENSE
"""Shapes of sources as batched images: point, Gaussian, disk and shell."""

import torch

__all__ = ["SHAPES", "deposit_points", "shape_images", "shell_size"]

#: Kinds of shapes by number.
SHAPES = ("point", "gaussian", "disk", "shell")

#: A Gaussian narrower than this, in pixels, is not sampled well: it is broadened to it.
NARROWEST = 0.75
#: Inner over outer radius of a shell.
SHELL_RATIO = 0.8


def shell_size(radius):
    """Width of a shell: the root mean square of its extent along one axis.

    A homogeneous spherical shell with the inner radius `SHELL_RATIO` of the outer one, projected.

    Parameters
    ----------
    radius : float
        Outer radius.
    """
    return radius * (0.2 * (1 - SHELL_RATIO**5) / (1 - SHELL_RATIO**3)) ** 0.5


def shape_images(kind, x, y, size, n, elongation=None, angle=None):
    """Surface brightness of sources that integrates to one over the plane.

    Parameters
    ----------
    kind : `~torch.Tensor`
        Index in `SHAPES`, shape ``(n_sources,)``.
    x, y : `~torch.Tensor`
        Position in pixels, shape ``(n_sources,)``.
    size : `~torch.Tensor`
        Width in pixels: root mean square of the extent along one axis. That is the standard deviation
        of a Gaussian (geometric mean of both, if elongated), half the radius of a disk, see
        `shell_size` for a shell. Ignored for points.
    n : int
        Side of the images in pixels.
    elongation : `~torch.Tensor`, optional
        Larger over smaller axis of Gaussians; by default 1.
    angle : `~torch.Tensor`, optional
        Angle of the larger axis from x in rad.

    Returns
    -------
    images : `~torch.Tensor`
        Shape ``(n_sources, n, n)``; what lies outside is lost.
    """
    images = torch.zeros(len(x), n, n, device=x.device)
    for number, function in enumerate((_point, _gaussian, _disk, _shell)):
        own = torch.nonzero(kind == number)[:, 0]
        if not len(own):
            continue
        place = x[own], y[own]
        if function is _point:
            images[own] = deposit_points(*place, n)
        elif function is _gaussian:
            stretch = torch.ones_like(size[own]) if elongation is None else elongation[own]
            turn = torch.zeros_like(size[own]) if angle is None else angle[own]
            images[own] = _gaussian(*place, size[own], n, stretch, turn)
        else:
            images[own] = function(*place, size[own], n)
    return images


def deposit_points(x, y, n):
    """Points on 4x4 pixels with cubic Lagrange weights: once convolved they are not broadened.

    The weights keep the first three moments of a point. Some of them are negative.

    Parameters
    ----------
    x, y : `~torch.Tensor`
        Positions in pixels, shape ``(n_sources,)``.
    n : int
        Side of the images in pixels.

    Returns
    -------
    images : `~torch.Tensor`
        Shape ``(n_sources, n, n)``.
    """

    def along(position):
        low = torch.floor(position)
        t = (position - low)[:, None]
        values = torch.cat(
            [
                -t * (t - 1) * (t - 2) / 6,
                (t + 1) * (t - 1) * (t - 2) / 2,
                -(t + 1) * t * (t - 2) / 2,
                (t + 1) * t * (t - 1) / 6,
            ],
            1,
        )
        index = low.long()[:, None] + torch.arange(-1, 3, device=low.device)
        inside = (index >= 0) & (index < n)
        empty = torch.zeros(len(position), n, device=position.device)
        return empty.scatter_add_(1, index.clamp(0, n - 1), values * inside)

    return along(y)[:, :, None] * along(x)[:, None, :]


def _offsets(x, y, n):
    """Offsets of the pixels from the sources, shapes ``(n_sources, 1, n)`` and ``(n_sources, n, 1)``."""
    pixel = torch.arange(n, device=x.device)
    return (pixel - x[:, None])[:, None, :], (pixel - y[:, None])[:, :, None]


def _point(x, y, n):
    return deposit_points(x, y, n)


def _gaussian(x, y, size, n, elongation, angle):
    dx, dy = _offsets(x, y, n)
    cos, sin = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
    root = elongation.sqrt()
    major, minor = (size * root).clamp(min=NARROWEST), (size / root).clamp(min=NARROWEST)
    # Exponent as a quadratic form: the cross term vanishes for round sources.
    a, c = 0.5 / major[:, None, None] ** 2, 0.5 / minor[:, None, None] ** 2
    exponent = (a * cos**2 + c * sin**2) * dx**2 + (a * sin**2 + c * cos**2) * dy**2
    exponent = exponent + 2 * (a - c) * sin * cos * dx * dy
    return torch.exp(-exponent) / (2 * torch.pi * major * minor)[:, None, None]


def _disk(x, y, size, n):
    radius = (2 * size)[:, None, None].clamp(min=1.0)
    # The edge falls over one pixel.
    profile = (radius + 0.5 - _distance(x, y, n)).clamp(0, 1)
    return profile / (torch.pi * (radius**2 + 1 / 12))


def _shell(x, y, size, n):
    radius = (size / shell_size(1.0))[:, None, None].clamp(min=2.0)
    r2 = _distance(x, y, n) ** 2
    inner = SHELL_RATIO * radius
    depth = (radius**2 - r2).clamp(min=0).sqrt() - (inner**2 - r2).clamp(min=0).sqrt()
    return depth / (2 * torch.pi / 3 * (radius**3 - inner**3))


def _distance(x, y, n):
    dx, dy = _offsets(x, y, n)
    return torch.hypot(dx, dy)
