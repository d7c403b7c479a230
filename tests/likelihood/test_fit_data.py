# Licensed under a 3-clause BSD style license - see LICENSE
"""Likelihood fits on data of other people: several datasets, other pixels, thresholds, gaps."""

import logging

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from gammapy.datasets import Datasets, MapDatasetOnOff
from gammapy.maps import HpxGeom, Map, MapAxis, WcsGeom
from gammapy.modeling.models import PointSpatialModel, PowerLawSpectralModel, SkyModel

from gammapy_asid import CandidateFitEstimator, Candidates
from gammapy_asid.inputs import to_band_cube
from gammapy_asid.likelihood import IterativeSearch
from gammapy_asid.survey import SkyFitEstimator

HERE = SkyCoord(83, 22, unit="deg")
FLUX = 4e-9
LAW = PowerLawSpectralModel(index=2, amplitude=FLUX / (0.99 * u.GeV) / u.Unit("cm2 s"), reference="1 GeV")


def candidates(*positions):
    positions = SkyCoord(positions or [HERE])
    axes = np.full((len(positions), 2), 0.05) * u.deg
    return Candidates.from_positions(positions, np.full(len(positions), 0.9), axes, 2 * axes)


@pytest.fixture
def observe(lat_field):
    """Function that makes a field with point sources."""

    def make(sources=((HERE, 1),), name="lat", seed=0, **kwargs):
        dataset = lat_field(**kwargs).copy(name=name)
        models = []
        for i, (position, factor) in enumerate(sources):
            model = SkyModel(LAW.copy(), PointSpatialModel.from_position(position), name=f"source {i}")
            model.spectral_model.amplitude.value *= factor
            models.append(model)
        dataset.models = models
        expected = dataset.npred().data
        dataset.models = None
        dataset.counts.data = np.random.default_rng(seed).poisson(expected).astype(float)
        return dataset

    return make


def fit(data, *positions, **kwargs):
    return CandidateFitEstimator(**{"refit_position": False} | kwargs).run(data, candidates(*positions)).table


def assert_right(table, flux=FLUX):
    assert not table["flags"].any()
    assert np.all(np.abs(table["fit_flux"].value - flux) < 3 * table["fit_flux_err"].value)
    assert np.all(table["fit_flux_err"].value < 0.2 * table["fit_flux"].value)


def test_sources_that_one_of_two_datasets_sees(observe):
    west, middle, east = SkyCoord([80.5, 84, 87.5], [22, 22, 22], unit="deg")
    sources = [(west, 1), (middle, 1), (east, 1)]
    one = observe(sources, "one", 1, skydir=(82, 22))
    two = observe(sources, "two", 2, skydir=(86, 22))
    tables = [fit(Datasets(some), west, middle, east) for some in ([one, two], [two, one])]
    for table in tables:
        assert_right(table)
    np.testing.assert_allclose(tables[0]["fit_flux"], tables[1]["fit_flux"], rtol=1e-3)
    alone = fit(one, west)
    np.testing.assert_allclose(tables[0]["ts"][0], alone["ts"][0], rtol=1e-3)


def test_neighbour_outside_the_first_dataset(observe):
    # The first dataset ends between the candidate and the neighbour
    near, neighbour = SkyCoord([84.8, 86.6], [22, 22], unit="deg")
    whole = WcsGeom.create(skydir=(84.5, 22), npix=(130, 60), binsz=0.1, proj="TAN")
    one, two = (
        observe([(near, 1), (neighbour, 3)], name, seed, geom=whole)
        for name, seed in (("one", 1), ("two", 2))
    )
    one = one.cutout(SkyCoord(82, 22, unit="deg"), (6.4, 6) * u.deg, name="one")
    two = two.cutout(SkyCoord(86, 22, unit="deg"), (6.4, 6) * u.deg, name="two")
    assert not one.counts.geom.to_image().contains(neighbour)[0]
    first = fit([one, two], near, neighbour)
    second = fit([two, one], near, neighbour)
    np.testing.assert_allclose(first["fit_flux"], second["fit_flux"], rtol=1e-3)
    assert_right(first[:1])
    assert_right(first[1:], 3 * FLUX)


