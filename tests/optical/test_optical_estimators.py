# Licensed under a 3-clause BSD style license - see LICENSE
"""Estimators of images with stand-ins for their networks, and the drop-in for photutils."""

from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
import torch
from astropy.nddata import CCDData
from astropy.table import QTable, Table
from astropy.wcs import WCS
from numpy.testing import assert_allclose, assert_array_equal
from photutils.psf import CircularGaussianPRF, IterativePSFPhotometry, PSFPhotometry
from photutils.utils.exceptions import NoDetectionsWarning
from scipy.ndimage import gaussian_filter, maximum_filter

from gammapy_asid.optical import classifier, detector, flux_estimator
from gammapy_asid.optical.classification.model import ClassEvidence
from gammapy_asid.optical.classifier import OpticalSourceClassifier
from gammapy_asid.optical.detection.model import Detections
from gammapy_asid.optical.detector import OpticalSourceDetector
from gammapy_asid.optical.fit.joint import joint_fit
from gammapy_asid.optical.flags import OpticalFlag
from gammapy_asid.optical.flux.model import OpticalFluxes
from gammapy_asid.optical.flux_estimator import OpticalFluxEstimator
from gammapy_asid.optical.images import read_image

FWHM = 2.6
PSF = CircularGaussianPRF(fwhm=FWHM)
SHAPE = (150, 180)


class Peaks:
    """Stands in for the detection network: pixels that stand out of the smoothed image."""

    device = torch.device("cpu")
    card = SimpleNamespace(name="peaks", task="optical", sha256="0", fwhm=(1.0, 6.0))

    def detect(self, prepared):
        cut = prepared.cut(*(slice(0, n) for n in prepared.shape))
        smooth = gaussian_filter(cut.signal, 1.1)
        y, x = np.nonzero((smooth == maximum_filter(smooth, 5)) & (smooth > 1.5) & cut.valid)
        order = np.argsort(-smooth[y, x])
        x, y = prepared.original(x[order].astype(float), y[order].astype(float))
        score = smooth[y.astype(int), x.astype(int)]
        bits = np.zeros(prepared.image.shape, np.uint8)
        bits[100, 50] = 1
        return Detections(
            x=x, y=y, score=score / (score + 1), x_err=0 * x + 0.1, y_err=0 * x + 0.1, bits=bits
        )


class Brighter:
    """Stands in for the classifier: bright sources are stars."""

    device = torch.device("cpu")
    card = SimpleNamespace(name="brighter", task="optical-classification", sha256="1", fwhm=(1.0, 6.0))

    def evidence(self, batch, x, y, rows):
        flux = joint_fit(batch, x, y).flux[rows].double().numpy()
        logits = np.zeros((len(flux), 6))
        logits[:, 0] = (np.log10(np.maximum(flux, 1)) - 2) * 5
        return ClassEvidence(logits, -2.5 * np.log10(np.maximum(flux, 1)))


class Fitted:
    """Stands in for the flux network: leaves the fit as it is."""

    device = torch.device("cpu")
    card = SimpleNamespace(name="fitted", task="optical-flux", sha256="2", fwhm=(1.0, 6.0))

    def predict(self, batch, x, y):
        fit = joint_fit(batch, x, y)
        flux, error = (v.double().numpy() for v in (fit.flux, fit.flux_err))
        return OpticalFluxes(flux, error, error, error, flux, fit.x, fit.y, fit.saturated.numpy())


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch):
    monkeypatch.setattr(flux_estimator.OpticalFluxModel, "load", lambda model, device: Fitted())
    monkeypatch.setattr(detector.OpticalDetectionModel, "load", lambda model, device: Peaks())
    monkeypatch.setattr(classifier.OpticalClassModel, "load", lambda model, device: Brighter())


@pytest.fixture(scope="module")
def field():
    """Stars on a grid, each in its own pixel phase, on a sky of 100 with a noise of 2."""
    rng = np.random.default_rng(1)
    grid = np.array([(x, y) for y in range(15, 140, 20) for x in range(15, 170, 20)], float)
    x, y = (grid + rng.uniform(-0.5, 0.5, grid.shape)).T
    flux = 10 ** rng.uniform(2.2, 4, len(x))
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    image = sum(PSF.evaluate(columns, rows, f, a, b, FWHM) for a, b, f in zip(x, y, flux, strict=True))
    image = image + 100 + rng.normal(0, 2, SHAPE)
    return SimpleNamespace(data=image, x=x, y=y, flux=flux)


@pytest.fixture
def wcs():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.crval, wcs.wcs.crpix = (10.0, -20.0), (80, 70)
    wcs.wcs.cdelt = -1e-4, 1e-4
    return wcs


