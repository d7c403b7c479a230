# Licensed under a 3-clause BSD style license - see LICENSE
"""Real and simulated images with trails of known pixels put in, by other code than that of the training."""

from dataclasses import dataclass

import numpy as np
from astropy.io import fits
from astropy.stats import gaussian_fwhm_to_sigma, mad_std
from scipy import ndimage

from .cosmic_ray_frames import Frame, decam_frames, jwst_frames

__all__ = ["Trail", "base_frames", "put_in_trail", "simulated_frame"]

#: Full width at half maximum of the JWST images in pixels, of their model of the point spread function; that
#: of the SDSS frame as measured on its stars.
JWST_FWHM, SDSS_FWHM = 2.3, 3.2
#: Electrons of a unit of SDSS's detector, first column of the camera in r.
SDSS_GAIN = 4.71
DECAM = "optical/decam/DEC-OBS04{}.mini.fits"
SDSS = "optical/sdss/frame-r-000094-1-0012.fits.bz2"
#: Side of the cut-outs and of the simulated images in pixels.
SIDE = 400


@dataclass
class Trail:
    """A trail.

    Parameters
    ----------
    peak : float
        Brightness of its middle in units of the noise of the sky.
    width : float
        Full width of its profile at half of the maximum in pixels, blur included.
    core : `~numpy.ndarray`
        Pixels with more than half of the brightness of the middle.
    region : `~numpy.ndarray`
        Pixels that are rightly masked: those within its full width from the middle line, two pixels more, and
        all with more than a tenth of the noise of its light.
    """

    peak: float
    width: float
    core: np.ndarray
    region: np.ndarray


def base_frames(folder):
    """Frames and their full widths at half maximum: ``{kind: [(frame, fwhm), ...]}``."""
    decam = []
    for letter, frame in decam_frames(folder).items():
        decam.append((frame, fits.getval(folder / DECAM.format(letter), "FWHM")))
    jwst = [
        (frame.changed(data=frame.data[on, across], noise=frame.noise[on, across]), JWST_FWHM)
        for frame in jwst_frames(folder).values()
        for on in (slice(0, SIDE), slice(450, 450 + SIDE))
        for across in (slice(0, SIDE), slice(450, 450 + SIDE))
    ]
    return {"DECam": decam, "SDSS 94-1-12 r": _sdss(folder), "JWST": jwst}


def _sdss(folder):
    """Cut-outs of the SDSS frame."""
    with fits.open(folder / SDSS) as hdus:
        data, calibration = hdus[0].data.astype(float), hdus[1].data
    gain = SDSS_GAIN / float(np.mean(calibration))
    low = data[data < 0]
    sky_noise = float(np.sqrt(np.mean(np.square(low[low > -5 * mad_std(data)]))))
    frames = []
    for y in range(0, 3 * SIDE, SIDE):
        for x in range(0, 5 * SIDE, SIDE):
            cut = data[y : y + SIDE, x : x + SIDE]
            noise = np.sqrt(sky_noise**2 + np.clip(ndimage.median_filter(cut, 5), 0, None) / gain)
            frames.append((Frame(f"SDSS {y} {x}", cut, sky_noise, noise, gain), SDSS_FWHM))
    return frames


def simulated_frame(random):
    """Stars and galaxies, Moffat and Gaussian, on a flat sky with noise 1 and a gain of 20 electrons; its
    width."""
    fwhm = random.uniform(2.2, 5.8)
    number = int(np.exp(random.uniform(np.log(20), np.log(600))))
    y, x = np.mgrid[:SIDE, :SIDE]
    light = np.zeros((SIDE, SIDE))
    alpha = fwhm / 2 / np.sqrt(2 ** (1 / 3.0) - 1)
    for _ in range(number):
        x0, y0 = random.uniform(0, SIDE, 2)
        # Brightness of the middle from 3 times the noise on, as many stars as its inverse
        peak = min(3 / random.random(), 3000)
        on = (slice(max(int(y0) - 40, 0), int(y0) + 41), slice(max(int(x0) - 40, 0), int(x0) + 41))
        dx, dy = x[on] - x0, y[on] - y0
        if random.random() < 0.3:
            angle, size, axis = (
                random.uniform(0, np.pi),
                fwhm * random.uniform(0.5, 1.5),
                random.uniform(0.3, 1),
            )
            u, v = dx * np.cos(angle) + dy * np.sin(angle), (dy * np.cos(angle) - dx * np.sin(angle)) / axis
            light[on] += peak * np.exp(-0.5 * (u**2 + v**2) / size**2)
        else:
            light[on] += peak * (1 + (dx**2 + dy**2) / alpha**2) ** -3.0
    noise = np.sqrt(1 + light / 20)
    data = light + random.normal(size=light.shape) * noise
    return Frame("simulated", data, 1.0, noise, 20.0), fwhm


def put_in_trail(frame, fwhm, random):
    """A frame with a trail: straight, of the width of a star or up to 8 pixels more, steady or with waves.

    The profile is a bar with the width of the object, blurred by a Gaussian with the frame's full width at
    half maximum; its middle has from 0.5 to 50 times the noise. Three in ten change their brightness in
    waves, and two in ten end inside the image.
    """
    ny, nx = frame.data.shape
    y, x = np.mgrid[:ny, :nx]
    angle = random.uniform(0, np.pi)
    x0, y0 = random.uniform(0.15 * nx, 0.85 * nx), random.uniform(0.15 * ny, 0.85 * ny)
    along = (x - x0) * np.cos(angle) + (y - y0) * np.sin(angle)
    across = (y - y0) * np.cos(angle) - (x - x0) * np.sin(angle)
    bar = 0.0 if random.random() < 0.5 else random.uniform(1, 8)
    grid = np.arange(-60, 60.001, 0.1)
    profile = ndimage.gaussian_filter1d(
        (np.abs(grid) <= max(bar / 2, 0.05)).astype(float), 10 * fwhm * gaussian_fwhm_to_sigma
    )
    profile /= profile.max()
    width = float(np.ptp(grid[profile > 0.5]))
    peak = float(np.exp(random.uniform(np.log(0.5), np.log(50))))
    strength = np.ones_like(along)
    if random.random() < 0.3:
        wave = np.cos(2 * np.pi * (along / random.uniform(40, 300) + random.random()))
        strength *= 1 - random.uniform(0.1, 0.8) * (1 + wave) / 2
    if random.random() < 0.2:
        strength *= along * random.choice([-1, 1]) < 0
    shape = strength * np.interp(across, grid, profile)
    light = peak * frame.sky_noise * shape
    if frame.gain:
        light = light + random.normal(size=light.shape) * np.sqrt(light / frame.gain)
    core = (shape > 0.5 * strength) & (strength > 0.05)
    region = ((np.abs(across) < width / 2 + 2) & (strength > 0.05)) | (peak * shape > 0.1)
    trailed = frame.changed(
        data=frame.data + light, noise=np.sqrt(frame.noise**2 + _poisson(frame, peak * shape))
    )
    return trailed, Trail(peak, width, core, region)


def _poisson(frame, light):
    """Variance of light in units of the sky's noise."""
    return light * frame.sky_noise / frame.gain if frame.gain else 0.0
