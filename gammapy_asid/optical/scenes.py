# Licensed under a 3-clause BSD style license - see LICENSE
"""What the sky and the camera of a simulated image are like, drawn at random."""

from dataclasses import dataclass

import numpy as np
import torch

from .galaxies import INDICES, galaxy_points

__all__ = ["Scenes", "Sources", "draw_scenes", "draw_sources"]

#: Kinds of fields and their shares: usual ones, deep ones with many galaxies, crowded ones.
KINDS = ("field", "deep", "crowded")
SHARES = (0.4, 0.2, 0.4)

#: Stars and galaxies a pixel that come near or above the limit, as intervals for each kind. The densest
#: have a star in four pixels, twice that of the core of a globular cluster under usual seeing.
STARS = ((3e-4, 1.5e-2), (1e-4, 3e-3), (1e-2, 0.25))
GALAXIES = ((5e-4, 1.2e-2), (4e-3, 3e-2), (1e-4, 3e-3))

#: Most stars a pixel.
MOST = 0.5

#: Significance alone of the faintest sources that are drawn, and of the brightest.
FAINTEST, BRIGHTEST = 0.7, 3e4

#: Half-light radii in pixels between which a component of a galaxy is made of a number of points, which lie
#: closer than the point spread function is wide.
POINTS = ((0.0, 1.5, 48), (1.5, 4.0, 160), (4.0, 12.0, 640), (12.0, np.inf, 2048))


@dataclass(kw_only=True)
class Scenes:
    """Settings of ``n`` images, arrays of shape ``(n,)``.

    Parameters
    ----------
    stars, galaxies : `~numpy.ndarray`
        Number a pixel.
    star_slope, galaxy_slope : `~numpy.ndarray`
        Exponent of the number above a flux.
    turn, faint_slope, faint_share : `~numpy.ndarray`
        Significance alone of the faintest stars of that slope, exponent of the number of those fainter still,
        and their share.
    size : `~numpy.ndarray`
        Median half-light radius of galaxies of significance 10 over the width of the point spread function.
    gradient : `~numpy.ndarray`
        Logarithm of the density of stars at one side over that at the other.
    electrons : `~numpy.ndarray`
        Standard deviation of a pixel of sky in electrons.
    read_share : `~numpy.ndarray`
        Share of the read-out in the variance of the sky.
    saturation : `~numpy.ndarray`
        Level of saturation in units of the noise of the sky.
    """

    stars: np.ndarray
    galaxies: np.ndarray
    star_slope: np.ndarray
    galaxy_slope: np.ndarray
    turn: np.ndarray
    faint_slope: np.ndarray
    faint_share: np.ndarray
    size: np.ndarray
    gradient: np.ndarray
    electrons: np.ndarray
    read_share: np.ndarray
    saturation: np.ndarray


def _between(rng, low, high):
    """Numbers spread evenly in logarithm."""
    return np.exp(rng.uniform(np.log(low), np.log(high)))


