# Licensed under a 3-clause BSD style license - see LICENSE
"""Other programs on the same images: sep, SExtractor, photutils, crowdsource.

Each takes an image above its background and returns a table with ``x, y`` (pixel 0 is the centre of the
first), ``flux`` and ``flux_err`` in units of the image, and ``star`` where the program tells stars from
galaxies (1 for a star). The point spread function, where one is used, is sampled `OVERSAMPLING` times a pixel
as in `gammapy_asid.optical.batch`: the share of a star's light in a pixel at that offset.

They are imported when they are called: each is an extra of its own.
"""

import shutil
import subprocess
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.stats import gaussian_sigma_to_fwhm
from astropy.table import QTable, Table
from scipy.interpolate import RectBivariateSpline

from gammapy_asid.optical.batch import HALF, OVERSAMPLING

__all__ = [
    "PEERS",
    "crowdsource_sources",
    "dao_sources",
    "fwhm_of",
    "gaussian_psf",
    "peer_versions",
    "segment_sources",
    "sep_sources",
    "sextractor_sources",
    "write_psfex",
]

#: SExtractor's default filter, 3 by 3 pixels (default.conv).
DEFAULT_FILTER = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], np.float32)
#: Files of Debian's package.
SEXTRACTOR_FILES = Path("/usr/share/source-extractor")
#: Noise of a pixel of sky in the units that crowdsource's limits of brightness are made for (DECam).
CROWDSOURCE_NOISE = 20.0


def gaussian_psf(fwhm):
    """Point spread function of a Gaussian seen by square pixels, for programs that need one."""
    steps = np.arange(-HALF * OVERSAMPLING, HALF * OVERSAMPLING + 1) / OVERSAMPLING
    profile = np.exp(-0.5 * (steps * gaussian_sigma_to_fwhm / fwhm) ** 2)
    psf = np.outer(profile, profile)
    return psf * OVERSAMPLING**2 / psf.sum()


def fwhm_of(psf):
    """Full width at half maximum in pixels of a circle with the area above half of the maximum."""
    area = np.clip((psf / psf.max() - 0.5) / 0.1 + 0.5, 0, 1).sum() / OVERSAMPLING**2
    return 2 * np.sqrt(area / np.pi)


def _maps(data, noise, mask):
    """Image with 0 where it is masked, noise of each pixel, mask."""
    data = np.asarray(data, dtype=np.float32)
    mask = ~np.isfinite(data) | (False if mask is None else np.asarray(mask, dtype=bool))
    # A copy: sep writes into what it gets
    noise = np.array(np.broadcast_to(np.asarray(noise, dtype=np.float32), data.shape))
    return np.where(mask, 0, data).astype(np.float32), np.ascontiguousarray(noise), mask


def _table(x, y, flux, flux_err, **others):
    columns = {"x": x, "y": y, "flux": flux, "flux_err": flux_err} | others
    return Table({name: np.asarray(values, dtype=float) for name, values in columns.items()})


def sep_sources(
    data,
    noise,
    mask=None,
    *,
    psf=None,
    threshold=1.5,
    area=5,
    contrast=0.005,
    smooth="default",
    aperture=None,
    mesh=None,
):
    """Sources of sep: SExtractor's detection as a library.

    Parameters
    ----------
    data, noise, mask : `~numpy.ndarray`
        Image above its background, noise (map or number) and bad pixels.
    psf : `~numpy.ndarray`, optional
        Point spread function; for the matched filter.
    threshold : float
        In units of the noise.
    area : int
        Least number of pixels.
    contrast : float
        Least share of the light of a part that is split off.
    smooth : {"default", "psf", "none"}
        Filter: SExtractor's default, the point spread function, or none.
    aperture : float, optional
        Radius of the flux in pixels, corrected for the light outside with the point spread function; the flux
        within Kron's ellipse if not given.
    mesh : int, optional
        Side in pixels of the mesh of a background and its scatter, which takes the place of `noise`.
    """
    import sep

    data, noise, mask = _maps(data, noise, mask)
    if mesh:
        background = sep.Background(data, mask=mask, bw=mesh, bh=mesh)
        data, noise = data - background.back(), np.maximum(noise, background.rms())
    kernel = DEFAULT_FILTER if smooth == "default" else None
    if smooth == "psf":
        kernel = np.ascontiguousarray(
            psf[::OVERSAMPLING, ::OVERSAMPLING][HALF - 5 : HALF + 6, HALF - 5 : HALF + 6]
        )
    sep.set_extract_pixstack(int(max(3e5, data.size)))
    sep.set_sub_object_limit(20000)
    found = sep.extract(
        data, threshold, err=noise, mask=mask, minarea=area, filter_kernel=kernel, deblend_cont=contrast
    )
    found = found[np.isfinite(found["a"]) & (found["a"] > 0) & (found["b"] > 0)]
    x, y = found["x"], found["y"]
    where = {"err": noise, "mask": mask}
    if aperture is None:
        theta = np.clip(found["theta"], -np.pi / 2, np.pi / 2)
        radius, _ = sep.kron_radius(data, x, y, found["a"], found["b"], theta, 6.0, mask=mask)
        radius = np.where(np.isfinite(radius), radius, 0)
        flux, error, _ = sep.sum_ellipse(
            data, x, y, found["a"], found["b"], theta, np.maximum(2.5 * radius, 1.0), subpix=1, **where
        )
        share = 1.0
    else:
        flux, error, _ = sep.sum_circle(data, x, y, aperture, **where)
        share = _share_within(psf, aperture)
    return _table(x, y, flux / share, error / share)


