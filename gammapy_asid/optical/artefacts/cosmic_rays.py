# Licensed under a 3-clause BSD style license - see LICENSE
"""Cosmic rays: charge that particles leave in a detector, as tracks that no optics has blurred.

``cosmic_rays(n, shape, generator, rate=(0.3, 40.0), none=0.25, noise=1.0, widest=0.6)
-> (light, truth)``: `light` is float32 in units of the noise of the sky, `truth` the pixels with more than
one standard deviation of their own noise; both ``(n, ny, nx)``.

Kinds of tracks: straight ones of muons (long where the detector is thick), worms of electrons that scatter,
single pixels and dots, and delta rays, the short branches that a fast particle kicks off its track. Each
image has one detector: its mixture of the kinds, its thickness in pixels, the energy that a track leaves in a
pixel and the diffusion of charge, from none (infrared, thin detectors) to 0.6 pixels or more at the far side
of a thick one. After Groom (2004), https://doi.org/10.1023/B:EXPA.0000008655.17459.bd, and the pictures of
tracks there.
"""

from dataclasses import dataclass, fields

import torch

from .draws import log_uniform, lognormal, owners, uniform

__all__ = ["cosmic_rays"]

#: Distance between the deposits of a track in pixels; finer steps change no pixel by more than 3 %.
STEP = 0.3

#: Kinds of tracks: straight, worm, dot.
STRAIGHT, WORM, DOT = range(3)

#: Pixels on either side of a deposit that its charge can reach: 3 standard deviations of 0.8 pixels.
REACH = 2


@dataclass(kw_only=True)
class Tracks:
    """Tracks of particles; each attribute has shape ``(k,)``, `straight` is bool, `image` int64."""

    image: torch.Tensor
    x: torch.Tensor
    y: torch.Tensor
    angle: torch.Tensor
    length: torch.Tensor
    curl: torch.Tensor
    charge: torch.Tensor
    near: torch.Tensor
    far: torch.Tensor
    straight: torch.Tensor

    def pick(self, chosen):
        """Some of the tracks.

        Parameters
        ----------
        chosen : `~torch.Tensor`
            Mask or indices of them.

        Returns
        -------
        tracks : `Tracks`
            Those.
        """
        return Tracks(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})

    def joined(self, other):
        """These tracks and others.

        Parameters
        ----------
        other : `Tracks`
            Further tracks.

        Returns
        -------
        tracks : `Tracks`
            Both.
        """
        names = [field.name for field in fields(self)]
        return Tracks(**{name: torch.cat([getattr(self, name), getattr(other, name)]) for name in names})


def cosmic_rays(n, shape, generator, rate=(0.3, 40.0), none=0.25, noise=1.0, widest=0.6):
    """Draw cosmic rays on images.

    Parameters
    ----------
    n : int
        Number of images.
    shape : (int, int)
        Pixels ``(ny, nx)``.
    generator : `~torch.Generator`
        Source of the random numbers; the tensors are on its device.
    rate : (float, float)
        Smallest and largest expected number of tracks on 128 x 128 pixels; each image draws its own between
        them, equally in its logarithm.
    none : float
        Share of the images without any.
    noise : float or `~torch.Tensor`
        Standard deviation of the noise in the same unit as the light, 1 for sky alone; broadcasts to
        ``(n, ny, nx)``. A pixel of a bright star has more, and a weak deposit in it no one can see.
    widest : float or `~torch.Tensor`
        Largest standard deviation of the diffusion of charge in pixels, or shape ``(n,)``; each image draws
        its own up to it. Tracks in resampled images of thick detectors have 0.4 to 0.6; it has to stay below
        that of the point spread function, or no one tells a dot from a star.

    Returns
    -------
    light : `~torch.Tensor`
        Charge in units of the noise of the sky, shape ``(n, ny, nx)``.
    truth : `~torch.Tensor`
        Pixels with more than one `noise` of it, bool of the same shape.
    """
    ny, nx = shape
    mean = log_uniform(generator, *rate, n) * (ny * nx / 128**2)
    mean = mean * (uniform(generator, 0, 1, n) >= none)
    tracks = _tracks(n, shape, generator, owners(generator, mean), widest)
    tracks = tracks.joined(_delta_rays(generator, tracks))
    light = _deposit(n, shape, *_points(generator, tracks))
    return light, light > noise


def _tracks(n, shape, generator, image, widest):
    """Tracks of the images `image`, each with the character of the image's detector."""
    k = len(image)
    # Shares of worms and dots, thickness in pixels, signal of a pixel, its scatter and the diffusion of
    # charge
    worms, dots = uniform(generator, 0, 0.5, n), uniform(generator, 0, 0.4, n)
    thick = log_uniform(generator, 0.4, 20, n)
    energy, scatter = log_uniform(generator, 3, 400, n), uniform(generator, 0.4, 1.4, n)
    diffusion = (uniform(generator, 0, 1, n) * widest)[image]

    kind = torch.full((k,), STRAIGHT, device=image.device)
    lot = uniform(generator, 0, 1, k)
    kind[lot < worms[image]] = WORM
    kind[lot > 1 - dots[image]] = DOT
    # Muons fall with cos^2 of the zenith angle on a horizontal detector; the telescope may point anywhere
    sine = uniform(generator, 0, 1, k).sqrt()
    length = thick[image] * sine / torch.sqrt(1.02 - sine**2) * lognormal(generator, 0.5, k)
    length = torch.where(kind == WORM, log_uniform(generator, 1.5, 30, k), length)
    length = torch.where(kind == DOT, 0.0, length).clamp(max=1.5 * max(shape))
    # Radians of direction that a worm loses in a pixel, as a random walk
    curl = torch.where(kind == WORM, log_uniform(generator, 0.15, 1.2, k), 0.0)
    depth = uniform(generator, 0, 1, k)
    straight = kind == STRAIGHT
    return Tracks(
        image=image,
        x=uniform(generator, -0.5, shape[1] - 0.5, k),
        y=uniform(generator, -0.5, shape[0] - 0.5, k),
        angle=uniform(generator, 0, 2 * torch.pi, k),
        length=length,
        curl=curl,
        charge=energy[image] * lognormal(generator, 1.0, k) ** scatter[image],
        # Charge spreads as the square root of the way that it drifts; a straight track crosses all depths
        near=diffusion * torch.where(straight, 0.0, depth.sqrt()),
        far=diffusion * torch.where(straight, 1.0, depth.sqrt()),
        straight=straight,
    )