def draw_scenes(n, rng, kinds=None):
    """Settings of images.

    Parameters
    ----------
    n : int
        Number of images.
    rng : `~numpy.random.Generator`
        Source of random numbers.
    kinds : tuple of float, optional
        Shares of the `KINDS`; by default `SHARES`.

    Returns
    -------
    scenes : `Scenes`
        Settings.
    """
    kind = rng.choice(len(KINDS), n, p=SHARES if kinds is None else kinds)
    crowded = kind == 2
    stars = _between(rng, *np.array(STARS)[kind].T)
    slope = np.where(crowded, rng.uniform(0.4, 1.4, n), rng.uniform(0.25, 0.9, n))
    # Half of the crowds end, the others go on below a turn-off, where main sequences rise less
    broken = crowded & (rng.random(n) < 0.5)
    turn = np.where(crowded, _between(rng, np.full(n, FAINTEST), np.where(broken, 100.0, 10.0)), FAINTEST)
    faint_slope = rng.uniform(0.05, 0.6, n)
    fainter = broken * slope / faint_slope * ((turn / FAINTEST) ** faint_slope - 1)
    # What nobody could part is not worth the time to draw
    fainter = np.minimum(fainter, np.maximum(MOST / stars - 1, 0))
    return Scenes(
        stars=stars * (1 + fainter),
        star_slope=slope,
        turn=turn,
        faint_slope=faint_slope,
        faint_share=fainter / (1 + fainter),
        galaxies=_between(rng, *np.array(GALAXIES)[kind].T),
        galaxy_slope=rng.uniform(0.6, 1.2, n),
        size=_between(rng, np.full(n, 0.25), np.full(n, 2.5)),
        gradient=np.where(crowded, rng.normal(0, 1, n), 0.0),
        electrons=_between(rng, np.full(n, 2.5), np.full(n, 400.0)),
        read_share=rng.uniform(0, 0.5, n) ** 2,
        saturation=_between(rng, np.full(n, 200.0), np.full(n, 2e5)),
    )


@dataclass(kw_only=True)
class Sources:
    """Sources of images, tensors of shape ``(k,)``, and the points of light that make them.

    Parameters
    ----------
    patch : `~torch.Tensor`
        Number of the image.
    x, y : `~torch.Tensor`
        Position in pixels.
    flux : `~torch.Tensor`
        Light in units of the noise of the sky.
    galaxy : `~torch.Tensor`
        Whether it is one, bool.
    width : `~torch.Tensor`
        Half-light radius in pixels, 0 for stars.
    snr : `~torch.Tensor`
        Significance that it would have alone on the sky.
    compact : `~torch.Tensor`
        Noise-equivalent area of a star over that of the source: 1 for stars.
    points : tuple of `~torch.Tensor`
        Image, position and light of each point of light.
    """

    patch: torch.Tensor
    x: torch.Tensor
    y: torch.Tensor
    flux: torch.Tensor
    galaxy: torch.Tensor
    width: torch.Tensor
    snr: torch.Tensor
    compact: torch.Tensor
    points: tuple


def _places(number, low, high, rng, gradient=None):
    """Image, x and y of sources in squares, numbers drawn around those expected a pixel."""
    side = high - low
    patch = np.repeat(np.arange(len(number)), rng.poisson(number * side**2))
    u, v = rng.random((2, len(patch)))
    if gradient is not None:
        # Inverse of the distribution of an exponential density
        g = gradient[patch] + 1e-6
        u = np.log1p(u * np.expm1(g)) / g
        turned = (patch % 2).astype(bool)
        u, v = np.where(turned, v, u), np.where(turned, u, v)
    return patch, low + u * side, low + v * side


def _significance(slope, faintest, rng):
    """Significances whose number above a value falls as a power of it."""
    return np.minimum(faintest * rng.random(len(slope)) ** (-1 / slope), BRIGHTEST)


def _fainter(scenes, image, rng):
    """Significances between the faintest and the turn of images, by the inverse of their distribution."""
    slope, turn = scenes.faint_slope[image], scenes.turn[image]
    high, low = (FAINTEST**-slope, turn**-slope)
    return (low + rng.random(len(image)) * (high - low)) ** (-1 / slope)


