# Licensed under a 3-clause BSD style license - see LICENSE
"""Images of crowded fields drawn by GalSim, with their truth: none of the training's simulator is used.

Stars have counts that rise by `STARS` with the magnitude, galaxies are Sersic profiles of a fixed number on
the sky. Both go on far below the detection limit, so that what is too faint to be found makes its confusion.
"""

from dataclasses import dataclass

import numpy as np

from benchmarks.common import Peer

__all__ = ["CAMERAS", "GalSimImage", "draw_image"]

galsim = Peer("galsim")

#: Slope of the counts of stars and of galaxies with the magnitude, dN/dm ~ 10**(slope * m).
STARS, GALAXIES = 0.25, 0.4
#: Significances alone between which sources are drawn; those above `COUNTED` make the density.
FAINTEST, COUNTED, BRIGHTEST = 0.5, 5.0, 3000.0
#: Sersic indices, of disks and of spheroids, and the share of each.
INDICES, SHARES = (1.0, 1.5, 2.5, 4.0), (0.5, 0.2, 0.15, 0.15)
#: Pixels on which sources are drawn beyond the edges.
MARGIN = 16


@dataclass(kw_only=True)
class Camera:
    """What a camera and its sky are.

    Parameters
    ----------
    scale : float
        Side of a pixel in arcsec.
    sky, read_noise : float
        Electrons a pixel, and their rms.
    gain : float
        Electrons a unit of the data.
    size : float
        Half-light radius in arcsec of a galaxy of significance 20, in the median.
    galaxies : float
        Galaxies above `COUNTED` a square arcminute; at most half of all sources.
    psf : callable
        GalSim profile of the point spread function, without the pixel, of a seeing in arcsec.
    """

    scale: float
    sky: float
    read_noise: float
    gain: float
    size: float
    galaxies: float
    psf: callable


def _ground_psf(seeing):
    # Telescope of 0.65 m with a third of its mirror hidden and some astigmatism and coma, as MeerLICHT
    optics = galsim.OpticalPSF(
        lam=640, diam=0.65, obscuration=0.45, astig1=0.03, astig2=-0.02, coma1=0.02, trefoil1=0.02
    )
    return galsim.Convolve(galsim.Kolmogorov(fwhm=seeing), optics).shear(g1=0.02, g2=-0.015)


def _hubble_psf(seeing):
    optics = galsim.OpticalPSF(
        lam=606, diam=2.4, obscuration=0.33, nstruts=4, strut_thick=0.011, strut_angle=45 * galsim.degrees,
        astig1=0.03, coma2=0.02, spher=-0.02,
    )  # fmt: skip
    # Charge diffuses in the detector; the jitter of the pointing is given as seeing
    return galsim.Convolve(optics, galsim.Gaussian(sigma=0.016), galsim.Gaussian(fwhm=seeing))


def _wise_psf(seeing):
    optics = galsim.OpticalPSF(lam=3368, diam=0.4, obscuration=0.2, nstruts=3, astig2=0.08, defocus=0.1)
    return galsim.Convolve(optics, galsim.Gaussian(fwhm=seeing))


#: Cameras by name.
CAMERAS = {
    "MeerLICHT": Camera(
        scale=0.56, sky=600.0, read_noise=8.0, gain=1.6, size=0.9, galaxies=3.0, psf=_ground_psf
    ),
    "HST": Camera(scale=0.05, sky=45.0, read_noise=5.0, gain=1.0, size=0.25, galaxies=300.0, psf=_hubble_psf),
    "WISE": Camera(scale=2.75, sky=900.0, read_noise=12.0, gain=3.0, size=0.6, galaxies=1.0, psf=_wise_psf),
}


