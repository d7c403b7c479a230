# Licensed under a 3-clause BSD style license - see LICENSE
"""Faults of detectors: charge that spills from saturated pixels, bad columns and rows, hot and dead pixels.

``detector_faults(n, shape, generator, sky=None) -> Faults(light, response, bad, masked)``: an image becomes
``light + response * image``; all ``(n, ny, nx)``.

``bleed(light, level, flow=1.0, axis=0) -> (light, saturated)``: light with the charge above `level` spilt
along columns (``axis=0``) or rows (``axis=1``).
"""

from dataclasses import dataclass

import torch

from .draws import log_uniform, owners, uniform

__all__ = ["Faults", "bleed", "detector_faults"]


@dataclass(kw_only=True)
class Faults:
    """Faults of detectors on images; an image becomes ``light + response * image``.

    Parameters
    ----------
    light : `~torch.Tensor`
        Light that is none of the sky, in units of the noise of the sky, shape ``(n, ny, nx)``.
    response : `~torch.Tensor`
        Share of the light that pixels count, of the same shape.
    bad : `~torch.Tensor`
        Pixels with a fault that shows, bool of the same shape.
    masked : `~torch.Tensor`
        Bad pixels that a mask of the detector knows: some, all or none, bool of the same shape.
    """

    light: torch.Tensor
    response: torch.Tensor
    bad: torch.Tensor
    masked: torch.Tensor


def detector_faults(n, shape, generator, sky=None):
    """Draw bad columns and rows, hot and dead pixels.

    Parameters
    ----------
    n : int
        Number of images.
    shape : (int, int)
        Pixels ``(ny, nx)``.
    generator : `~torch.Generator`
        Source of the random numbers; the tensors are on its device.
    sky : `~torch.Tensor`, optional
        Level of the sky in units of its noise, shape ``(n,)``: a dead pixel lies that much below it. By
        default each image draws one between 5 and 300.

    Returns
    -------
    faults : `Faults`
        What to add and multiply.
    """
    if sky is None:
        sky = log_uniform(generator, 5, 300, n)
    light = torch.zeros(n, *shape, device=generator.device)
    dead = torch.zeros(n, *shape, dtype=torch.bool, device=generator.device)
    # Half of the detectors are without bad columns, a third without bad pixels
    lines = uniform(generator, 0, 1.5, n) * (uniform(generator, 0, 1, n) < 0.5)
    _lines(light, dead, generator, owners(generator, lines))
    pixels = log_uniform(generator, 0.3, 10, n) * (uniform(generator, 0, 1, n) < 2 / 3)
    _pixels(light, dead, generator, owners(generator, pixels * (shape[0] * shape[1] / 128**2)))
    light = torch.where(dead, -sky[:, None, None], light)
    bad = dead | (light.abs() > 0.5)
    known = uniform(generator, -0.5, 1.5, n).clamp(0, 1)[:, None, None]
    masked = bad & (uniform(generator, 0, 1, n, *shape) < known)
    return Faults(light=light, response=1 - dead.float(), bad=bad, masked=masked)


def _lines(light, dead, generator, image):
    """Bad columns or rows, from an edge or a trap on: brighter, darker or dead; into `light` and `dead`."""
    k = len(image)
    ny, nx = light.shape[1:]
    row = (uniform(generator, 0, 1, k) < 0.25)[:, None, None]
    x, y = torch.arange(nx, device=light.device), torch.arange(ny, device=light.device)[:, None]
    # Lines with their place (-0.5 to 0.5 is the image), their start and their width of 1 or 2 pixels
    place = uniform(generator, 0, 1, k)[:, None, None]
    width = torch.where(uniform(generator, 0, 1, k) < 0.8, 1, 2)[:, None, None]
    start = uniform(generator, -1, 1, k)[:, None, None]
    across = torch.where(row, y - (place * ny).long(), x - (place * nx).long())
    along = torch.where(row, x / nx, y / ny)
    on = (across >= 0) & (across < width) & (along >= start)
    value = log_uniform(generator, 1, 100, k) * torch.sign(uniform(generator, -1, 2, k))
    is_dead = (uniform(generator, 0, 1, k) < 0.2)[:, None, None]
    light.index_add_(0, image, on * value[:, None, None])
    dead |= torch.zeros_like(light).index_add_(0, image, (on & is_dead).float()) > 0


def _pixels(light, dead, generator, image):
    """Hot and dead pixels, into `light` and `dead`."""
    k = len(image)
    ny, nx = light.shape[1:]
    y = torch.randint(ny, (k,), generator=generator, device=light.device)
    x = torch.randint(nx, (k,), generator=generator, device=light.device)
    is_dead = uniform(generator, 0, 1, k) < 0.3
    light.index_put_((image, y, x), log_uniform(generator, 3, 1000, k), accumulate=True)
    dead[image[is_dead], y[is_dead], x[is_dead]] = True


def bleed(light, level, flow=1.0, axis=0):
    """Spill the charge above saturation along columns or rows, half of it to either side.

    The charge that runs on beyond a pixel follows the recursion of a queue, ``w = max(w + light - level, 0)``
    (Lindley 1952, https://doi.org/10.1017/S0305004100027638), which is a cumulative sum less its running
    minimum.

    Parameters
    ----------
    light : `~torch.Tensor`
        Light of the sky and the background in any unit, shape ``(n, ny, nx)``.
    level : float or `~torch.Tensor`
        Level of saturation in the same unit; broadcasts to ``(n, ny, nx)``, equal in all pixels of an image.
    flow : float or `~torch.Tensor`
        Share of the charge above the level that runs on (the rest is lost, as detectors with anti-blooming or
        infrared ones lose all: 0); broadcasts to ``(n, ny, nx)``.
    axis : {0, 1}
        0: along columns, 1: along rows.

    Returns
    -------
    light : `~torch.Tensor`
        Light with nothing above the level.
    saturated : `~torch.Tensor`
        Pixels at the level, bool of the same shape.
    """
    full = torch.clamp(light, max=light.new_tensor(level) if isinstance(level, (int, float)) else level)
    excess = (light - full) * flow / 2
    room = level - full
    dim = 1 + axis
    forward = _spilt(excess, room, dim)
    backward = _spilt(excess.flip(dim), room.flip(dim), dim).flip(dim)
    full = torch.minimum(
        full + forward + backward, torch.as_tensor(level, dtype=light.dtype, device=light.device)
    )
    # But for the rounding of single precision
    return full, full >= level * (1 - 1e-6)


def _spilt(excess, room, dim):
    """Charge that pixels with room take from those before them along `dim`."""
    total = torch.cumsum((excess - room).double(), dim)
    lowest = torch.cummin(total.clamp(max=0), dim).values
    behind = total - lowest
    before = torch.roll(behind, 1, dim)
    before.select(dim, 0).zero_()
    return torch.minimum(before, room.double()).to(excess.dtype)
