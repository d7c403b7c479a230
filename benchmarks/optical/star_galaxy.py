# Licensed under a 3-clause BSD style license - see LICENSE
"""Star or galaxy in a frame of SDSS and in simulated ones like it, beside photo and SExtractor."""

import shutil
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table
from scipy.spatial import cKDTree
from sklearn.metrics import roc_auc_score

from gammapy_asid.learning.score_calibration import expected_calibration_error
from gammapy_asid.optical.batch import OVERSAMPLING
from gammapy_asid.optical.classifier import OpticalSourceClassifier
from gammapy_asid.optical.images import read_image
from gammapy_asid.optical.psf import as_psf
from gammapy_asid.tasks import load_card

from ..common import Parts, arguments, data_folder, rows_to_markdown, write
from .peers import SEXTRACTOR_FILES, sextractor_sources
from .sdss import COLUMNS, FIELD, inside, match_nearest, read_coadd, read_photo
from .sdss_frames import ZERO_POINT, read_frame
from .sdss_like import GAIN, PIXEL, SKY_NOISE, simulated_field

__all__ = ["class_figures", "classified", "measured_with_psfex"]

NEEDS = "data, SExtractor, PSFEx, GalSim, 5 minutes"

#: Magnitudes between which stars and galaxies are told apart.
INTERVALS = ((18, 22), (21, 22), (18, 21), (22, 23))
#: Bins of equal number for the calibration error: fewer than for thousands of sources, for chance adds to it.
N_BINS = 10
#: Samples for intervals.
SAMPLES = 400
#: SExtractor's list reaches as deep as the classes are asked for.
DEEP = {"threshold": 1.0, "area": 4, "pixel_scale": PIXEL}


def classified(frame, x, y, model="optical-classes", psf=None, prior="image"):
    """Probability to be a star at positions.

    Parameters
    ----------
    frame : object
        With ``data``, ``gain`` and ``saturated``.
    x, y : `~numpy.ndarray`
        Positions of all sources in pixels.
    model : str
        Model.
    psf : object, optional
        Point spread function, by default measured on the image.
    prior : object
        Shares of the classes.

    Returns
    -------
    star : `~numpy.ndarray`
        Shape ``(k,)``.
    seconds : float
        Time without reading.
    """
    classifier = OpticalSourceClassifier(model, prior=prior)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        settings = {"gain": frame.gain, "zero_point": ZERO_POINT, "psf": psf}
        image = read_image(frame.data, mask=frame.saturated, **settings)
        start = time.perf_counter()
        table = classifier.run(image, Table({"xcentroid": x, "ycentroid": y})).table
        return np.asarray(table["star_prob"], dtype=float), time.perf_counter() - start


def measured_with_psfex(data, noise, mask):
    """Sources of SExtractor with the point spread function that PSFEx measures on the image.

    Parameters
    ----------
    data, noise, mask : `~numpy.ndarray`
        See `~benchmarks.optical.peers.sextractor_sources`.

    Returns
    -------
    sources : `~astropy.table.Table`
        Result of that with CLASS_STAR as ``star`` and SPREAD_MODEL as ``spread``.
    """
    program = shutil.which("source-extractor") or shutil.which("sex")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        fits.writeto(folder / "image.fits", np.where(mask, 0, data).astype(np.float32))
        fits.writeto(folder / "noise.fits", np.where(mask, 1e30, noise).astype(np.float32))
        names = ["X_IMAGE", "Y_IMAGE", "FLUX_APER(1)", "FLUXERR_APER(1)", "FLUX_RADIUS", "SNR_WIN"]
        names += ["ELONGATION", "FLAGS", "VIGNET(35,35)"]
        (folder / "vignets.param").write_text("\n".join(names))
        words = "-CATALOG_NAME image.cat -CATALOG_TYPE FITS_LDAC -PARAMETERS_NAME vignets.param"
        words += " -BACK_TYPE MANUAL -BACK_VALUE 0.0 -WEIGHT_TYPE MAP_RMS -WEIGHT_IMAGE noise.fits"
        words += " -DETECT_THRESH 5 -DETECT_MINAREA 5"
        words += f" -PHOT_APERTURES 15 -SATUR_LEVEL 1e9 -FILTER_NAME {SEXTRACTOR_FILES / 'default.conv'}"
        words += f" -STARNNW_NAME {SEXTRACTOR_FILES / 'default.nnw'}"
        (folder / "empty.sex").write_text("")
        first = [program, "image.fits", "-c", "empty.sex", *words.split()]
        subprocess.run(first, cwd=folder, capture_output=True, check=True)
        second = "psfex image.cat -PSF_SIZE 35,35 -PSFVAR_DEGREES 2 -WRITE_XML N"
        second += " -CHECKPLOT_TYPE NONE -CHECKIMAGE_TYPE NONE"
        subprocess.run(second.split(), cwd=folder, capture_output=True, check=True)
        psf = np.asarray(as_psf(folder / "image.psf").at(data.shape[1] / 2, data.shape[0] / 2))
        return sextractor_sources(data, noise, mask, psf=psf, PSF_NAME=folder / "image.psf", **DEEP)


