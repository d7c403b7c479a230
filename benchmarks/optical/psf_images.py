# Licensed under a 3-clause BSD style license - see LICENSE
"""Images by GalSim whose point spread function is known at each position."""

from dataclasses import dataclass

import numpy as np
from astropy.stats import sigma_clipped_stats
from scipy.ndimage import gaussian_filter

from benchmarks.common import Peer
from benchmarks.optical.cosmic_ray_frames import simulated_track

__all__ = ["FIELDS", "Field", "simulate"]

galsim = Peer("galsim")

#: Sides of an image and of the stamps that sources are drawn on, in pixels.
SIDE, STAMP = 500, 49


@dataclass(frozen=True)
class Field:
    """What is in an image.

    Parameters
    ----------
    stars, galaxies : int
        Numbers.
    fluxes : tuple of float
        Least and greatest flux of the stars in units of the noise of a pixel; equal numbers in equal ratios.
    width : float
        Full width at half maximum of the optics and the air, in pixels.
    space : bool
        Whether there is no air: an Airy pattern with a central obscuration.
    change : float
        Relative change of the width from the middle to the right edge; half of it in ellipticity to the top.
    sizes : tuple of float
        Least and greatest half-light radius of the galaxies in pixels; equal numbers in equal ratios.
    faintest : float
        Least flux of the galaxies; numbers fall with the flux from there on where it is given.
    correlation : float
        Standard deviation in pixels of a Gaussian that the noise is smoothed with, as by resampling.
    rays : int
        Cosmic rays.
    """

    stars: int
    galaxies: int = 0
    fluxes: tuple = (200.0, 30000.0)
    width: float = 3.0
    space: bool = False
    change: float = 0.0
    sizes: tuple = (1.0, 4.0)
    faintest: float | None = None
    correlation: float = 0.0
    rays: int = 0

    def optics(self, x, y):
        """The point spread function at a position, without the pixel."""
        u, v = (2 * value / (SIDE - 1) - 1 for value in (x, y))
        if self.space:
            psf = galsim.Airy(lam_over_diam=self.width / 1.03, obscuration=0.3)
        else:
            psf = galsim.Convolve(
                galsim.Kolmogorov(fwhm=0.97 * self.width),
                galsim.Airy(lam_over_diam=0.2 * self.width, obscuration=0.3),
            )
        return psf.dilate(1 + self.change * u).shear(e1=0.03 + self.change / 2 * v, e2=-0.02)

    def truth(self, x, y):
        """The effective point spread function as `~gammapy_asid.optical.psf.PSF` samples it."""
        profile = galsim.Convolve(self.optics(x, y), galsim.Pixel(1.0))
        image = profile.drawImage(nx=97, ny=97, scale=0.25, method="no_pixel").array.astype(float)
        return image * (16 / image.sum())


#: Fields by their names.
FIELDS = {
    "60 stars": Field(60),
    "60 stars, PSF changes 8 % to the edge": Field(60, change=0.08),
    "20 stars, 150 galaxies": Field(20, galaxies=150),
    "4 stars": Field(4, fluxes=(1000, 10000)),
    "crowd of 2500 stars": Field(2500, fluxes=(100, 30000)),
    "undersampled, 60 stars": Field(60, width=1.3, space=True),
    "space, 8 stars, 300 small galaxies": Field(
        8,
        galaxies=300,
        fluxes=(200, 20000),
        width=2.0,
        space=True,
        sizes=(0.5, 6.0),
        faintest=100,
        correlation=0.6,
    ),
    "space, no star, 300 small galaxies": Field(
        0,
        galaxies=300,
        width=2.0,
        space=True,
        sizes=(0.5, 6.0),
        faintest=100,
        correlation=0.6,
    ),
    "20 stars, 200 cosmic rays": Field(20, fluxes=(300, 30000), width=4.0, rays=200),
    "60 stars, undersampled, 100 cosmic rays": Field(60, width=1.3, space=True, rays=100),
    "200 cosmic rays, no star": Field(0, width=4.0, rays=200),
}


def simulate(field, seed):
    """Draw an image.

    Parameters
    ----------
    field : `Field`
        What is in it.
    seed : int
        Seed.

    Returns
    -------
    image : `~numpy.ndarray`
        Image less its background in units of the noise of its sky, both by clipping as they are for all
        programs, shape ``(SIDE, SIDE)``.
    x, y, flux : `~numpy.ndarray`
        The stars.
    """
    rng = np.random.default_rng(seed)
    image = galsim.ImageF(SIDE, SIDE, xmin=0, ymin=0)
    n = field.stars + field.galaxies
    x, y = rng.uniform(0, SIDE - 1, (2, n))
    flux = np.exp(rng.uniform(*np.log(field.fluxes), n))
    if field.faintest is not None:
        # As many galaxies as those of the sky grow in number with each magnitude (dN/dm ~ 10**(.3 m))
        flux[field.stars :] = field.faintest * rng.uniform(0.003, 1, field.galaxies) ** (-1 / 0.75)
    for i in range(n):
        profile = field.optics(x[i], y[i])
        if i >= field.stars:
            size = np.exp(rng.uniform(*np.log(field.sizes)))
            galaxy = galsim.Sersic(n=rng.choice([1.0, 1.0, 3.0]), half_light_radius=size)
            profile = galsim.Convolve(galaxy.shear(e1=rng.normal(0, 0.2), e2=rng.normal(0, 0.2)), profile)
        center = galsim.PositionD(x[i], y[i])
        stamp = profile.withFlux(flux[i]).drawImage(nx=STAMP, ny=STAMP, scale=1.0, center=center)
        overlap = stamp.bounds & image.bounds
        image[overlap] += stamp[overlap]
    noise = rng.normal(size=(SIDE, SIDE))
    if field.correlation:
        noise = gaussian_filter(noise, field.correlation)
        noise /= noise.std()
    data = image.array + noise
    for _ in range(field.rays):
        _add_ray(data, rng)
    mean, median, noise = sigma_clipped_stats(data)
    data = (data - (2.5 * median - 1.5 * mean)) / noise
    return data.astype(np.float32), *(value[: field.stars] for value in (x, y, flux / noise))


def _add_ray(data, rng):
    """Add a cosmic ray somewhere."""
    track = simulated_track(rng)
    row, column = (rng.integers(-n // 2, SIDE - n // 2) for n in track.shape)
    rows, columns = (slice(max(at, 0), at + n) for at, n in zip((row, column), track.shape, strict=True))
    part = data[rows, columns]
    part += track[max(-row, 0) :, max(-column, 0) :][: part.shape[0], : part.shape[1]]