def nearest(table, x, y):
    distance = np.hypot(np.subtract.outer(x, table["xcentroid"]), np.subtract.outer(y, table["ycentroid"]))
    return distance.argmin(1), distance.min(1)


def test_detector_gives_a_table_like_that_of_photutils(field, wcs):
    image = CCDData(field.data, unit="adu", wcs=wcs)
    found = OpticalSourceDetector(threshold=0.7, psf=PSF).run(image)
    rows, distance = nearest(found.table, field.x, field.y)
    assert distance.max() < 0.8
    assert found.table.colnames[:3] == ["id", "xcentroid", "ycentroid"]
    assert_array_equal(found.table["id"], np.arange(1, len(found) + 1))
    assert np.all(np.diff(found.table["score"]) <= 0) and found.table["score"].min() >= 0.7
    sky = wcs.pixel_to_world(found.table["xcentroid"], found.table["ycentroid"])
    assert found.positions.separation(sky).max() < 1e-6 * u.deg
    assert found.table["ra"].unit == u.deg
    assert found.masks["cosmic_ray"].sum() == 1 and found.masks["cosmic_ray"][100, 50]
    assert found.meta["threshold"] == 0.7 and found.meta["optical"]["model"] == "peaks"
    assert_allclose(found.meta["psf_fwhm"], FWHM, rtol=0.05)
    found.plot()


def test_without_a_projection_there_are_pixels_only(field):
    found = OpticalSourceDetector(psf=PSF).run(field.data)
    assert "ra" not in found.table.colnames and found.wcs is None


def test_flags_tell_edge_mask_saturation_and_cosmic_rays(field):
    data = field.data.copy()
    data[0:40, 140:] = np.nan
    image = read_image(data, saturation=100 + 0.5 * field.flux.max() * PSF(0, 0), psf=PSF)
    given = QTable(
        {"x": [-5.0, 50, 150, 138.6, field.x[field.flux.argmax()], np.nan], "y": [5.0, 100, 20, 20, 0, 3]}
    )
    given["y"][4] = field.y[field.flux.argmax()]
    table = OpticalSourceClassifier().run(image, given).table
    flags = table["flags"]
    assert flags[0] == flags[5] == OpticalFlag.OUTSIDE
    assert flags[2] & OpticalFlag.MASKED
    assert flags[3] == OpticalFlag.NEAR_EDGE
    assert flags[4] == OpticalFlag.SATURATED
    assert_array_equal(np.isfinite(table["star_prob"]), [False, True, False, True, True, False])
    found = OpticalSourceDetector().run(image)
    beside = found.select([0])
    beside.table["xcentroid"], beside.table["ycentroid"] = 50.4, 100.3
    assert OpticalSourceClassifier().run(image, beside).table["flags"][0] & OpticalFlag.COSMIC_RAY


@pytest.mark.parametrize("kind", ["own", "table", "sextractor", "sky"])
def test_classifier_takes_any_list_and_changes_nothing(field, wcs, kind):
    image = read_image(CCDData(field.data, unit="adu", wcs=wcs), psf=PSF)
    given = {
        "own": lambda: OpticalSourceDetector(threshold=0.6).run(image),
        "table": lambda: Table({"x_fit": field.x, "y_fit": field.y, "flags": np.ones(len(field.x), int)}),
        "sextractor": lambda: Table({"X_IMAGE": field.x + 1, "Y_IMAGE": field.y + 1}),
        "sky": lambda: wcs.pixel_to_world(field.x, field.y),
    }[kind]()
    before = None if kind == "sky" else (given.table if kind == "own" else given).copy()
    result = OpticalSourceClassifier(prior="equal").run(image, given)
    if before is not None:
        after = given.table if kind == "own" else given
        assert after.colnames == before.colnames
        assert all(np.array_equal(after[name], before[name]) for name in before.colnames)
    rows, distance = nearest(result.table, field.x, field.y)
    assert distance.max() < (1.0 if kind == "own" else 1e-6)
    assert len(result) == len(given)
    # 2 in the logarithm of the flux over the noise
    bright = field.flux > 3 * 200
    assert np.all(result.table["star_prob"][rows][bright] > 0.7)
    assert {"star", "galaxy"} >= set(result.kinds)
    if kind == "own":
        assert result.masks is not None and "score" in result.table.colnames
        assert set(result.meta) >= {"optical", "optical-classification", "threshold"}


