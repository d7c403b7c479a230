# Licensed under a 3-clause BSD style license - see LICENSE
"""Real images with cosmic rays of known pixels: found by comparison of repeats, or put in.

What is put in comes from two sources, neither of them that of the training: tracks that were cut out of the
DECam repeats, and a simple simulation of particles that cross a slab of silicon.
"""

from dataclasses import dataclass

import numpy as np
from astropy.io import fits
from astropy.stats import mad_std
from scipy import ndimage, stats

from gammapy_asid.optical.psf import as_psf

__all__ = [
    "Frame",
    "decam_frames",
    "jwst_frames",
    "put_in",
    "real_tracks",
    "simulated_track",
    "with_real_rays",
]

#: Deposits above this many standard deviations of the local noise are true pixels; those between 1 and this
#: one count neither as true nor as false.
TRUE, NEUTRAL = 3.0, 1.0

DECAM = "optical/decam/DEC-OBS04{}.mini.fits"
JWST = (
    "optical/jwst/jw01324001001-01324-o001_t001_nircam_clear-f200w_i2d_stamp{}.fits",
    "optical/jwst/jw02561001002-02561-o001_t003_nircam_clear-f200w_i2d_stamp{}.fits",
)


@dataclass
class Frame:
    """An image above its sky, with what programs are told of it.

    Parameters
    ----------
    name : str
        Name.
    data : `~numpy.ndarray`
        Image above its sky in its own unit.
    sky_noise : float
        Standard deviation of a pixel of sky.
    noise : `~numpy.ndarray`
        Standard deviation of each pixel, without cosmic rays.
    gain : float, optional
        Electrons of a unit of `data`; None where pixels have had different ones.
    true, neutral : `~numpy.ndarray`, optional
        Pixels of cosmic rays, and pixels that are not judged.
    tracks : `~numpy.ndarray`, optional
        Number of each cosmic ray on its true pixels, 0 elsewhere.
    psf : object, optional
        Point spread function, where it is known; elsewhere programs measure it.
    """

    name: str
    data: np.ndarray
    sky_noise: float
    noise: np.ndarray
    gain: float | None
    true: np.ndarray = None
    neutral: np.ndarray = None
    tracks: np.ndarray = None
    psf: object = None

    def changed(self, **values):
        """A copy with other values."""
        return Frame(**{**self.__dict__, **values})


def decam_frames(folder):
    """The five repeats of DECam, by letter."""
    frames = {}
    for letter in "abcde":
        with fits.open(folder / DECAM.format(letter)) as hdus:
            data, gain = hdus[0].data.astype(float), hdus[0].header["GAIN"]
        data = data - np.median(data[np.abs(data) < 3 * mad_std(data)])
        sky_noise = _sky_noise(data)
        # The smooth part of the light carries Poisson noise
        light = np.clip(ndimage.median_filter(data, 5), 0, None)
        noise = np.sqrt(sky_noise**2 + light / gain)
        frames[letter] = Frame(f"DECam {letter}", data, sky_noise, noise, gain)
    return frames


def jwst_frames(folder):
    """The two epochs of JWST's NIRCam, by number, with their noise maps and point spread functions."""
    frames = {}
    for i, name in enumerate(JWST):
        data = fits.getdata(folder / name.format("")).astype(float)
        noise = fits.getdata(folder / name.format(".noise")).astype(float)
        good = np.isfinite(data) & np.isfinite(noise) & (noise > 0)
        data, noise = np.where(good, data, 0), np.where(good, noise, np.nanmedian(noise))
        data = data - np.median(data[np.abs(data) < 3 * mad_std(data)])
        psf = as_psf(folder / name.format(".WebbPSF"))
        frames[str(i + 1)] = Frame(f"JWST {i + 1}", data, _sky_noise(data), noise, None, psf=psf)
    return frames


def _sky_noise(data):
    """Standard deviation of the negative half of the pixels, where no source adds."""
    low = data[data < 0]
    return float(np.sqrt(np.mean(np.square(low[low > -5 * mad_std(data)]))))


def with_real_rays(frames):
    """Repeats with the cosmic rays that are really there as truth.

    A track has a pixel 6 standard deviations above the median of the other repeats, and those connected with
    it above 2.5. The point spread function changes from repeat to repeat, so half of the light of a source
    counts as noise: on stars nothing is judged.
    """
    judged, deposits = {}, {}
    for name, frame in frames.items():
        others = np.median([f.data for key, f in frames.items() if key != name], axis=0)
        change = frame.data - others
        error = np.hypot(1.2 * frame.noise, 0.5 * np.clip(ndimage.gaussian_filter(others, 1), 0, None))
        significance = change / error
        labels, _ = ndimage.label(significance > 2.5, np.ones((3, 3)))
        strong = np.setdiff1d(np.unique(labels[significance > 6]), 0)
        true = np.isin(labels, strong)
        ring = ndimage.binary_dilation(true, np.ones((3, 3))) & ~true
        stars = ndimage.binary_dilation(others > 20 * frame.sky_noise, iterations=2) & ~true
        tracks, _ = ndimage.label(true, np.ones((3, 3)))
        judged[name] = frame.changed(true=true, neutral=ring | stars, tracks=tracks)
        deposits[name] = np.where(true | (ring & (significance > 1)), change, 0)
    return judged, deposits