@dataclass(kw_only=True)
class GalSimImage:
    """An image and its truth.

    Parameters
    ----------
    data : `~numpy.ndarray`
        Image with its sky, in data units.
    gain, read_noise, scale, fwhm : float
        Electrons a data unit, electrons, arcsec a pixel, pixels.
    psf : `~numpy.ndarray`
        Effective point spread function of a star at the centre of a pixel, 25 x 25 pixels, sum near one.
    fine_psf : `~numpy.ndarray`
        The same sampled four times a pixel, 97 x 97, sum near 16.
    noise : float
        Standard deviation of a pixel of sky in data units.
    light : `~numpy.ndarray`
        Image of the sources without noise in data units.
    x, y, flux, snr, width, galaxy : `~numpy.ndarray`
        Sources: pixels (0 is the centre of the first), data units, significance alone on the sky, half-light
        radius in pixels (0 for stars), bool.
    density : float
        Sources above `COUNTED` a square arcminute.
    """

    data: np.ndarray
    gain: float
    read_noise: float
    scale: float
    fwhm: float
    psf: np.ndarray
    fine_psf: np.ndarray
    noise: float
    light: np.ndarray
    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    snr: np.ndarray
    width: np.ndarray
    galaxy: np.ndarray
    density: float


def _significances(rng, density, area, slope):
    """Significances of sources of which `density * area` are expected above `COUNTED`."""
    power = 2.5 * slope
    faintest, brightest = (np.power(value / COUNTED, -power) for value in (FAINTEST, BRIGHTEST))
    number = rng.poisson(density * area * (faintest - brightest) / (1 - brightest))
    return COUNTED * rng.uniform(brightest, faintest, number) ** (-1 / power)


def _fine(psf, scale):
    """Effective point spread function, four samples a pixel, and its share in that square."""
    fine = galsim.ImageD(97, 97)
    galsim.Convolve(psf, galsim.Pixel(scale)).drawImage(fine, scale=scale / 4, method="no_pixel")
    return fine.array * 16


def _fwhm(fine):
    """Diameter in pixels of the circle with the area above half of the maximum."""
    peak = fine.max()
    return 2 * np.sqrt(np.clip((fine / peak - 0.5) / 0.1 + 0.5, 0, 1).sum() / 16 / np.pi)


def _galaxies(rng, snr, camera):
    """GalSim profiles of unit flux, and their half-light radii in pixels."""
    radius = camera.size * (snr / 20) ** 0.25 * np.exp(rng.normal(0, 0.4, len(snr)))
    index = rng.choice(INDICES, p=SHARES, size=len(snr))
    axes, angle = rng.uniform(0.25, 1, len(snr)), rng.uniform(0, 180, len(snr))
    profiles = [
        galsim.Sersic(n=n, half_light_radius=r, trunc=5 * r).shear(q=q, beta=b * galsim.degrees)
        for n, r, q, b in zip(index, radius, axes, angle, strict=True)
    ]
    return profiles, radius / camera.scale


def _add(image, profile, x, y, flux, size, scale):
    """Add a profile that has the pixel in it to the part of the image that it reaches."""
    column, row = round(x), round(y)
    bounds = galsim.BoundsI(column - size, column + size, row - size, row + size) & image.bounds
    if not bounds.isDefined():
        return
    centre = galsim.PositionD(x, y)
    stamp = galsim.ImageF(bounds)
    (profile * flux).drawImage(stamp, center=centre, method="no_pixel", scale=scale)
    image[bounds] += stamp


def _stamp(flux, sigma, psf, largest):
    """Half side of the stamp beyond which a star's light in a pixel is below 3 % of the noise."""
    radius = np.hypot(*np.indices(psf.shape).reshape(2, -1) - 48).reshape(psf.shape) / 4
    reach = np.array([np.max(psf[radius >= r], initial=0) for r in range(13)])
    size = (flux[:, None] * reach > 0.03 * sigma).sum(axis=1)
    return np.where(size >= 13, largest, np.maximum(size, 5))


