# Licensed under a 3-clause BSD style license - see LICENSE
"""Point spread functions measured on simulated images, beside PSFEx and photutils.

All measure the same images (GalSim). SExtractor finds PSFEx's stars; photutils gets those bright sources of
its DAOStarFinder that have no neighbour, as in its documentation.
"""

import shutil
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.nddata import NDData
from astropy.table import Table
from photutils.detection import DAOStarFinder
from photutils.psf import EPSFBuilder, extract_stars
from scipy.spatial import cKDTree

from benchmarks.common import Parts, arguments, rows_to_markdown, write
from benchmarks.optical.psf_images import FIELDS, SIDE, simulate
from gammapy_asid.optical.psf import as_psf, measure_psf, psf_from_image
from gammapy_asid.optical.psf.psf import OFFSETS, full_width

NEEDS = "galsim, source-extractor, psfex; 5 minutes."
#: Where the results are compared: the middle and the places at 0.1 and 0.9 of the sides.
PLACES = np.array([(0.5, 0.5), (0.1, 0.1), (0.1, 0.9), (0.9, 0.1), (0.9, 0.9)]) * (SIDE - 1)
COLUMNS = (
    "NUMBER", "X_IMAGE", "Y_IMAGE", "FLUX_RADIUS", "FLUX_APER(1)", "FLUXERR_APER(1)", "ELONGATION", "FLAGS",
    "SNR_WIN", "VIGNET(35,35)",
)  # fmt: skip


def parser():
    """Arguments."""
    return arguments(__doc__, output="psf_measurement", seeds=[1, 2, 3])


def by_psfex(image):
    """PSFEx on SExtractor's detections, of first degree and as wide as the stamp, else its defaults."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        fits.writeto(folder / "image.fits", image)
        (folder / "columns.param").write_text("\n".join(COLUMNS))
        (folder / "filter.conv").write_text("CONV NORM\n1 2 1\n2 4 2\n1 2 1\n")
        common = {"cwd": folder, "check": True, "capture_output": True}
        find = "source-extractor image.fits -CATALOG_TYPE FITS_LDAC -CATALOG_NAME found.cat -FILTER_NAME "
        find += "filter.conv -PARAMETERS_NAME columns.param -DETECT_THRESH 3 -PHOT_APERTURES 10 "
        find += "-BACK_TYPE MANUAL -SATUR_LEVEL 1e9 -STARNNW_NAME " + _network()
        subprocess.run(find.split(), **common)
        measure = "psfex found.cat -PSFVAR_DEGREES 1 -PSF_SIZE 45,45 -CHECKPLOT_TYPE NONE "
        measure += "-CHECKIMAGE_TYPE NONE -WRITE_XML N"
        subprocess.run(measure.split(), **common)
        psf = as_psf(folder / "found.psf")
    return psf.at, psf.n_stars


def _network():
    return next(str(path) for path in Path("/usr/share/source-extractor").glob("*.nnw"))


def by_photutils(image):
    """EPSFBuilder of photutils on bright sources without neighbours; four samples a pixel are worse."""
    found = DAOStarFinder(threshold=5, fwhm=3)(image)
    x, y, flux = (np.asarray(found[name]) for name in ("x_centroid", "y_centroid", "flux"))
    alone = cKDTree(np.stack([x, y], 1)).query(np.stack([x, y], 1), k=2)[0][:, 1] > 12
    inside = (np.minimum(x, y) > 13) & (np.maximum(x, y) < SIDE - 14)
    chosen = np.flatnonzero(alone & inside & (np.asarray(found["peak"]) > 10))
    chosen = chosen[np.argsort(-flux[chosen])][:60]
    stars = extract_stars(NDData(image), Table({"x": x[chosen], "y": y[chosen]}), size=25)
    epsf = EPSFBuilder(oversampling=2, maxiters=10, progress_bar=False)(stars)[0]
    psf = psf_from_image(np.clip(epsf.data, 0, None), 2)
    return psf.at, len(stars)


def by_package(image):
    """This package."""
    psf = measure_psf(image)
    return psf.at, psf.n_stars


METHODS = {"gammapy_asid": by_package, "PSFEx": by_psfex, "photutils EPSFBuilder": by_photutils}


def errors(found, truth):
    """Relative errors of width and flux of a fit, difference in ellipticity, of one position."""
    radius = np.hypot(OFFSETS, OFFSETS[:, None])
    window = np.exp(-((radius / (0.6 * full_width(truth))) ** 2) / 2)
    moments = []
    for psf in (found, truth):
        light = psf * window / (psf * window).sum()
        xx, yy, xy = (
            (light * a * b).sum()
            for a, b in ((OFFSETS, OFFSETS), (OFFSETS[:, None],) * 2, (OFFSETS, OFFSETS[:, None]))
        )
        moments.append(((xx - yy) / (xx + yy), 2 * xy / (xx + yy)))
    a, b = found[::4, ::4], truth[::4, ::4]
    width = full_width(found) / full_width(truth) - 1
    return float(width), float((a * b).sum() / (a * a).sum() - 1), float(np.hypot(*np.subtract(*moments)))


def measure(name, method, seeds):
    """Errors of a method on a field's images; None where it gives no result."""
    rows = []
    for seed in seeds:
        image = simulate(FIELDS[name], seed)[0]
        start = time.process_time()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                at, n_stars = METHODS[method](image)
        except (ValueError, TypeError, IndexError, subprocess.CalledProcessError) as error:
            rows.append({"error": f"{type(error).__name__}: {error}"[:200]})
            continue
        seconds = time.process_time() - start
        places = [errors(at(*place).astype(float), FIELDS[name].truth(*place)) for place in PLACES]
        rows.append({"places": places, "n_stars": int(n_stars), "seconds": seconds})
    return rows


def table(results):
    """Root mean squares over the images, in per cent, and the mean of the flux."""
    lines = []
    for field, methods in results.items():
        for method, rows in methods.items():
            good = [row for row in rows if "places" in row]
            if not good:
                lines.append([field, method, "none", *5 * ["-"]])
                continue
            values = np.array([row["places"] for row in good])
            rms = np.sqrt((values**2).mean(0))
            stars = np.mean([row["n_stars"] for row in good])
            cells = [f"{100 * rms[0, 0]:.2f}", f"{100 * np.sqrt((rms[1:, 0] ** 2).mean()):.2f}"]
            cells += [f"{100 * rms[0, 1]:.2f}", f"{100 * values[:, 0, 1].mean():+.2f}", f"{rms[0, 2]:.4f}"]
            lines.append([field, method, f"{len(good)} of {len(rows)}, {stars:.0f} stars", *cells])
    header = ["field", "method", "images", "width, %", "width at the corners, %", "flux of a fit, %"]
    return rows_to_markdown([*header, "its mean, %", "ellipticity"], lines)


def main(arguments=None):
    """Measure and compare."""
    options = parser().parse_args(arguments)
    for program in ("source-extractor", "psfex"):
        if not shutil.which(program):
            raise FileNotFoundError(f"{program} is not installed")
    parts = Parts(options.output, seeds=options.seeds)
    results = {
        name: {method: parts(f"{name}, {method}", lambda n=name, m=method: measure(n, m, options.seeds))
               for method in METHODS}
        for name in FIELDS
    }  # fmt: skip
    write(options.output, results, table(results))


if __name__ == "__main__":
    main()