def _delta_rays(generator, tracks):
    """Short curled branches of about one straight track in ten, of those longer than four pixels."""
    k = len(tracks.image)
    chosen = tracks.straight & (tracks.length > 4) & (uniform(generator, 0, 1, k) < 0.1)
    parents = tracks.pick(chosen)
    k = len(parents.image)
    along = uniform(generator, -0.5, 0.5, k) * parents.length
    side = torch.sign(uniform(generator, -1, 1, k)) * uniform(generator, 0.3, 1.3, k)
    return Tracks(
        image=parents.image,
        x=parents.x + along * torch.cos(parents.angle),
        y=parents.y + along * torch.sin(parents.angle),
        angle=parents.angle + side,
        length=log_uniform(generator, 1.5, 12, k),
        curl=log_uniform(generator, 0.15, 0.8, k),
        charge=parents.charge * lognormal(generator, 0.5, k),
        near=parents.near,
        far=parents.far,
        straight=torch.zeros_like(parents.straight),
    )


def _points(generator, tracks):
    """Deposits along the tracks.

    Returns
    -------
    image, x, y, charge, spread : `~torch.Tensor`
        Index of the image, pixel positions, charge and standard deviation of its diffusion, ``(p,)`` each.
    """
    counts = (tracks.length / STEP).long() + 1
    first = torch.cumsum(counts, 0) - counts
    track = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
    p = len(track)
    number = torch.arange(p, device=counts.device) - first[track]

    turns = (tracks.curl * STEP**0.5)[track] * torch.randn(p, generator=generator, device=counts.device)
    angle = tracks.angle[track] + _walk(turns, first, track)
    step = torch.where(number > 0, STEP, 0.0)
    x = tracks.x[track] + _walk(step * torch.cos(angle), first, track)
    y = tracks.y[track] + _walk(step * torch.sin(angle), first, track)
    # A straight track has its place in its middle, so that it may come in from outside
    half = torch.where(tracks.straight, tracks.length / 2, 0.0)
    x, y = x - (half * torch.cos(tracks.angle))[track], y - (half * torch.sin(tracks.angle))[track]

    # Losses fluctuate with a long tail to the high side; a dot keeps the charge of a whole pixel
    charge = (tracks.charge * torch.where(counts > 1, STEP, 1.0))[track] * lognormal(generator, 0.4, p)
    way = number / counts[track].clamp(min=2)
    spread = torch.sqrt(tracks.near[track] ** 2 * (1 - way) + tracks.far[track] ** 2 * way)
    return tracks.image[track], x, y, charge, spread


def _walk(steps, first, track):
    """Sum of the steps from the first of each track on; the first itself does not count."""
    # In double precision: the differences of long sums
    total = torch.cumsum(steps.double(), 0)
    return (total - total[first][track]).float()


def _deposit(n, shape, image, x, y, charge, spread):
    """Charge of Gaussian clouds on the pixels, shape ``(n, ny, nx)``."""
    ny, nx = shape
    light = torch.zeros(n * ny * nx, device=x.device)
    inside = (x > -3) & (x < nx + 2) & (y > -3) & (y < ny + 2)
    image, x, y, charge, spread = (value[inside] for value in (image, x, y, charge, spread))
    # 0.05 pixels stand for no diffusion at all
    scale = spread.clamp(min=0.05) * 2**0.5
    columns, in_x = _shares(x, scale)
    rows, in_y = _shares(y, scale)
    cells = (image[:, None, None] * ny + rows[:, :, None]) * nx + columns[:, None, :]
    value = charge[:, None, None] * in_y[:, :, None] * in_x[:, None, :]
    good = ((rows >= 0) & (rows < ny))[:, :, None] & ((columns >= 0) & (columns < nx))[:, None, :]
    light.index_add_(0, torch.where(good, cells, 0).flatten(), torch.where(good, value, 0.0).flatten())
    return light.reshape(n, ny, nx)


def _shares(position, scale):
    """Pixels around positions along one axis, and the share of the charge that each gets, ``(p, 5)``."""
    edges = torch.arange(2 * REACH + 2, device=position.device) - REACH
    middle = position.round()
    within = torch.erf((middle[:, None] + edges - 0.5 - position[:, None]) / scale[:, None])
    return middle.long()[:, None] + edges[:-1], (within[:, 1:] - within[:, :-1]) / 2
