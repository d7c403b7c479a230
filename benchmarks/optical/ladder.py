# Licensed under a 3-clause BSD style license - see LICENSE
"""Detection and flux against the density of sources, on images drawn by GalSim, beside other programs.

The other programs are given the true point spread function, the gain and the read noise, and for each density
those of `SETTINGS` with the best F1 on an image of its own. The library measures the point spread function on
the image and keeps its defaults. Sources above significance 5 alone are to be found; who finds one between 3
and 5 has found no false one.
"""

import itertools
import time
from functools import cache, partial

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from gammapy_asid import OpticalFluxEstimator, OpticalSourceDetector
from gammapy_asid.evaluation.matching import match_optimal
from gammapy_asid.optical.batch import ImageBatch
from gammapy_asid.optical.fit.bound import flux_bound
from gammapy_asid.optical.images import read_image
from gammapy_asid.optical.psf import as_psf

from ..common import Parts, arguments, write
from .ladder_tables import OURS, density_figure, summary, tables
from .peers import PEERS, peer_versions

NEEDS = "the other programs, twenty minutes"

#: Sources a square arcminute and the side of the image in pixels, by camera.
LADDER = {
    "MeerLICHT": {10: 448, 25: 384, 50: 320, 100: 256, 150: 256, 200: 256, 300: 224, 400: 224},
    "HST": {12000: 256, 60000: 192},
    "WISE": {4: 256, 16: 192},
}
#: Density of the images that choose the settings of the other programs, from which density on it serves, and
#: their side in pixels.
CHOOSE = {
    "MeerLICHT": {10: (25, 256), 100: (100, 224), 200: (300, 192)},
    "HST": {12000: (12000, 192), 60000: (60000, 160)},
    "WISE": {4: (4, 192), 16: (16, 160)},
}
#: Seeing of the images in arcsec by turns, by camera; that of the images that choose settings is between.
SEEING = {"MeerLICHT": (2.2, 2.8), "HST": (0.02, 0.04), "WISE": (3.0, 4.0)}
#: Significance alone of the sources that are to be found, and of those that are no false ones.
FOUND, TRUE = 5.0, 3.0
#: Largest distance of a match: share of the full width at half maximum, and pixels at least.
RADIUS, LEAST_RADIUS = 0.25, 0.6
#: Pixels along the edges that are left out.
BORDER = 8
#: Radius of the circle of sep's fluxes over the full width at half maximum, near that of the best signal.
APERTURE = 0.7
#: Settings of the other programs to choose from; ``mesh`` is that of the background in pixels.
SETTINGS = {
    "sep": {"mesh": (32, 64), "threshold": (0.8, 1.2, 2.0), "area": (3, 5), "contrast": (0.005, 1e-4)},
    "SExtractor": {"mesh": (32, 64), "threshold": (0.8, 1.2, 2.0), "area": (3, 5), "contrast": (0.005, 1e-4)},
    "photutils segments": {"mesh": (64,), "threshold": (1.5, 3.0), "area": (3, 5), "contrast": (1e-4,)},
    "photutils iterative": {"mesh": (64,), "threshold": (1.2, 2.0, 4.0)},
    "crowdsource": {"mesh": (64,), "threshold": (4.0, 5.0)},
}


def draw_image(*args):
    """Image of `benchmarks.optical.galsim_images`, whose GalSim is an extra."""
    from .galsim_images import draw_image

    return draw_image(*args)


def run_peer(name, image, settings):
    """Sources of another program on an image, with its own background."""
    import sep

    settings = dict(settings)
    mesh = settings.pop("mesh")
    back = sep.Background(image.data, bw=mesh, bh=mesh).back()
    data = image.data - back
    dark = (image.read_noise / image.gain) ** 2
    noise = np.sqrt(np.maximum(back, 0) / image.gain + dark)
    if name.startswith("photutils iterative") or name == "crowdsource":
        # Those that fit weigh each pixel with its photons too, smoothed so that noise does not bias them
        noise = np.sqrt(np.maximum(gaussian_filter(image.data, 1.0), 0.0) / image.gain + dark)
    if name == "SExtractor":
        settings["GAIN"] = image.gain
    else:
        settings["psf"] = image.fine_psf
    if name == "sep":
        # Kron's ellipses of sep hold the neighbours, where SExtractor leaves these out: a circle is better
        settings["aperture"] = APERTURE * image.fwhm
    return PEERS[name](data, noise, **settings)


