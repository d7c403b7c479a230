# Licensed under a 3-clause BSD style license - see LICENSE
"""Simulated images like a frame of SDSS in r: galaxies by GalSim, published numbers and sizes, a real sky."""

from dataclasses import dataclass

import numpy as np

from benchmarks.common import Peer
from gammapy_asid.optical.batch import HALF, OVERSAMPLING

__all__ = [
    "GAIN",
    "PIXEL",
    "SKY_NOISE",
    "Field",
    "drawn_sizes",
    "galaxy",
    "isolated_field",
    "simulated_field",
]

galsim = Peer("galsim")

#: Side of a pixel in arcsec, sky noise of a pixel and electrons a nanomaggy: run 94, camcol 1, r.
PIXEL, SKY_NOISE, GAIN = 0.396, 0.0317, 990.0
#: Magnitudes at which counts are given, and sources a square degree and magnitude: galaxies (Yasuda et al.
#: 2001, AJ 122, 1104; Capak et al. 2007, ApJS 172, 99), stars at a Galactic latitude of 50 deg (Juric et al.
#: 2008, ApJ 673, 864, as counted in Stripe 82).
MAGNITUDES = (16.0, 17.0, 18.0, 19.0, 20.0, 21.0, 22.0, 23.0, 24.5)
GALAXIES = (8.0, 30.0, 110.0, 350.0, 950.0, 2400.0, 5600.0, 12500.0, 40000.0)
STARS = (330.0, 420.0, 530.0, 660.0, 800.0, 950.0, 1150.0, 1400.0, 1800.0)
#: Median half-light radius of galaxies in arcsec there, and its scatter in dex (Shen et al. 2003, MNRAS 343,
#: 978, with redshifts; Griffith et al. 2012, ApJS 200, 9).
SIZES = (3.2, 2.4, 1.8, 1.35, 1.0, 0.75, 0.58, 0.46, 0.34)
SCATTER = 0.22


@dataclass
class Field:
    """Simulated image with its truth, arrays of shape ``(k,)``.

    Parameters
    ----------
    data : `~numpy.ndarray`
        Image in nanomaggies without sky.
    psf : `~numpy.ndarray`
        True effective point spread function in the middle.
    x, y, magnitude : `~numpy.ndarray`
        Places in pixels and total magnitudes.
    size : `~numpy.ndarray`
        Half-light radius in arcsec, 0 for stars.
    """

    data: np.ndarray
    psf: np.ndarray
    x: np.ndarray
    y: np.ndarray
    magnitude: np.ndarray
    size: np.ndarray


def mixed_psf(fwhm, beta=3.0, shear=(0.0, 0.0)):
    """A Moffat function with a share of wide light, as GalSim's object."""
    core = galsim.Moffat(beta=beta, fwhm=fwhm)
    wide = galsim.Gaussian(sigma=fwhm * 1.1, flux=0.04)
    return (0.96 * core + wide).shear(g1=shear[0], g2=shear[1])


def effective_psf(psf):
    """Effective point spread function of a GalSim object, see `~gammapy_asid.optical.batch.ImageBatch`."""
    side = 2 * HALF * OVERSAMPLING + 1
    seen = galsim.Convolve(psf, galsim.Pixel(PIXEL))
    image = seen.drawImage(nx=side, ny=side, scale=PIXEL / OVERSAMPLING, method="sb").array * PIXEL**2
    return image / image.sum() * OVERSAMPLING**2


def _drawn(rng, counts, area):
    """Magnitudes of sources of an area in square degrees."""
    fine = np.linspace(MAGNITUDES[0], MAGNITUDES[-1], 851)
    density = np.exp(np.interp(fine, MAGNITUDES, np.log(counts))) * area
    total = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(fine))])
    return np.interp(rng.uniform(0, total[-1], rng.poisson(total[-1])), total, fine)


def galaxy(rng, size):
    """Bulge and disk of a half-light radius, as GalSim's object of unit flux."""
    bulge = rng.beta(0.7, 1.8)
    disk = galsim.InclinedExponential(
        galsim.Angle(np.arccos(rng.uniform(0.1, 1)), galsim.radians),
        half_light_radius=size,
        scale_h_over_r=0.15,
    )
    core = galsim.Sersic(
        n=rng.choice([2.0, 3.0, 4.0]), half_light_radius=max(size * rng.uniform(0.3, 1), 0.05), trunc=8 * size
    ).shear(q=rng.uniform(0.6, 1), beta=0 * galsim.radians)
    both = (1 - bulge) * disk + bulge * core
    return both.rotate(galsim.Angle(rng.uniform(0, np.pi), galsim.radians))


