# Licensed under a 3-clause BSD style license - see LICENSE
"""Trails of satellites, meteors and aeroplanes: lines of light as wide as the point spread function or wider.

``trails(n, shape, generator, psf, rate=0.5, brightness=(0.3, 100.0)) -> (light, truth)``: `light` is float32
in units of the noise of the sky, `truth` the pixels of the trails; both ``(n, ny, nx)``. `psf` is that of an
`~gammapy_asid.optical.batch.ImageBatch`, ``(n, m, m)``.

Each trail is one of: steady; tumbling (brightness changes smoothly, down to nothing); out of focus, as near
satellites and aeroplanes are (a wide line with two bright edges); an aeroplane (two to four parallel lines,
some of them dashed by flashing lamps). All may bend a little, and some start or end inside the image. The
profile across is the point spread function summed along the line (its line spread function), convolved with
the object's own.
"""

import torch

from ..batch import OVERSAMPLING
from .draws import log_uniform, owners, uniform

__all__ = ["trails"]

#: Pixels to either side that a profile is tabulated for: the corner of the point spread function, 17, and the
#: widest profile of an object, 8.
SIDE = 26

#: Kinds of trails and how often they come: steady, tumbling, out of focus, aeroplane.
STEADY, TUMBLING, DEFOCUSED, AEROPLANE = range(4)
SHARES = (0.4, 0.2, 0.2, 0.2)

#: Samples of a profile in a pixel.
FINE = OVERSAMPLING


def trails(n, shape, generator, psf, rate=0.5, brightness=(0.3, 100.0)):
    """Draw trails on images.

    Parameters
    ----------
    n : int
        Number of images.
    shape : (int, int)
        Pixels ``(ny, nx)``.
    generator : `~torch.Generator`
        Source of the random numbers; the tensors are on its device.
    psf : `~torch.Tensor`
        Effective point spread function of each image, as that of an
        `~gammapy_asid.optical.batch.ImageBatch`, shape ``(n, m, m)``.
    rate : float
        Expected number of trails in an image.
    brightness : (float, float)
        Faintest and brightest maximum of the profile in units of the noise; equally frequent in the
        logarithm.

    Returns
    -------
    light : `~torch.Tensor`
        Light in units of the noise of the sky, shape ``(n, ny, nx)``.
    truth : `~torch.Tensor`
        Pixels with more than half a unit of it, and those where a trail has more than half of the brightness
        of its middle there, however faint; bool of the same shape.
    """
    image = owners(generator, torch.full((n,), float(rate), device=psf.device))
    light = torch.zeros(n, *shape, device=psf.device)
    core = torch.zeros(n, *shape, device=psf.device)
    if not len(image):
        return light, light > 0
    kind = torch.multinomial(torch.tensor(SHARES), len(image), replacement=True, generator=generator)
    across, along, angle = _axes(shape, generator, len(image))
    profile = _profiles(psf[image], angle, _own_profiles(generator, kind))
    peak = log_uniform(generator, *brightness, len(image))

    # One line each, and the further ones of aeroplanes
    line, offset = _lines(generator, kind)
    value = _at(profile[line], across[line] - offset[:, None, None])
    strength = _ends(generator, along)[line] * _modulation(generator, kind[line], along[line])
    light.index_add_(0, image[line], peak[line, None, None] * strength * value)
    # Dark gaps of a tenth of the brightness or less are no part of a trail
    middle = (value > 0.5) & (strength > 0.1)
    core.index_add_(0, image[line], middle.float())
    return light, (light > 0.5) | (core > 0)


def _axes(shape, generator, k):
    """Distances across and along, ``(k, ny, nx)``, of bent lines through a point of the image; their
    angles."""
    ny, nx = shape
    angle = uniform(generator, 0, torch.pi, k)
    # A point in the image, so that each line crosses it
    dx = torch.arange(nx) - uniform(generator, 0, nx - 1, k)[:, None, None]
    dy = torch.arange(ny)[:, None] - uniform(generator, 0, ny - 1, k)[:, None, None]
    cosine, sine = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
    along, across = dx * cosine + dy * sine, dy * cosine - dx * sine
    # A third is bent: radius of curvature from 600 to 60000 pixels
    bend = log_uniform(generator, 1 / 120000, 1 / 1200, k) * torch.sign(uniform(generator, -1, 1, k))
    bend = bend * (uniform(generator, 0, 1, k) < 1 / 3)
    return across - bend[:, None, None] * along**2, along, angle