def score(image, x, y):
    """Which true source each detection is, and what counts.

    Returns
    -------
    index : `~numpy.ndarray`
        True source of each detection, -1 for none.
    inside : `~numpy.ndarray`
        Detections away from the edges.
    wanted : `~numpy.ndarray`
        True sources that are to be found.
    """
    real = np.flatnonzero(image.snr >= TRUE)
    radius = max(RADIUS * image.fwhm, LEAST_RADIUS)
    # The library matches on the sphere: a pixel is an arcsecond at its equator
    places = (np.asarray(v, dtype=float) / 3600 for v in (x, y, image.x[real], image.y[real]))
    matches = match_optimal(*places, radius=radius / 3600)
    index = np.where(matches.is_matched, real[matches.true_index], -1)
    return index, _inside(image, np.asarray(x), np.asarray(y)), _wanted(image)


def _inside(image, x, y):
    ny, nx = image.data.shape
    return (x > BORDER) & (x < nx - 1 - BORDER) & (y > BORDER) & (y < ny - 1 - BORDER)


def _wanted(image):
    return (image.snr >= FOUND) & _inside(image, image.x, image.y)


def f1(image, x, y):
    """F1 of completeness among the sources that are to be found and purity."""
    index, inside, wanted = score(image, x, y)
    purity, found = np.mean(index[inside] >= 0) if inside.any() else 0, np.isin(np.flatnonzero(wanted), index)
    return 2 * purity * found.mean() / max(purity + found.mean(), 1e-9)


def choose(name, draw):
    """Settings of a program with the best F1 on an image, and that F1."""
    image, options = draw(), SETTINGS[name]
    tried = []
    for values in itertools.product(*options.values()):
        settings = dict(zip(options, values, strict=True))
        table = run_peer(name, image, settings)
        tried.append((f1(image, table["x"], table["y"]), settings))
    best = max(tried, key=lambda pair: pair[0])
    return {"f1": best[0], "settings": best[1]}


def found(image, x, y, flux, low, high, seconds):
    """What is kept of the sources of a program: counts, and flux over truth of those that are to be found."""
    index, inside, wanted = score(image, x, y)
    real = inside & (index >= 0)
    off = np.asarray(flux)[real] - image.flux[index[real]]
    covered = (off <= np.asarray(low)[real]) & (-off <= np.asarray(high)[real])
    good = index >= 0
    good[good] &= wanted[index[good]]
    true = image.flux[index[good]]
    columns = {"flux": flux, "low": low, "high": high}
    ratios = {name: np.round(np.asarray(value)[good] / true, 5).tolist() for name, value in columns.items()}
    mirrored, *_ = score(image, image.data.shape[1] - 1 - np.asarray(x), y)
    return {
        "detections": int(inside.sum()),
        "matched": int((inside & (index >= 0)).sum()),
        "by chance": float(np.mean(mirrored[inside] >= 0)) if inside.any() else 0.0,
        "wanted": int(wanted.sum()),
        "found": int(np.isin(np.flatnonzero(wanted), index).sum()),
        "covered": int(covered.sum()),
        "index": index[good].tolist(),
        "snr": np.round(image.snr[index[good]], 3).tolist(),
        "seconds": seconds,
    } | ratios


def relative_bounds(draw):
    """Joint bound of each true source over its flux, of all sources above `TRUE` with free positions."""
    image = draw()
    real = np.flatnonzero(image.snr >= TRUE)
    signal = torch.from_numpy((image.light / image.noise).astype(np.float32))[None]
    batch = ImageBatch(
        signal=signal,
        variance=1 + signal.clamp(min=0) / (image.gain * image.noise),
        valid=torch.ones_like(signal, dtype=torch.bool),
        saturated=torch.zeros_like(signal, dtype=torch.bool),
        psf=torch.from_numpy(image.fine_psf.astype(np.float32) * 16 / image.fine_psf.sum())[None],
    )
    flux = torch.from_numpy((image.flux[real] / image.noise).astype(np.float32))
    bounds = np.full(len(image.x), np.nan)
    bounds[real] = flux_bound(batch, image.x[real], image.y[real], flux, position_error=np.inf) / flux
    return np.round(bounds, 5).tolist()