def test_datasets_of_other_energies(observe):
    low, high = observe(name="low"), observe(name="high", seed=3)
    low = low.slice_by_idx({"energy": slice(0, 2)}, name="low")
    high = high.slice_by_idx({"energy": slice(2, 4)}, name="high")
    table = fit([high, low])
    assert_right(table)
    assert table["fit_e_min"][0].value == pytest.approx(1) and table["fit_e_max"][0].value == pytest.approx(
        100
    )


def test_unusable_dataset_is_left_out(observe, caplog):
    good, empty = observe(), masked(observe(name="empty"))
    with caplog.at_level(logging.WARNING):
        table = fit([empty, good])
    assert_right(table)
    assert caplog.text.count("1 of 2 datasets are left out: Dataset 'empty' has an empty mask") == 1
    np.testing.assert_allclose(table["ts"], fit(good)["ts"])
    caplog.clear()
    assert to_band_cube([good, empty]).meta["datasets"] == ["lat"]
    assert caplog.text.count("left out") == 1
    with pytest.raises(ValueError, match="None of the 2 datasets can be used: .*empty mask.*empty mask"):
        fit([empty, masked(observe(name="too"))])


def masked(dataset):
    dataset.mask_safe = Map.from_geom(dataset.counts.geom, data=np.zeros(dataset.counts.data.shape, bool))
    return dataset


@pytest.mark.parametrize(
    "image",
    [
        WcsGeom.create(skydir=HERE, npix=(50, 100), binsz=(0.2, 0.1), proj="TAN"),
        WcsGeom.create(binsz=0.1, proj="CAR", frame="galactic").cutout(HERE, 7 * u.deg),
        HpxGeom.create(nside=512, frame="galactic", region="DISK(185.,-6.,4.)"),
    ],
    ids=["oblong", "CAR", "HEALPix"],
)
def test_pixels(observe, lat_field, image):
    fine = observe(geom=WcsGeom.create(skydir=HERE, npix=(160, 160), binsz=0.05, proj="TAN"), seed=4)
    energy, row, column = np.nonzero(fine.counts.data)
    repeat = fine.counts.data[energy, row, column].astype(int)
    energy, row, column = (np.repeat(index, repeat) for index in (energy, row, column))
    place = np.random.default_rng(5).uniform(-0.5, 0.5, (2, len(row)))
    sky = fine.counts.geom.to_image().pix_to_coord((column + place[0], row + place[1]))
    dataset = lat_field(image)
    dataset.counts = Map.from_geom(dataset.counts.geom)
    photons = {
        "skycoord": SkyCoord(*sky, frame="icrs"),
        "energy": fine.counts.geom.axes["energy"].center[energy],
    }
    dataset.counts.fill_by_coord(photons)
    table = fit(dataset, test_extension=True, refit_position=True)
    assert_right(table)
    assert table["ts_ext"][0] < 9
    assert SkyCoord(table["fit_ra"], table["fit_dec"])[0].separation(HERE).deg < 0.05


def test_rotated_map(observe):
    image = WcsGeom.create(skydir=HERE, npix=(60, 60), binsz=0.1, proj="TAN")
    angle = np.radians(35)
    image.wcs.wcs.pc = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    table = fit(observe(geom=image), refit_position=True)
    assert_right(table)
    assert SkyCoord(table["fit_ra"], table["fit_dec"])[0].separation(HERE).deg < 0.05