def _own_profiles(generator, kind):
    """Profiles across of the objects without blur, ``(k, samples)`` with sum 1: a point or two bright
    edges."""
    k = len(kind)
    grid = (torch.arange(2 * SIDE * FINE + 1) - SIDE * FINE) / FINE
    radius = log_uniform(generator, 1.0, 8.0, k)[:, None]
    hole = uniform(generator, 0.2, 0.7, k)[:, None]
    # The pupil out of focus, summed along the line: chord of the disc less that of the shadow in its middle
    chord = torch.sqrt((radius**2 - grid**2).clamp(min=0)) - torch.sqrt(
        ((hole * radius) ** 2 - grid**2).clamp(min=0)
    )
    point = (grid == 0).float()
    profile = torch.where((kind == DEFOCUSED)[:, None], chord, point)
    return profile / profile.sum(-1, keepdim=True)


def _profiles(psf, angle, own):
    """Profiles across with the blur of the optics, ``(k, samples)``, with maximum 1."""
    k, m = len(psf), psf.shape[-1]
    grid = torch.arange(m) - m // 2
    place = grid[:, None] * torch.cos(angle)[:, None, None] - grid * torch.sin(angle)[:, None, None]
    samples = own.shape[-1]
    place = place.reshape(k, -1) * (FINE / OVERSAMPLING) + samples // 2
    low = place.floor()
    share = place - low
    light = psf.reshape(k, -1)
    spread = torch.zeros(k, samples)
    spread.scatter_add_(1, low.long(), light * (1 - share))
    spread.scatter_add_(1, low.long() + 1, light * share)
    # The table has room for both, so that the circular convolution does no harm
    blurred = torch.fft.irfft(torch.fft.rfft(spread) * torch.fft.rfft(own), n=samples)
    blurred = torch.roll(blurred, samples // 2 + 1, -1).clamp(min=0)
    return blurred / blurred.amax(-1, keepdim=True)


def _lines(generator, kind):
    """Index of the trail of each line and its distance from the trail's middle, ``(lines,)`` each."""
    counts = torch.where(kind == AEROPLANE, torch.randint(2, 5, kind.shape, generator=generator), 1)
    line = torch.repeat_interleave(torch.arange(len(kind)), counts)
    offset = uniform(generator, -12, 12, len(line)) * (kind[line] == AEROPLANE)
    return line, offset


def _at(table, distance):
    """Linear interpolation of profiles at distances, shape of `distance`."""
    place = (distance * FINE + SIDE * FINE).clamp(0, 2 * SIDE * FINE - 0.01)
    low = place.long()
    share = place - low
    flat = low.flatten(1)
    left, right = table.gather(1, flat), table.gather(1, flat + 1)
    value = left + (right - left) * share.flatten(1)
    return value.reshape(distance.shape)


def _ends(generator, along):
    """1 on the trail, 0 before its start or after its end; a third of the trails has one inside."""
    k, side = len(along), max(along.shape[1:])
    start = uniform(generator, -0.7, 0.7, k)[:, None, None] * side
    sign = torch.sign(uniform(generator, -1, 1, k))[:, None, None]
    whole = (uniform(generator, 0, 1, k) > 1 / 3)[:, None, None]
    # Over two pixels, as blur makes of an end
    return torch.where(whole, 1.0, torch.sigmoid(2 * sign * (along - start)))


def _modulation(generator, kind, along):
    """Brightness along the lines between 0 and 1: steady, waves of tumbling, flashes of lamps."""
    k = len(kind)
    period, phase = log_uniform(generator, 12, 400, k), uniform(generator, 0, 2 * torch.pi, k)
    depth = uniform(generator, 0.2, 1.0, k)[:, None, None]
    wave = torch.cos(2 * torch.pi * along / period[:, None, None] + phase[:, None, None])
    tumbling = 1 - depth * (1 + wave) / 2
    # Lamps are on for 15 to 70 % of the time
    duty = uniform(generator, 0.15, 0.7, k)[:, None, None]
    flashes = torch.sigmoid(8 * (wave - torch.cos(torch.pi * duty)))
    dashed = (kind == AEROPLANE) & (uniform(generator, 0, 1, k) < 0.5)
    result = torch.where((kind == TUMBLING)[:, None, None], tumbling, 1.0)
    return torch.where(dashed[:, None, None], flashes, result)
