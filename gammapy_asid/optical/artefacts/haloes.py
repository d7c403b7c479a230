# Licensed under a 3-clause BSD style license - see LICENSE
"""Light that optics scatter: rings and discs of ghosts, haloes around bright stars, gradients of the sky.

``haloes(n, shape, generator, rate=0.3, brightness=(0.1, 10.0)) -> light``: ghosts and haloes.

``gradients(n, shape, generator, strength=(0.03, 3.0)) -> light``: smooth changes of the sky.

Both in units of the noise of the sky, shape ``(n, ny, nx)``; no pixel of them counts as an artefact to mask,
a detector has to see through them.
"""

import torch

from .draws import log_uniform, owners, uniform

__all__ = ["gradients", "haloes"]


def haloes(n, shape, generator, rate=0.3, brightness=(0.1, 10.0)):
    """Draw ghosts (discs with a hole and soft edges) and the wide haloes of stars inside or outside of the
    image.

    Parameters
    ----------
    n : int
        Number of images.
    shape : (int, int)
        Pixels ``(ny, nx)``.
    generator : `~torch.Generator`
        Source of the random numbers; the tensors are on its device.
    rate : float
        Expected number in an image.
    brightness : (float, float)
        Smallest and largest brightness of a ghost in units of the noise, equally frequent in the logarithm;
        of a halo, that at its scale.

    Returns
    -------
    light : `~torch.Tensor`
        Light in units of the noise of the sky, shape ``(n, ny, nx)``.
    """
    ny, nx = shape
    light = torch.zeros(n, ny, nx, device=generator.device)
    image = owners(generator, torch.full((n,), float(rate), device=light.device))
    k = len(image)
    # Up to a quarter of a side outside
    dx = torch.arange(nx, device=light.device) - uniform(generator, -0.25 * nx, 1.25 * nx, k)[:, None, None]
    dy = (
        torch.arange(ny, device=light.device)[:, None]
        - uniform(generator, -0.25 * ny, 1.25 * ny, k)[:, None, None]
    )
    radius = torch.sqrt(dx**2 + dy**2)
    size = log_uniform(generator, 6, 60, k)[:, None, None]
    # Edges from half a pixel to a sixth of the radius; the hole of the secondary mirror
    soft = log_uniform(generator, 0.5, 10, k)[:, None, None].minimum(size / 6)
    hole = size * uniform(generator, 0, 0.9, k)[:, None, None]
    ghost = torch.sigmoid((size - radius) / soft) * torch.sigmoid((radius - hole) / soft)
    # The aureole of a point spread function falls with the square of the distance (King 1971)
    halo = 1 / (0.1 + (radius / size) ** 2)
    chosen = torch.where((uniform(generator, 0, 1, k) < 0.6)[:, None, None], ghost, halo)
    light.index_add_(0, image, log_uniform(generator, *brightness, k)[:, None, None] * chosen)
    return light


def gradients(n, shape, generator, strength=(0.03, 3.0)):
    """Draw smooth changes of the sky: a plane and a parabola.

    Parameters
    ----------
    n : int
        Number of images.
    shape : (int, int)
        Pixels ``(ny, nx)``.
    generator : `~torch.Generator`
        Source of the random numbers; the tensors are on its device.
    strength : (float, float)
        Smallest and largest root mean square of the change over an image in units of the noise; each image
        draws its own, equally in the logarithm.

    Returns
    -------
    light : `~torch.Tensor`
        Light in units of the noise of the sky, with mean 0, shape ``(n, ny, nx)``.
    """
    ny, nx = shape
    x = torch.linspace(-1, 1, nx, device=generator.device)
    y = torch.linspace(-1, 1, ny, device=generator.device)[:, None]
    terms = torch.stack([x + 0 * y, 0 * x + y, x * y, x**2 - 1 / 3 + 0 * y, 0 * x + y**2 - 1 / 3])
    weights = torch.randn(n, len(terms), generator=generator, device=generator.device)
    light = torch.einsum("nk,kyx->nyx", weights, terms)
    light = light - light.mean((1, 2), keepdim=True)
    scale = log_uniform(generator, *strength, n)[:, None, None]
    return light * scale / light.square().mean((1, 2), keepdim=True).sqrt()