def _share_within(psf, radius):
    steps = np.arange(-HALF * OVERSAMPLING, HALF * OVERSAMPLING + 1) / OVERSAMPLING
    return psf[np.hypot(*np.meshgrid(steps, steps)) <= radius].sum() / psf.sum()


def write_psfex(path, psf):
    """Write a point spread function as a file of PSFEx, constant over the field.

    Parameters
    ----------
    path : path
        File.
    psf : `~numpy.ndarray`
        Samples.
    """
    # SExtractor takes FLUX_PSF as the sum over samples: that of a star of one then is OVERSAMPLING**2
    cells = np.asarray(psf, dtype=np.float32)[None, None] * OVERSAMPLING**2 / psf.sum()
    columns = [
        fits.Column(
            name="PSF_MASK", format=f"{cells.size}E", dim=f"({psf.shape[1]},{psf.shape[0]},1)", array=cells
        )
    ]
    table = fits.BinTableHDU.from_columns(columns, name="PSF_DATA")
    size = {"PSFNAXIS": 3, "PSFAXIS1": psf.shape[1], "PSFAXIS2": psf.shape[0], "PSFAXIS3": 1}
    table.header.update(
        {
            "LOADED": 100,
            "ACCEPTED": 100,
            "CHI2": 1.0,
            "POLNAXIS": 0,
            "POLNGRP": 0,
            "PSF_FWHM": float(fwhm_of(psf)),
        }
    )
    table.header.update({"PSF_SAMP": 1 / OVERSAMPLING} | size)
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)


#: SExtractor's columns: with and without a fit of the point spread function.
COLUMNS = ["X_IMAGE", "Y_IMAGE", "FLUX_AUTO", "FLUXERR_AUTO", "CLASS_STAR", "FLAGS"]
FITTED = ["XPSF_IMAGE", "YPSF_IMAGE", "FLUX_PSF", "FLUXERR_PSF", "SPREAD_MODEL", "SPREADERR_MODEL"]


