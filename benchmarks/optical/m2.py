# Licensed under a 3-clause BSD style license - see LICENSE
"""Stars in a crowd: the globular cluster M2 seen by SDSS, with stars of the Hubble telescope as truth."""

import time
from dataclasses import dataclass

import numpy as np
from astropy.table import Table
from matplotlib.figure import Figure

from ..common import Parts, arguments, data_folder, rows_to_markdown, write
from .peers import PEERS, peer_versions
from .sdss_frames import ZERO_POINT, Frame, read_frame

__all__ = ["CUT", "Truth", "match_crowd", "read_truth", "scores"]

NEEDS = "data, sep, SExtractor, crowdsource, three minutes"

#: Frame of the cluster.
FIELD = "002583-2-0136"
#: First row and column of the scored square, and its side in pixels.
CUT, SIDE = (630, 310), 100
#: Pixels around it that the programs see besides.
AROUND = 50
#: Pixels along the border of the square that aren't scored.
BORDER = 5
#: Largest distance along each axis in pixels and largest difference in magnitudes of a match.
DISTANCE, MAGNITUDES = 0.5, 0.5
#: Scores of the literature: true positive rate, positive predictive value, F1 (Liu, McAuliffe, Regier 2021,
#: arXiv 2102.02409).
PUBLISHED = {
    "StarNet, wake-sleep on this image": (0.506, 0.601, 0.549),
    "StarNet, simulations only": (0.510, 0.469, 0.489),
    "PCAT": (0.559, 0.405, 0.469),
    "DAOPHOT": (0.200, 0.631, 0.303),
}
#: Settings of the peers: the best on the very image counts, which is in their favour.
SETTINGS = {
    "sep": [
        {"threshold": t, "area": 3, "contrast": c, "aperture": a}
        for t in (1.5, 5.0)
        for c in (0.005, 1e-5)
        for a in (None, 1.5)
    ],
    "SExtractor": [
        {"threshold": t, "area": 3, "contrast": c, "FILTER": f}
        for t in (1.5, 5.0)
        for c in (0.005, 1e-5)
        for f in ("Y", "N")
    ],
    "photutils segments": [{"threshold": t, "area": 3, "contrast": c} for t in (1.5, 5.0) for c in (0.005, 1e-5)],
    "photutils iterative": [{"threshold": t} for t in (4.0, 10.0)],
    "crowdsource": [{"threshold": t} for t in (5.0,)],
}


@dataclass(frozen=True)
class Truth:
    """Stars in a square of pixels.

    Parameters
    ----------
    x, y : `~numpy.ndarray`
        Positions in pixels, 0 at the centre of the first one of the square.
    flux : `~numpy.ndarray`
        Fluxes in nanomaggies.
    """

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray


def read_truth(path):
    """Stars of the Hubble telescope in the scored square.

    The positions of the file are shares of the side of the square from the edge of its first pixel: fitted to
    the image, side and edge come out as 100.00 and -0.44, -0.42 pixels.

    Parameters
    ----------
    path : path
        File.

    Returns
    -------
    truth : `Truth`
        Stars, in the r band.
    """
    with np.load(path) as file:
        y, x = file["true_locs"].T.astype(float) * SIDE - 0.5
        flux = file["true_fluxes"][:, 0] / float(file["nelec_per_nmgy"])
    return Truth(x, y, flux)


def _scored(x, y, side=SIDE):
    """Sources inside of the border, which is counted from the edges of the pixels."""
    return (np.minimum(x, y) + 0.5 > BORDER) & (np.maximum(x, y) + 0.5 < side - BORDER)


def match_crowd(x, y, flux, truth, zero_point=0.0, flux_counts=True):
    """Matches as in the literature: several sources may match the same star, and the other way round.

    Parameters
    ----------
    x, y, flux : `~numpy.ndarray`
        Sources, in pixels of the square and nanomaggies.
    truth : `Truth`
        Stars.
    zero_point : float
        Added to the magnitudes of the sources.
    flux_counts : bool
        Whether the magnitudes have to agree.

    Returns
    -------
    pairs : `~numpy.ndarray`
        Whether they match, shape ``(n_sources, n_stars)``.
    """
    flux = np.maximum(flux, 1e-9)
    near = (np.abs(x[:, None] - truth.x) < DISTANCE) & (np.abs(y[:, None] - truth.y) < DISTANCE)
    difference = 2.5 * np.log10(flux[:, None] / truth.flux) - zero_point
    return near & ((np.abs(difference) < MAGNITUDES) | (not flux_counts))


def scores(x, y, flux, truth, side=SIDE, **settings):
    """Figures of a list of sources.

    Parameters
    ----------
    x, y, flux : array-like
        Sources, in pixels of the square and nanomaggies.
    truth : `Truth`
        Stars.
    side : int
        Of the square in pixels.
    settings : dict
        Of `match_crowd`.

    Returns
    -------
    figures : dict
        Shares of true stars (``tpr``) and of sources (``ppv``) with a match, their ``f1``, the same with each star
        and source in one pair at most (``f1_single``), and the numbers of sources and stars.
    """
    x, y, flux = (np.asarray(column, dtype=float) for column in (x, y, flux))
    keep, counted = _scored(x, y, side) & (flux > 0), _scored(truth.x, truth.y, side)
    truth = Truth(truth.x[counted], truth.y[counted], truth.flux[counted])
    pairs = match_crowd(x[keep], y[keep], flux[keep], truth, **settings)
    single = _largest_matching(pairs)
    n_sources, n_stars = pairs.shape
    tpr, ppv = pairs.any(0).mean(), pairs.any(1).mean() if n_sources else 0.0
    return {
        "tpr": float(tpr),
        "ppv": float(ppv),
        "f1": float(2 * tpr * ppv / max(tpr + ppv, 1e-12)),
        "f1_single": 2 * single / (n_sources + n_stars),
        "n_sources": n_sources,
        "n_stars": n_stars,
    }