def class_figures(score, star, magnitude, galaxies=None, seed=0):
    """How well stars and galaxies are told apart.

    Parameters
    ----------
    score : `~numpy.ndarray`
        The larger, the more of a star.
    star : `~numpy.ndarray`
        The truth, bool.
    magnitude : `~numpy.ndarray`
        True magnitudes.
    galaxies : `~numpy.ndarray`, optional
        Probability of a galaxy, if the score is a probability.
    seed : int
        Seed of the samples for the intervals of 68 %.

    Returns
    -------
    figures : dict
        By interval of magnitude: ``area`` under the curve with its interval, numbers, and for probabilities
        the calibration error with that of chance alone, and the number of galaxies over the true one.
    """
    rng, figures = np.random.default_rng(seed), {}
    for low, high in INTERVALS:
        own = (magnitude >= low) & (magnitude < high) & np.isfinite(score)
        value, truth = score[own], star[own]
        samples = [rng.integers(0, own.sum(), own.sum()) for _ in range(SAMPLES)]
        areas = [roc_auc_score(truth[i], value[i]) for i in samples if 0 < truth[i].sum() < len(i)]
        result = {"area": roc_auc_score(truth, value), "interval": np.quantile(areas, [0.16, 0.84]).tolist()}
        result |= {"stars": int(truth.sum()), "galaxies": int((~truth).sum())}
        if galaxies is not None:
            chance = [_calibration(value, rng.random(len(value)) < value) for _ in samples]
            result["calibration_error"] = _calibration(value, truth)
            result["of_chance"] = float(np.mean(chance))
            result["galaxies_over_true"] = float(galaxies[own].sum() / (~truth).sum())
        figures[f"{low}-{high}"] = result
    return figures


def _calibration(score, truth):
    return float(expected_calibration_error(score, truth, N_BINS))


def _lists(frame, folder):
    """Lists of positions: SExtractor's, and photo's in r."""
    sextractor = measured_with_psfex(frame.data, frame.sky_noise, frame.saturated)
    return {"SExtractor": sextractor, "photo": read_photo(folder, frame.wcs, in_band=True)}


def _scores(sources):
    """Scores of a peer's list by their names."""
    if "concentration" in sources.colnames:
        return {"SDSS photo (concentration)": -np.asarray(sources["concentration"], dtype=float)}
    return {
        "SExtractor CLASS_STAR": np.asarray(sources["star"], dtype=float),
        "SExtractor SPREAD_MODEL": -np.asarray(sources["spread"], dtype=float),
    }