def test_sources_twice_in_a_list_are_flagged_and_kept(field):
    image = read_image(field.data, psf=PSF)
    given = QTable({"x": [*field.x[:3], field.x[0] + 0.1], "y": [*field.y[:3], field.y[0]]})
    flags = OpticalSourceClassifier().run(image, given).table["flags"]
    assert_array_equal(flags & OpticalFlag.DUPLICATE > 0, [True, False, False, True])


def test_an_empty_list_has_an_empty_result(field):
    result = OpticalSourceClassifier().run(read_image(field.data, psf=PSF), QTable({"x": [], "y": []}))
    assert len(result) == 0 and "star_prob" in result.table.colnames


def test_a_camera_beyond_the_training_is_flagged(field, monkeypatch, caplog):
    monkeypatch.setattr(Peaks, "card", SimpleNamespace(**vars(Peaks.card) | {"fwhm": (3.0, 6.0)}))
    found = OpticalSourceDetector(psf=PSF).run(field.data)
    assert np.all(found.table["flags"] & OpticalFlag.UNTRAINED)
    assert "trained for 3 to 6" in caplog.text


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="threshold must be a number at least 0"):
        OpticalSourceDetector(threshold=2)
    with pytest.raises(ValueError):
        OpticalSourceClassifier(prior="many")


def test_photutils_takes_it_as_its_finder(field):
    finder = OpticalSourceDetector(threshold=0.6, psf=PSF)
    table = finder(field.data - 100)
    rows, _ = nearest(table, field.x, field.y)
    assert_allclose(table["flux"][rows], field.flux, rtol=0.1, atol=40)
    fitted = PSFPhotometry(PSF, (7, 7), finder=finder, aperture_radius=4)(field.data - 100)
    rows = np.hypot(
        np.subtract.outer(field.x, fitted["x_fit"]), np.subtract.outer(field.y, fitted["y_fit"])
    ).argmin(1)
    assert_allclose(fitted["flux_fit"][rows], field.flux, rtol=0.05, atol=40)
    again = IterativePSFPhotometry(PSF, (7, 7), finder, aperture_radius=4)(field.data - 100)
    assert len(again) >= len(fitted)


def test_finder_with_mask_unit_and_nothing(field):
    finder = OpticalSourceDetector(threshold=0.6, psf=PSF)
    mask = np.zeros(SHAPE, bool)
    mask[:, :90] = True
    table = finder((field.data - 100) * u.electron, mask=mask)
    assert np.all(table["xcentroid"] > 89) and table["flux"].unit == u.electron
    with pytest.warns(NoDetectionsWarning):
        assert OpticalSourceDetector(threshold=1, psf=PSF)(field.data) is None


def test_fluxes_are_in_the_unit_of_the_image(field):
    image = read_image(CCDData(field.data, unit="adu"), psf=PSF, zero_point=25.0)
    given = QTable({"x": [*field.x, -9.0], "y": [*field.y, 5.0], "flux": np.ones(len(field.x) + 1)})
    sources = OpticalFluxEstimator().run(image, given)
    table = sources.table
    assert table["flux"].unit == u.adu and table["mag"].unit == u.mag and len(table) == len(given)
    assert_array_equal(given["flux"], 1)
    assert_array_equal(table["flux_given"], 1)
    pull = (table["flux"].value[:-1] - field.flux) / table["flux_bound"].value[:-1]
    assert np.abs(np.mean(pull)) < 0.6 and 0.6 < np.std(pull) < 1.6
    # A background of 2 counts a pixel below a star of FWHM 2.6: 2 * sqrt(4 pi sigma^2 + pixel)
    assert_allclose(
        np.median(table["flux_bound"].value[:-1]), 2 * np.sqrt(4 * np.pi * (1.104**2 + 1 / 12)), rtol=0.15
    )
    assert_allclose(table["mag"].value[:-1], 25 - 2.5 * np.log10(table["flux"].value[:-1]))
    relative = table["flux_errp"].value[:-1] / table["flux"].value[:-1]
    assert_allclose(table["mag_errn"].value[:-1], 2.5 * np.log10(1 + relative))
    assert np.isnan(table["flux"][-1]) and table["flags"][-1] == OpticalFlag.OUTSIDE
    assert sources.meta["zero_point"] == 25 and sources.meta["optical-flux"]["model"] == "fitted"


def test_without_unit_and_zero_point_there_are_numbers_only(field):
    given = QTable({"x": [field.x[0], field.x[0] + 1.2], "y": [field.y[0], field.y[0]]})
    table = OpticalFluxEstimator(psf=PSF).run(field.data, given).table
    assert "mag" not in table.colnames and not hasattr(table["flux"], "to_value")
    # The other one is none: it lies beside a brighter one
    assert_array_equal(table["flags"] & OpticalFlag.NEAR_BRIGHTER > 0, [False, True])