def sextractor_sources(
    data,
    noise,
    mask=None,
    *,
    psf=None,
    fwhm=None,
    pixel_scale=1.0,
    threshold=1.5,
    area=5,
    contrast=0.005,
    **settings,
):
    """Sources of SExtractor, as a program of its own.

    Parameters
    ----------
    data, noise, mask : `~numpy.ndarray`
        Image above its background, noise (map or number) and bad pixels.
    psf : `~numpy.ndarray`, optional
        Point spread function: positions and fluxes are its fits (FLUX_PSF), and ``spread`` is SPREAD_MODEL;
        without it fluxes are FLUX_AUTO.
    fwhm : float, optional
        Full width at half maximum in pixels for CLASS_STAR, that of `psf` if not given.
    pixel_scale : float
        Arcseconds, with `fwhm` for CLASS_STAR.
    threshold, area, contrast : float
        As for `sep_sources`.
    settings : dict
        Further settings of SExtractor by their names.
    """
    program = shutil.which("source-extractor") or shutil.which("sex")
    if program is None:
        raise FileNotFoundError("SExtractor is not installed: apt install source-extractor")
    data, noise, mask = _maps(data, noise, mask)
    fwhm = fwhm or (3.0 if psf is None else fwhm_of(psf))
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        fits.writeto(folder / "image.fits", data)
        fits.writeto(folder / "noise.fits", np.where(mask, np.float32(1e30), noise))
        (folder / "columns.param").write_text("\n".join(COLUMNS + (FITTED if psf is not None else [])))
        if psf is not None:
            write_psfex(folder / "image.psf", psf)
        given = {
            "CATALOG_NAME": "out.fits",
            "CATALOG_TYPE": "FITS_1.0",
            "PARAMETERS_NAME": "columns.param",
            "FILTER_NAME": SEXTRACTOR_FILES / "default.conv",
            "STARNNW_NAME": SEXTRACTOR_FILES / "default.nnw",
            "BACK_TYPE": "MANUAL",
            "BACK_VALUE": 0.0,
            "WEIGHT_TYPE": "MAP_RMS",
            "WEIGHT_IMAGE": "noise.fits",
            "DETECT_THRESH": threshold,
            "ANALYSIS_THRESH": threshold,
            "DETECT_MINAREA": area,
            "DEBLEND_MINCONT": contrast,
            "DEBLEND_NTHRESH": 32,
            "SEEING_FWHM": fwhm * pixel_scale,
            "PIXEL_SCALE": pixel_scale,
            "PSF_NAME": "image.psf",
            "PSF_NMAX": 1,
            "SATUR_LEVEL": 1e9,
            "MEMORY_PIXSTACK": max(300000, data.size),
            "MEMORY_OBJSTACK": 20000,
            "VERBOSE_TYPE": "NORMAL",
        } | settings
        words = [str(word) for name, value in given.items() for word in (f"-{name}", value)]
        (folder / "empty.sex").write_text("")
        done = subprocess.run(
            [program, "image.fits", "-c", "empty.sex", *words], cwd=folder, capture_output=True
        )
        if done.returncode:
            raise RuntimeError(f"SExtractor failed: {done.stderr.decode()[-500:]}")
        found = Table.read(folder / "out.fits", hdu=1)
    classes = {"star": found["CLASS_STAR"], "flags": found["FLAGS"]}
    if psf is None:
        return _table(
            found["X_IMAGE"] - 1, found["Y_IMAGE"] - 1, found["FLUX_AUTO"], found["FLUXERR_AUTO"], **classes
        )
    classes |= {
        "spread": found["SPREAD_MODEL"],
        "spread_err": found["SPREADERR_MODEL"],
        "flux_auto": found["FLUX_AUTO"],
    }
    table = _table(
        found["XPSF_IMAGE"] - 1, found["YPSF_IMAGE"] - 1, found["FLUX_PSF"], found["FLUXERR_PSF"], **classes
    )
    failed = (table["flux_err"] <= 0) | (found["XPSF_IMAGE"] <= 0)  # no fit: SExtractor writes zeros
    for name, other in {"x": "X_IMAGE", "y": "Y_IMAGE"}.items():
        table[name][failed] = found[other][failed] - 1
    table["flux"][failed] = found["FLUX_AUTO"][failed]
    return table


def segment_sources(data, noise, mask=None, *, psf, threshold=1.5, area=5, contrast=0.005):
    """Sources of photutils by segmentation and deblending, fluxes within Kron's ellipse.

    Parameters
    ----------
    data, noise, mask, psf, threshold, area, contrast
        As for `sep_sources`; the image is smoothed with the point spread function.
    """
    from astropy.convolution import convolve_fft
    from photutils.segmentation import SourceCatalog, deblend_sources, detect_sources

    data, noise, mask = _maps(data, noise, mask)
    kernel = psf[::OVERSAMPLING, ::OVERSAMPLING].astype(float)
    kernel = kernel / kernel.sum()
    smooth = convolve_fft(data, kernel, boundary="wrap")
    # The noise of the smoothed image is that of a pixel times the root of the kernel's squares
    limit = threshold * noise * np.sqrt((kernel**2).sum())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        segments = detect_sources(smooth, limit, n_pixels=area, mask=mask)
        if segments is None:
            return _table([], [], [], [])
        segments = deblend_sources(smooth, segments, n_pixels=area, contrast=contrast, progress_bar=False)
        found = SourceCatalog(data, segments, convolved_data=smooth, error=noise, mask=mask)
        return _table(found.x_centroid, found.y_centroid, found.kron_flux, found.kron_flux_err)