def draw_image(camera, density, side, seeing, seed):
    """Draw one image.

    Parameters
    ----------
    camera : str
        One of `CAMERAS`.
    density : float
        Sources above significance `COUNTED` a square arcminute, in the mean.
    side : int
        Of the image in pixels.
    seeing : float
        Full width at half maximum in arcsec that goes into the point spread function.
    seed : int
        Equal seeds give equal images.

    Returns
    -------
    image : `GalSimImage`
        Image and truth.
    """
    rng, camera = np.random.default_rng(seed), CAMERAS[camera]
    ny, nx = shape = side, side
    psf = camera.psf(seeing)
    fine = _fine(psf, camera.scale)
    sigma = np.hypot(np.sqrt(camera.sky), camera.read_noise)
    area = (ny + 2 * MARGIN) * (nx + 2 * MARGIN) * camera.scale**2 / 3600
    n_galaxies = min(camera.galaxies, density / 2)
    stars = _significances(rng, density - n_galaxies, area, STARS)
    galaxies = _significances(rng, n_galaxies, area, GALAXIES)
    snr, galaxy = np.append(stars, galaxies), np.arange(len(stars) + len(galaxies)) >= len(stars)
    x, y = rng.uniform(-MARGIN, nx + MARGIN, len(snr)), rng.uniform(-MARGIN, ny + MARGIN, len(snr))
    y, x = y - 0.5, x - 0.5
    # Significance alone of a matched filter on the sky: flux sqrt(sum of squares of the profile) / sigma
    flux = snr * sigma / np.sqrt(np.sum(fine**2) / 16)
    image = galsim.ImageF(galsim.BoundsI(0, nx - 1, 0, ny - 1), init_value=0)
    star = galsim.InterpolatedImage(_whole(psf, camera.scale), x_interpolant="quintic", normalization="sb")
    size = _stamp(flux, sigma, fine, 50)
    for i in np.flatnonzero(~galaxy):
        _add(image, star, x[i], y[i], flux[i], size[i], camera.scale)
    profiles, widths = _galaxies(rng, galaxies, camera)
    for i, profile, width in zip(np.flatnonzero(galaxy), profiles, widths, strict=True):
        whole = galsim.Convolve(profile, star)
        stamp = galsim.ImageD(81, 81)
        whole.drawImage(stamp, method="no_pixel", scale=camera.scale)
        flux[i] = snr[i] * sigma / np.sqrt(np.sum(stamp.array**2))
        _add(image, whole, x[i], y[i], flux[i], 30 + int(6 * width), camera.scale)
    rows, columns = np.indices(shape) / np.reshape(shape, (2, 1, 1)) - 0.5
    slope = rng.uniform(-0.05, 0.05, 2)
    light = image.array + camera.sky * (1 + slope[0] * rows + slope[1] * columns)
    data = rng.poisson(np.maximum(light, 0)) + rng.normal(0, camera.read_noise, shape)
    inside = (x > -0.5) & (x < nx - 0.5) & (y > -0.5) & (y < ny - 0.5)
    return GalSimImage(
        data=(data / camera.gain).astype(np.float32),
        gain=camera.gain,
        read_noise=camera.read_noise,
        scale=camera.scale,
        fwhm=_fwhm(fine),
        psf=fine[::4, ::4],
        fine_psf=fine,
        noise=sigma / camera.gain,
        light=image.array / camera.gain,
        x=x[inside],
        y=y[inside],
        flux=flux[inside] * np.sum(fine[::4, ::4]) / camera.gain,
        snr=snr[inside],
        width=np.append(np.zeros(len(stars)), widths)[inside],
        galaxy=galaxy[inside],
        density=density,
    )


def _whole(psf, scale):
    """Effective point spread function four times a pixel out to 60 pixels, as a GalSim image."""
    image = galsim.ImageD(481, 481)
    galsim.Convolve(psf, galsim.Pixel(scale)).drawImage(image, scale=scale / 4, method="sb")
    return image