def real_tracks(frames, deposits):
    """Tracks cut out of the repeats: repeat, and deposits in units of the sky's noise; of two pixels at
    least."""
    tracks = []
    for name, frame in frames.items():
        spots = ndimage.binary_dilation(frame.tracks > 0, np.ones((3, 3)))
        labels, n = ndimage.label(spots, np.ones((3, 3)))
        for i, where in enumerate(ndimage.find_objects(labels), 1):
            stamp = np.where(labels[where] == i, deposits[name][where], 0) / frame.sky_noise
            if (stamp > TRUE).sum() >= 2:
                tracks.append((name, np.clip(stamp, 0, None)))
    return tracks


def simulated_track(random):
    """Deposits of one particle in a slab of silicon, in units of the sky's noise.

    Particles come from all sides with the flux through a surface, cross a slab of 0.7 (infrared, thin), 1 or
    17 (thick) pixels in straight lines, and lose energy with the fluctuations of Landau (Moyal's form) per
    tenth of a pixel of their way. A quarter are electrons, whose direction changes by scattering. Charge
    diffuses by up to 0.4 pixels in the thick slab.
    """
    thick = random.choice([0.7, 1.0, 17.0])
    cosine = np.sqrt(random.random())
    scale = np.exp(random.normal(np.log(25), 0.9))
    angle = random.uniform(0, 2 * np.pi)
    if random.random() < 0.25:
        n = int(10 * random.uniform(2, 25))
        turns = np.cumsum(random.normal(0, random.uniform(0.1, 0.35), n))
        x, y = (0.1 * np.cumsum(f(angle + turns)) for f in (np.cos, np.sin))
        depth = np.full(n, random.random())
        loss = np.ones(n)
    else:
        sine = np.sqrt(1 - cosine**2)
        way = min(thick / max(cosine, 0.02), 60 / max(sine, 1e-3))
        n = max(int(10 * way), 1)
        along = (np.arange(n) + 0.5) / n
        x, y = (along * way * sine * f(angle) for f in (np.cos, np.sin))
        depth, loss = along, np.ones(n)
    # Steps of a tenth of a pixel; straight down a thick slab all steps fall into one pixel
    loss = loss * np.clip(1 + 0.35 * stats.moyal.rvs(size=n, random_state=random), 0.2, None)
    diffusion = 0.4 * np.sqrt(depth) if thick > 5 else np.full(n, 0.05)
    x, y = x - x.min() + random.random() + 3, y - y.min() + random.random() + 3
    stamp = np.zeros((int(y.max()) + 4, int(x.max()) + 4))
    # 25 clouds a step stand for the charge that diffuses
    spread = random.normal(size=(2, 25, n)) * diffusion
    np.add.at(stamp, ((y + spread[0]).astype(int), (x + spread[1]).astype(int)), scale * loss / 10 / 25)
    return stamp


def put_in(frame, random, tracks, number):
    """A frame with cosmic rays.

    Parameters
    ----------
    frame : `Frame`
        With the pixels not to judge, if it has any.
    random : `~numpy.random.Generator`
        Random numbers.
    tracks : list or callable
        Deposits in units of the sky's noise; a list is used with another brightness (a factor from 0.15 to 1:
        no more, since noise was cut out with them) and one of the eight turns and mirrors of the pixels.
    number : int
        Number of cosmic rays.

    Returns
    -------
    frame : `Frame`
        With the truth.
    """
    ny, nx = frame.data.shape
    deposit = np.zeros((ny, nx))
    labels = np.zeros((ny, nx), int)
    for i in range(1, number + 1):
        if callable(tracks):
            stamp = tracks(random)
        else:
            stamp = tracks[random.integers(len(tracks))] * np.exp(random.uniform(np.log(0.15), 0))
            stamp = np.rot90(stamp, random.integers(4))[:: random.choice([-1, 1])]
        my, mx = stamp.shape
        y, x = random.integers(-my // 2, ny - my // 2), random.integers(-mx // 2, nx - mx // 2)
        on = (slice(max(y, 0), min(y + my, ny)), slice(max(x, 0), min(x + mx, nx)))
        part = stamp[on[0].start - y : on[0].stop - y, on[1].start - x : on[1].stop - x] * frame.sky_noise
        deposit[on] += part
        labels[on] = np.where(part > TRUE * frame.noise[on], i, labels[on])
    true = deposit > TRUE * frame.noise
    neutral = (deposit > NEUTRAL * frame.noise) & ~true
    if frame.true is not None:
        # Those that are really there, and stars that no comparison can judge only there
        neutral |= ndimage.binary_dilation(frame.true, np.ones((3, 3))) & ~true
    return frame.changed(
        data=frame.data + deposit, true=true, neutral=neutral, tracks=np.where(true, labels, 0)
    )