def test_threshold_of_energies(observe):
    dataset = observe(seed=3)
    mask = np.ones(dataset.counts.data.shape, bool)
    mask[:2] = False
    dataset.mask_safe = Map.from_geom(dataset.counts.geom, data=mask)
    estimator = CandidateFitEstimator()
    fitted = estimator.run(dataset, candidates())
    row = fitted.table[0]
    assert row["fit_e_min"].value == pytest.approx(10) and row["fit_e_max"].value == pytest.approx(100)
    truth = LAW.integral(10 * u.GeV, 100 * u.GeV).to_value("cm-2 s-1")
    assert abs(row["fit_flux"].value - truth) < 3 * row["fit_flux_err"].value
    assert row["fit_flux_err"].value < 0.3 * truth
    (points,) = estimator.flux_points(dataset, fitted).values()
    assert points.energy_min[0].to_value("GeV") == pytest.approx(10)
    assert np.nansum(points.flux.data) == pytest.approx(truth, rel=0.4)


def test_thresholds_that_differ(observe):
    """By dataset, and from pixel to pixel."""
    low, high = observe(name="low"), observe(name="high", seed=5)
    mask = np.ones(low.counts.data.shape, bool)
    mask[:1] = False
    high.mask_safe = Map.from_geom(high.counts.geom, data=mask)
    table = fit([high, low])
    assert_right(table)
    assert table["fit_e_min"][0].value == pytest.approx(1)
    # The west has a higher threshold than the east
    place = high.counts.geom.to_image().get_coord().lon.to_value("deg")
    high.mask_safe.data[0] = place > 84.5
    low.mask_safe = high.mask_safe
    east, west = fit([low, high], SkyCoord(85.5, 22, unit="deg"), HERE)
    assert east["fit_e_min"].value == pytest.approx(1)
    assert west["fit_e_min"].value == pytest.approx(10**0.5)


def test_gaps_of_the_background(observe, caplog):
    dataset = observe(seed=11)
    smooth = fit(dataset)[0]
    holes = np.random.default_rng(3).random(dataset.background.data[-2:].shape) < 0.5
    dataset.background.data[-2:][holes] = 0
    with caplog.at_level(logging.WARNING):
        row = fit(dataset)[0]
    assert "counts where its background and models predict none" in caplog.text
    assert_right(fit(dataset))
    assert row["ts"] < smooth["ts"]
    empty = fit(dataset, SkyCoord(84.5, 20.5, unit="deg"))
    assert empty["ts"][0] < 9
    caplog.clear()
    cube = to_band_cube(dataset)
    assert caplog.text.count("predict none") == 1
    assert sum(np.sum(image) for image in cube.counts) < dataset.counts.data.sum()


def no_background(dataset):
    dataset.background = None
    return dataset


def zero_background(dataset):
    dataset.background.data *= 0
    return dataset


def no_psf(dataset):
    dataset.psf = None
    return dataset


def infinite_exposure(dataset):
    dataset.exposure.data *= np.inf
    return dataset


def negative_counts(dataset):
    dataset.counts.data[0, 3, 3] = -1
    return dataset


def bad_background(dataset):
    dataset.background.data[0, 3, 3] = np.nan
    return dataset


def nearly_no_background(dataset):
    dataset.background.data[:, :, :50] = 0
    return dataset


def on_off(dataset):
    return MapDatasetOnOff.from_map_dataset(dataset, acceptance=1, acceptance_off=2)


@pytest.mark.parametrize(
    "change, error, message",
    [
        (no_background, ValueError, "no background and no models"),
        (zero_background, ValueError, "no background and no models"),
        (no_psf, ValueError, "no PSF"),
        (infinite_exposure, ValueError, "exposure is zero everywhere, or not finite"),
        (negative_counts, ValueError, "negative counts"),
        (bad_background, ValueError, "background that"),
        (nearly_no_background, ValueError, "predict no counts where most are"),
        (on_off, TypeError, "MapDatasetOnOff is not supported"),
        (lambda dataset: "dataset.fits", TypeError, "Expected a MapDataset"),
        (lambda dataset: [], ValueError, "No dataset was given"),
    ],
)
def test_data_that_are_refused(observe, change, error, message):
    data = change(observe())
    with pytest.raises(error, match=message):
        CandidateFitEstimator().run(data, candidates())
    with pytest.raises(error, match=message):
        SkyFitEstimator().run(data, candidates())


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"width": 0 * u.deg}, "width must be above 0"),
        ({"width": -1 * u.deg}, "width must be above 0"),
        ({"width": np.nan * u.deg}, "width must be above 0"),
        ({"width": 100 * u.deg}, "at most 30 deg"),
        ({"width": [1, 2] * u.deg}, "width must be an angle"),
        ({"position_reach": 0 * u.deg}, "position_reach must be above 0"),
        ({"position_reach": 3 * u.deg}, "position_reach must be above 0 and at most 2 deg"),
        ({"neighbour_reach": -1 * u.deg}, "neighbour_reach must be 0 or more"),
        ({"curvature_ts": -1}, "curvature_ts"),
        ({"curvature_ts": np.nan}, "curvature_ts"),
    ],
)
def test_arguments_that_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        CandidateFitEstimator(**arguments)