def real_figures(frame, folder, model, prior="image"):
    """Figures on the frame, by the list of positions."""
    truth, results = read_coadd(folder, frame.wcs), {}
    ours = {"SDSS's PSF": frame.psf, "own PSF": None}
    for name, sources in _lists(frame, folder).items():
        x, y = (np.asarray(sources[axis], dtype=float) for axis in "xy")
        true = match_nearest(x, y, truth)
        rows = np.flatnonzero((true >= 0) & inside(x, y))
        star = np.asarray(truth["star"])[true[rows]]
        magnitude = np.asarray(truth["mag"], dtype=float)[true[rows]]
        for label, score in _scores(sources).items():
            results[f"{name}: {label}"] = class_figures(score[rows], star, magnitude)
        for label, psf in ours.items():
            probability, seconds = classified(frame, x, y, model, psf, prior)
            own = probability[rows]
            figures = class_figures(own, star, magnitude, 1 - own)
            results[f"{name}: ours, {label}"] = figures | {"seconds": seconds, "sources": len(x)}
    return results


class _Simulated:
    """A simulated field as a frame."""

    saturated, gain = None, GAIN

    def __init__(self, field):
        self.data = field.data


def simulated_figures(seeds, model, prior="image"):
    """Figures on simulated fields like the frame, at SExtractor's positions.

    Parameters
    ----------
    seeds : iterable of int
        Seeds of the fields.
    model, prior
        See `classified`.
    """
    columns = {}
    for seed in seeds:
        field = simulated_field(seed)
        noise, mask = np.full(field.data.shape, SKY_NOISE), np.zeros(field.data.shape, bool)
        sources = measured_with_psfex(field.data, noise, mask)
        bright = field.magnitude < 24
        tree = cKDTree(np.c_[field.x, field.y][bright])
        distance, row = tree.query(np.c_[sources["x"], sources["y"]], distance_upper_bound=2)
        found = np.isfinite(distance)
        scores = _scores(sources)
        middle = as_psf(field.psf, oversampling=OVERSAMPLING)
        for label, psf in {"PSF of the middle": middle, "own PSF": None}.items():
            own, _ = classified(_Simulated(field), sources["x"], sources["y"], model, psf, prior)
            scores[f"ours, {label}"] = own
        scores = {name: values[found] for name, values in scores.items()}
        truth = {name: getattr(field, name)[bright][row[found]] for name in ("size", "magnitude")}
        for name, values in (scores | truth).items():
            columns.setdefault(name, []).append(values)
    columns = {name: np.concatenate(values) for name, values in columns.items()}
    truth = columns.pop("size") == 0, columns.pop("magnitude")
    return {
        name: class_figures(score, *truth, 1 - score if name.startswith("ours") else None)
        for name, score in columns.items()
    }


def _text(results):
    header = ["list: score", *(f"{low}-{high} mag" for low, high in INTERVALS)]
    header += ["calibration error", "galaxies over true"]
    rows = []
    for name, figures in results.items():
        areas = [figures[f"{low}-{high}"] for low, high in INTERVALS]
        cells = [f"{a['area']:.3f} ({a['interval'][0]:.3f}-{a['interval'][1]:.3f})" for a in areas]
        whole = areas[0]
        if "of_chance" in whole:
            cells.append(f"{whole['calibration_error']:.3f} (chance {whole['of_chance']:.3f})")
            cells.append(f"{whole['galaxies_over_true']:.3f}")
        else:
            cells += ["", ""]
        rows.append([name, *cells])
    return rows_to_markdown(header, rows)


def parser():
    """Arguments of the program."""
    own = arguments(__doc__, "star_galaxy", data=True, model="optical-classes", seeds=list(range(100, 106)))
    own.add_argument("--prior", default="image", help="shares of the classes")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    folder = data_folder(args.data) / "optical" / "sdss"
    card = load_card(args.model).sha256
    parts = Parts(args.output, model=card, prior=args.prior, seeds=args.seeds, columns=COLUMNS)
    frame = read_frame(folder, FIELD)
    results = {
        "real": parts("real", lambda: real_figures(frame, folder, args.model, args.prior)),
        "simulated": parts("simulated", lambda: simulated_figures(args.seeds, args.model, args.prior)),
    }
    text = "\n".join(f"## {name}\n\n{_text(own)}" for name, own in results.items())
    write(args.output, results, text)


if __name__ == "__main__":
    main()