def dao_sources(data, noise, mask=None, *, psf, threshold=4.0, iterations=3, fit_size=5, separation=None):
    """Sources of photutils' iterative photometry after DAOPHOT: find, fit, subtract, find again.

    Parameters
    ----------
    data, noise, mask, psf
        As for `sep_sources`.
    threshold : float
        Of the finder, in units of the noise of the filtered image's central pixel.
    iterations : int
        Rounds.
    fit_size : int
        Width of the fitted square in pixels.
    separation : float, optional
        Stars nearer than this many pixels are fitted together, by default none are.
    """
    from photutils.detection import DAOStarFinder
    from photutils.psf import ImagePSF, IterativePSFPhotometry, SourceGrouper

    data, noise, mask = _maps(data, noise, mask)
    fwhm = fwhm_of(psf)
    finder = DAOStarFinder(threshold * float(np.median(noise[~mask])), fwhm, exclude_border=False)
    program = IterativePSFPhotometry(
        ImagePSF(np.asarray(psf, dtype=float), oversampling=OVERSAMPLING),
        fit_size,
        finder,
        grouper=SourceGrouper(separation) if separation else None,
        maxiters=iterations,
        aperture_radius=fwhm,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = program(data, mask=mask, error=noise)
    if found is None:
        return _table([], [], [], [])
    found = QTable(found)
    good = np.isfinite(found["flux_fit"]) & (found["flux_fit"] > 0)
    return _table(*(found[name][good] for name in ("x_fit", "y_fit", "flux_fit", "flux_err")))


class _GivenPSF:
    """A point spread function as crowdsource calls it: its first axis, ``x``, is that of the rows."""

    def __init__(self, psf):
        self.psf = np.asarray(psf, dtype=float)
        steps = np.arange(-HALF * OVERSAMPLING, HALF * OVERSAMPLING + 1) / OVERSAMPLING
        self.spline = RectBivariateSpline(steps, steps, self.psf)
        self.stamp = self.psf[::OVERSAMPLING, ::OVERSAMPLING].astype("f4")

    def __call__(self, x, y, stampsz=None, deriv=False):
        shape = np.broadcast(x, y).shape
        half = (stampsz or 2 * HALF + 1) // 2
        places = np.arange(-half, half + 1)
        images = [[], [], []]
        for row, column in zip(*(np.atleast_1d(np.asarray(c, dtype=float)) for c in (x, y)), strict=True):
            rows, columns = places - (row - np.round(row)), places - (column - np.round(column))
            inside = np.outer(np.abs(rows) <= HALF, np.abs(columns) <= HALF)
            for kind, (dx, dy) in enumerate([(0, 0), (1, 0), (0, 1)][: 3 if deriv else 1]):
                image = self.spline(rows, columns, dx=dx, dy=dy)
                images[kind].append(np.where(inside, -image if kind else image, 0))
        images = [
            np.asarray(image, dtype="f4").reshape(*shape, 2 * half + 1, 2 * half + 1)
            for image in images[: 3 if deriv else 1]
        ]
        return tuple(images) if deriv else images[0]

    def render_model(self, x, y, stampsz=None):
        """Image of the star, called for the sharpness of sources."""
        return self(x, y, stampsz)


def crowdsource_sources(data, noise, mask=None, *, psf, threshold=5.0, sky=True):
    """Sources of crowdsource (Schlafly et al. 2018), all stars of the image fitted at once.

    Parameters
    ----------
    data, noise, mask, psf
        As for `sep_sources`; the sky that is left it measures itself.
    threshold : float
        Least significance.
    sky : bool
        A plane of sky is fitted together with the stars besides.
    """
    from crowdsource import crowdsource_base

    data, noise, mask = _maps(data, noise, mask)
    unit = CROWDSOURCE_NOISE / float(np.median(noise[~mask]))
    weight = np.where(mask, 0, 1 / (noise * unit)).astype("f4")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found, *_ = crowdsource_base.fit_im(
            (data * unit).astype("f4"),
            _GivenPSF(psf),
            weight=weight,
            threshold=threshold,
            nskyx=int(sky),
            nskyy=int(sky),
        )
    return _table(found["y"], found["x"], found["flux"] / unit, found["dflux"] / unit)


#: Programs by name.
PEERS = {
    "sep": sep_sources,
    "SExtractor": sextractor_sources,
    "photutils segments": segment_sources,
    "photutils iterative": dao_sources,
    "crowdsource": crowdsource_sources,
}


def peer_versions():
    """Versions of the programs in use, by name; those that are not installed are left out."""
    versions = {}
    for package in ("sep", "photutils", "crowdsourcephoto"):
        versions[package] = version(package)
    program = shutil.which("source-extractor") or shutil.which("sex")
    if program:
        text = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        versions["SExtractor"] = text.split("version")[1].split()[0]
    return versions