def _largest_matching(pairs):
    """Most pairs in which each source and each star is once at most."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    return int((maximum_bipartite_matching(csr_array(pairs)) >= 0).sum()) if pairs.size else 0


def zero_point_of(x, y, flux, truth, brightest=60):
    """Median difference of the magnitudes of the brightest stars to those of the truth, of matched positions."""
    order = np.argsort(-truth.flux)[:brightest]
    stars = Truth(truth.x[order], truth.y[order], truth.flux[order])
    pairs = match_crowd(np.asarray(x), np.asarray(y), np.asarray(flux), stars, flux_counts=False)
    source, star = np.nonzero(pairs)
    return float(np.median(2.5 * np.log10(np.asarray(flux)[source] / stars.flux[star]))) if len(source) else 0.0


def simulated_twin(frame, seed, density=0.1, side=SIDE + 2 * AROUND):
    """A crowd of stars like that of a globular cluster at random positions, with its truth.

    Stars above 1000 electrons have the given density. Their number by flux is a broken power law as of any
    globular cluster: giants above 20 times that, the main sequence below, which goes on to fainter stars.

    Parameters
    ----------
    frame : `Frame`
        Frame with gain, sky noise and point spread function.
    seed : int
        Seed.
    density : float
        Stars a pixel.
    side : int
        Of the image in pixels.

    Returns
    -------
    frame : `Frame`
        Image.
    truth : `Truth`
        Stars above 1000 electrons, in pixels of the image.
    """
    rng = np.random.default_rng(seed)
    limit = 1000 / frame.gain
    # dN/dlog F of the giants (slope -.7) and of the main sequence (slope -.35) below a break, down to 1/20
    grid = np.linspace(np.log(limit / 20), np.log(700 * limit), 2000)
    knee = np.log(12 * limit)
    weight = np.exp(-0.35 * (grid - knee)) * np.where(grid > knee, 0.2 * np.exp(-0.35 * (grid - knee)), 1)
    above = weight[grid > np.log(limit)].sum()
    n = rng.poisson(density * side**2 * weight.sum() / above)
    flux = np.exp(np.interp(rng.random(n), np.cumsum(weight) / weight.sum(), grid))
    x, y = rng.uniform(-0.5, side - 0.5, (2, n))
    light = render(frame.psf.at(0, 0), x, y, flux, (side, side))
    noise = float(np.median(frame.sky_noise))
    electrons = (light + noise**2 * frame.gain) * frame.gain
    data = rng.poisson(electrons) / frame.gain - noise**2 * frame.gain
    bright = flux > limit
    twin = Frame(
        data=data.astype(np.float32),
        gain=frame.gain,
        sky_noise=np.full(data.shape, noise, np.float32),
        saturated=np.zeros(data.shape, bool),
        psf=frame.psf,
        wcs=frame.wcs,
    )
    return twin, Truth(x[bright], y[bright], flux[bright])


def render(psf, x, y, flux, shape):
    """Light of stars in pixels."""
    from scipy.ndimage import map_coordinates

    half, step = 12, 4
    offsets = np.arange(-half, half + 1)
    image = np.zeros((shape[0] + 2 * half + 2, shape[1] + 2 * half + 2))
    column, row = np.rint(x).astype(int), np.rint(y).astype(int)
    for part in np.array_split(np.arange(len(x)), max(1, len(x) // 500)):
        rows = (offsets - (y - row)[part, None] + half) * step
        columns = (offsets - (x - column)[part, None] + half) * step
        at = np.broadcast_arrays(rows[:, :, None], columns[:, None, :])
        stamps = map_coordinates(psf, at, order=3, mode="constant") * flux[part, None, None]
        ys = row[part, None, None] + offsets[:, None] + half + 1
        xs = column[part, None, None] + offsets + half + 1
        np.add.at(image, np.broadcast_arrays(ys, xs), stamps)
    return image[half + 1 : -half - 1, half + 1 : -half - 1]


def surroundings(frame):
    """The scored square with `AROUND` pixels on each side."""
    return frame.cut(*(slice(start - AROUND, start + SIDE + AROUND) for start in CUT))


def peer_sources(name, frame, **settings):
    """Sources of a peer in a frame with `AROUND` pixels around the square, in pixels of the square."""
    noise = frame.noise if name == "crowdsource" else frame.sky_noise
    middle = [(n - 1) / 2 for n in frame.data.shape]
    psf = frame.psf.at(middle[1], middle[0])
    table = PEERS[name](frame.data, noise, frame.saturated, psf=psf, **settings)
    table["x"] -= AROUND
    table["y"] -= AROUND
    return table


def measure_peer(name, frame, truth):
    """Figures of a peer with the best of its settings on this very image."""
    best = None
    for settings in SETTINGS[name]:
        start = time.perf_counter()
        table = peer_sources(name, frame, **settings)
        seconds = time.perf_counter() - start
        figures = _all_scores(table, truth) | {"seconds": seconds, "settings": str(settings)}
        if best is None or figures["f1"] > best["f1"]:
            best = figures
    return best


def _all_scores(table, truth):
    columns = [np.asarray(table[name], dtype=float) for name in ("x", "y", "flux")]
    offset = zero_point_of(*columns, truth)
    return scores(*columns, truth) | {
        "f1_positions": scores(*columns, truth, flux_counts=False)["f1"],
        "zero_point": offset,
        "f1_zero_point": scores(*columns, truth, zero_point=offset)["f1"],
    }