def simulated_field(seed, side=1024, fwhm=(1.2, 1.6), vary=0.03):
    """A field with its truth.

    Parameters
    ----------
    seed : int
        Seed.
    side : int
        Side in pixels.
    fwhm : tuple of float
        Range of the seeing in arcsec.
    vary : float
        Share by which the seeing changes over the field at most.
    """
    rng = np.random.default_rng(seed)
    stars, galaxies = (_drawn(rng, counts, (side * PIXEL / 3600) ** 2) for counts in (STARS, GALAXIES))
    magnitude = np.concatenate([stars, galaxies])
    size = np.concatenate([0 * stars, drawn_sizes(rng, galaxies)])
    x, y = rng.uniform(-0.5, side - 0.5, (2, len(magnitude)))
    return _exposed(rng, x, y, magnitude, size, side, fwhm, vary)


def isolated_field(seed, magnitudes, side=1024, step=44, fwhm=(1.2, 1.6)):
    """Sources far from each other, stars and galaxies in turn, seeing the same everywhere.

    Parameters
    ----------
    seed : int
        Seed.
    magnitudes : tuple of float
        Interval of magnitudes.
    side, step : int
        Side, and distance of the sources, in pixels.
    fwhm : tuple of float
        Range of the seeing in arcsec.
    """
    rng = np.random.default_rng(seed)
    axis = np.arange(step // 2, side - step // 2, step)
    x, y = (v.ravel() + rng.uniform(-0.5, 0.5, v.size) for v in np.meshgrid(axis, axis))
    magnitude = rng.uniform(*magnitudes, len(x))
    size = np.where(np.arange(len(x)) % 2, drawn_sizes(rng, magnitude), 0)
    return _exposed(rng, x, y, magnitude, size, side, fwhm, 0.0)


def drawn_sizes(rng, magnitude):
    """Half-light radii of galaxies in arcsec."""
    median = np.exp(np.interp(magnitude, MAGNITUDES, np.log(SIZES)))
    return median * 10 ** rng.normal(0, SCATTER, len(magnitude))


def _exposed(rng, x, y, magnitude, size, side, fwhm, vary):
    """Image of sources."""
    width, beta = rng.uniform(*fwhm), rng.uniform(2.7, 4.5)
    shear, slope = rng.normal(0, 0.02, 2), vary * rng.uniform(-1, 1, 2)
    fast = galsim.GSParams(folding_threshold=2e-2, maxk_threshold=5e-3, kvalue_accuracy=1e-3)
    image = galsim.ImageD(side, side, scale=PIXEL, xmin=0, ymin=0)
    psfs = {}
    for k in range(len(x)):
        # Seeing in steps over the field
        step = tuple(np.clip(np.floor(np.array([x[k], y[k]]) / side * 4), 0, 3).astype(int))
        if step not in psfs:
            change = 1 + slope @ ((np.array(step) + 0.5) / 4 - 0.5) * 2
            psfs[step] = mixed_psf(width * change, beta, shear).withGSParams(fast)
        shape = psfs[step]
        if size[k] > 0:
            shape = galsim.Convolve(shape, galaxy(rng, size[k])).withGSParams(fast)
        reach = 160 if magnitude[k] < 18 else 64 if magnitude[k] < 20 else 40
        bounds = galsim.BoundsI(*(int(v) for c in (x[k], y[k]) for v in (c - reach, c + reach)))
        place = galsim.PositionD(x[k], y[k])
        part = image[bounds & image.bounds]
        (shape * 10 ** (0.4 * (22.5 - magnitude[k]))).drawImage(part, center=place, add_to_image=True)
    noise = np.sqrt(SKY_NOISE**2 + np.maximum(image.array, 0) / GAIN)
    data = image.array + rng.normal(0, 1, (side, side)) * noise
    psf = effective_psf(mixed_psf(width, beta, shear))
    return Field(data.astype(np.float32), psf, x, y, magnitude, size)