def draw_sources(scenes, area, fwhm, size, margin, rng):
    """Sources of images.

    Parameters
    ----------
    scenes : `Scenes`
        Settings of the images.
    area : `~numpy.ndarray`
        Noise-equivalent area of the point spread functions in pixels.
    fwhm : `~numpy.ndarray`
        Their widths in pixels.
    size, margin : int
        Side of the images, and what is drawn around them, in pixels.
    rng : `~numpy.random.Generator`
        Source of random numbers.

    Returns
    -------
    sources : `Sources`
        Stars, then galaxies.
    """
    low, high = -margin - 0.5, size + margin - 0.5
    stars, x, y = _places(scenes.stars, low, high, rng, scenes.gradient)
    snr = _significance(scenes.star_slope[stars], scenes.turn[stars], rng)
    snr = np.where(rng.random(len(snr)) < scenes.faint_share[stars], _fainter(scenes, stars, rng), snr)
    flux = snr * np.sqrt(area[stars])
    galaxies, gx, gy = _places(scenes.galaxies, low, high, rng)
    galaxy_snr = _significance(scenes.galaxy_slope[galaxies], FAINTEST, rng)
    # Sizes grow with the square root of the square root of the light, and scatter by a factor of two
    radius = scenes.size[galaxies] * fwhm[galaxies] * (galaxy_snr / 10) ** 0.25
    radius = np.clip(radius * np.exp(rng.normal(0, 0.55, len(radius))), 0.1, 0.35 * size)
    ratio = np.sqrt(rng.uniform(0.03, 1, len(radius)))
    # Noise-equivalent area of a Gaussian whose half-light radius is 1.18 of its widths
    wide = area[galaxies] + 4 * np.pi * (radius / 1.18) ** 2 * ratio
    galaxy_flux = galaxy_snr * np.sqrt(wide)
    points = _galaxy_light(galaxies, gx, gy, galaxy_flux, radius, ratio, rng)
    own = [stars, x, y, flux]
    points = [np.concatenate([a, b]) for a, b in zip(own, points, strict=True)]
    columns = {
        "patch": (stars, galaxies),
        "x": (x, gx),
        "y": (y, gy),
        "flux": (flux, galaxy_flux),
        "galaxy": (np.zeros(len(x), bool), np.ones(len(gx), bool)),
        "width": (np.zeros(len(x)), radius),
        "snr": (snr, galaxy_snr),
        "compact": (np.ones(len(x)), area[galaxies] / wide),
    }
    columns = {name: _tensor(np.concatenate(parts)) for name, parts in columns.items()}
    return Sources(**columns, points=tuple(_tensor(v) for v in points))


def _tensor(values):
    values = torch.from_numpy(values)
    return values.float() if values.dtype == torch.float64 else values


def _galaxy_light(image, x, y, flux, radius, ratio, rng):
    """Points of galaxies: each has a disk and a bulge."""
    kind = rng.random(len(x))
    irregular, early = kind < 0.25, kind > 0.75
    bulge = np.where(early, rng.uniform(0.5, 1, len(x)), rng.uniform(0, 0.4, len(x))) * ~irregular
    disk_index = np.where(irregular, rng.integers(0, 3, len(x)), rng.integers(1, 4, len(x)))
    bulge_index = rng.integers(4, len(INDICES), len(x))
    arms = np.where(irregular | early, 0.0, rng.uniform(0, 0.8, len(x)))
    clumps = np.where(
        irregular, rng.uniform(0, 1.5, len(x)), np.where(early, 0.0, rng.uniform(0, 0.6, len(x)))
    )
    angle = rng.uniform(0, np.pi, len(x))
    # Bulges are smooth, and smaller than their disks
    disk = (1 - bulge, disk_index, np.ones_like(radius), arms, clumps)
    core = (bulge, bulge_index, np.where(early, 1.0, 0.4), 0 * arms, 0 * clumps)
    parts = []
    for low, high, number in POINTS:
        own = (radius > low) & (radius <= high)
        for share, index, scale, contrast, lumpy in (disk, core):
            used = own & (share > 0.01)
            shape = (index, radius * scale, ratio, angle, contrast, lumpy)
            dx, dy, light = galaxy_points(*(_tensor(v[used]) for v in shape), number, rng)
            light = light * _tensor(flux[used] * share[used])[:, None]
            places = [(_tensor(v[used])[:, None] + d).flatten().numpy() for v, d in ((x, dx), (y, dy))]
            parts.append((np.repeat(image[used], number), *places, light.flatten().numpy()))
    return [np.concatenate(columns) for columns in zip(*parts, strict=True)]