def ours(args):
    """What the library does, by the name of its row: functions of an image to a table with fluxes."""
    if args.without:
        return {}
    find, fluxes = OpticalSourceDetector(args.model), OpticalFluxEstimator(args.flux_model)

    def run(image, given=False):
        psf = as_psf(image.fine_psf, oversampling=4) if given else None
        prepared = find.prepare(read_image(image.data, gain=image.gain, psf=psf))
        return fluxes.run(prepared, find.run(prepared)).table

    return {OURS: run} | ({f"{OURS}, PSF given": partial(run, given=True)} if args.given else {})


def measure(draw, run):
    """Result of a program on an image."""
    image = draw()
    start = time.perf_counter()
    table = run(image)
    seconds = time.perf_counter() - start
    names = (
        ("flux", "flux_err", "flux_err")
        if "flux_err" in table.colnames
        else ("flux", "flux_errn", "flux_errp")
    )
    x, y = (table[name if name in table.colnames else f"{name}centroid"] for name in "xy")
    return found(image, x, y, *(np.asarray(table[name]) for name in names), seconds)


def chosen_settings(parts, seed):
    """Settings of the other programs, by camera and density from which on they serve."""
    chosen = {}
    for camera, ladder in CHOOSE.items():
        for first, (density, side) in ladder.items():
            draw = cache(partial(draw_image, camera, density, side, np.mean(SEEING[camera]), seed + 1000))
            key = f"{camera} {first}"
            chosen[key] = {name: parts(f"{key} {name}", partial(choose, name, draw)) for name in SETTINGS}
    return chosen


def measure_image(parts, key, draw, chosen, own):
    """Results of all programs on an image, and the bounds of its sources."""
    rows = {}
    for name in SETTINGS:
        run = partial(run_peer, name, settings=chosen[name]["settings"])
        rows[name] = parts(f"{key} {name}", partial(measure, draw, run))
    for name, run in own.items():
        rows[name] = parts(f"{key} {name}", partial(measure, draw, run))
    return rows, parts(f"{key} bound", partial(relative_bounds, draw))


def main(arguments=None):
    """Measure."""
    args = parser().parse_args(arguments)
    parts, own = Parts(args.output, seed=args.seed, images=args.images), ours(args)
    chosen = chosen_settings(parts, args.seed)
    results = {"versions": peer_versions(), "chosen": chosen, "images": {}, "bounds": {}}
    for camera, ladder in LADDER.items():
        for density, side in ladder.items():
            first = max(d for d in CHOOSE[camera] if d <= density)
            key, images = f"{camera} {density}", []
            for i in range(args.images):
                seeing = SEEING[camera][i % len(SEEING[camera])]
                draw = cache(partial(draw_image, camera, density, side, seeing, args.seed + i))
                images.append(measure_image(parts, f"{key} {i}", draw, chosen[f"{camera} {first}"], own))
            results["images"][key] = {name: [rows[name] for rows, _ in images] for name in images[0][0]}
            results["bounds"][key] = [bounds for _, bounds in images]
    numbers = summary(results)
    write(args.output, numbers, tables(numbers), {"": density_figure(numbers)})


def parser():
    """Arguments."""
    parser = arguments(__doc__, output="ladder", seed=20261127, model="optical")
    parser.add_argument("--images", type=int, default=2, help="images of each density")
    parser.add_argument("--without", action="store_true", help="the other programs only")
    parser.add_argument("--given", action="store_true", help="the library with the true PSF given besides")
    parser.add_argument("--flux-model", default="optical-flux", help="name or path of a model of fluxes")
    return parser


if __name__ == "__main__":
    main()