@pytest.mark.parametrize("name", ["free_background", "free_neighbours", "refit_position", "test_extension"])
def test_flags_that_are_texts(name):
    with pytest.raises(TypeError, match=f"{name} must be True or False, got 'no'"):
        CandidateFitEstimator(**{name: "no"})


@pytest.mark.parametrize("arguments", [{"max_rounds": 0}, {"ts_threshold": -1}, {"ts_threshold": np.nan}])
def test_arguments_of_a_search_that_are_refused(toy_model, arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        IterativeSearch(**arguments)


def test_flux_points_of_datasets_with_other_energies(observe):
    low, high = observe(name="low"), observe(name="high", seed=3)
    low = low.slice_by_idx({"energy": slice(0, 3)}, name="low")
    high = high.slice_by_idx({"energy": slice(1, 4)}, name="high")
    estimator = CandidateFitEstimator()
    fitted = estimator.run([high, low], candidates())
    (points,) = estimator.flux_points([high, low], fitted).values()
    np.testing.assert_allclose(points.energy_min.to_value("GeV"), 10 ** np.array([0, 0.5, 1, 1.5]), rtol=1e-6)


def test_flux_points_of_datasets_with_coarse_and_fine_bins(observe, caplog):
    fine, coarse = observe(name="fine"), observe(name="coarse", seed=3)
    coarse = coarse.resample_energy_axis(MapAxis.from_energy_bounds("1 GeV", "100 GeV", 2), name="coarse")
    estimator = CandidateFitEstimator()
    fitted = estimator.run([fine, coarse], candidates())
    (points,) = estimator.flux_points([fine, coarse], fitted).values()
    table = points.to_table(sed_type="flux")
    np.testing.assert_allclose(table["e_min"].quantity.to_value("GeV"), [1, 10], rtol=1e-6)
    np.testing.assert_allclose(table["e_max"].quantity.to_value("GeV"), [10, 100], rtol=1e-6)
    # A power law of index 2
    true = FLUX / 0.99 * np.array([0.9, 0.09])
    assert np.all(np.abs(table["flux"] - true) < 3 * table["flux_err"])
    assert not caplog.records
    # 3.16 GeV is an edge of one of them only
    (same,) = estimator.flux_points([fine, coarse], fitted, [1, 5, 100] * u.GeV).values()
    np.testing.assert_allclose(same.energy_min.to_value("GeV"), [1, 10], rtol=1e-6)
    assert "their edges are 10 GeV in place of 5 GeV" in caplog.text
    np.testing.assert_allclose(same.norm.data, points.norm.data)


def test_flux_points_inside_of_a_bin_or_beside_the_data(observe, caplog):
    estimator = CandidateFitEstimator()
    field = observe()
    fitted = estimator.run(field, candidates())
    with pytest.raises(ValueError, match="1-1.1 GeV holds no whole energy bin of the data: .* 1, 3.162, 10"):
        estimator.flux_points(field, fitted, [1, 1.1, 100] * u.GeV)
    assert estimator.flux_points(observe(sources=(), skydir=(120, 0)), fitted) == {}
    assert "the data do not show it" in caplog.text
