# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of the training for the instrument of a dataset."""

import astropy.units as u
import numpy as np
import pytest
import torch
import yaml
from astropy.coordinates import SkyCoord
from click.testing import CliRunner
from gammapy.datasets import Datasets, MapDataset
from gammapy.irf import PSFMap
from gammapy.maps import Map, MapAxis, WcsGeom
from gammapy.modeling.models import PointSpatialModel, PowerLawSpectralModel, SkyModel
from numpy.testing import assert_allclose

from gammapy_asid import DLSourceDetector
from gammapy_asid.catalog.columns import COLUMNS
from gammapy_asid.cli import main
from gammapy_asid.inputs.bands import LAT_BANDS, Bands
from gammapy_asid.inputs.bands_of_dataset import bands_for_dataset
from gammapy_asid.inputs.conditioning import TRIAL_SPECTRA, trial_spectra
from gammapy_asid.inputs.convert import to_band_cube
from gammapy_asid.learning.recipe import read_recipe
from gammapy_asid.learning.run import prepare_simulator
from gammapy_asid.learning.stream import SimulatedBatches
from gammapy_asid.simulation.dataset_patches import DatasetSimulator, detection_flux
from gammapy_asid.simulation.sky import source_counts
from gammapy_asid.stats.significance import signed_significance
from gammapy_asid.tasks.detection.calibrate import calibrate
from gammapy_asid.tasks.detection.card import DetectionCard
from gammapy_asid.tasks.detection.network import build_network
from gammapy_asid.tasks.detection.recipe import DetectionRecipe
from gammapy_asid.tasks.detection.simulator import dataset_simulator
from gammapy_asid.tasks.detection.task import DetectionTask

SOURCE = SkyCoord(0.52, -0.31, unit="deg", frame="galactic")


def make_dataset(e_min, e_max, n_bins, binsz, npix, sigma, exposure, rate, index, flux=None, name="data"):
    """Flat background of `rate` counts a pixel in the first bin, and a source of `flux` in the counts."""
    energy = MapAxis.from_energy_bounds(e_min, e_max, n_bins)
    true = MapAxis.from_energy_bounds(e_min, e_max, n_bins, name="energy_true")
    geom = WcsGeom.create(skydir=(0, 0), npix=npix, binsz=binsz, frame="galactic", axes=[energy])
    dataset = MapDataset.create(geom, energy_axis_true=true, name=name)
    ratio = true.center / true.center[0]
    dataset.exposure = Map.from_geom(geom.to_image().to_cube([true]), unit="cm2 s")
    dataset.exposure.data += exposure * ratio[:, None, None] ** 0.5
    dataset.psf = PSFMap.from_gauss(true, sigma=np.broadcast_to(sigma, n_bins) * u.deg)
    dataset.edisp = None
    dataset.mask_safe.data |= True
    dataset.background.data += rate * ratio[:, None, None] ** (1 - index)
    if flux is not None:
        spectrum = PowerLawSpectralModel(index=2.2, amplitude=flux, reference="1 TeV")
        position = PointSpatialModel(lon_0=SOURCE.l, lat_0=SOURCE.b, frame="galactic")
        dataset.models = [SkyModel(spectral_model=spectrum, spatial_model=position)]
    dataset.counts.data = np.random.default_rng(1).poisson(dataset.npred().data).astype(float)
    dataset.models = None
    return dataset


def cta_like(**kwargs):
    return make_dataset("0.1 TeV", "10 TeV", 8, 0.02, (128, 104), 0.05, 3e13, 0.5, 2.7, **kwargs)


def lat_like(**kwargs):
    return make_dataset(
        "10 GeV", "500 GeV", 11, 0.05, (80, 60), 0.1, 3e11, 0.05, 2.4, name="lat-field", **kwargs
    )


@pytest.fixture(scope="module")
def dataset():
    return cta_like(flux="3e-11 cm-2 s-1 TeV-1")


@pytest.fixture(scope="module")
def cube(dataset):
    return to_band_cube(dataset, bands_for_dataset(dataset))


@pytest.fixture(scope="module")
def simulator(cube):
    return DatasetSimulator(cube, size=32)


def test_angles_of_the_lat_are_those_of_its_models():
    assert LAT_BANDS.pixel_size == 0.1
    assert LAT_BANDS.centre_sigma == 0.12
    assert LAT_BANDS.match_radius == 0.3
    fine = Bands((1.0, 2.0), (0,), pixel_size=0.02)
    assert_allclose([fine.centre_sigma, fine.match_radius], [0.024, 0.06])
    with pytest.raises(ValueError, match="with a band of level 0"):
        Bands((1.0, 2.0), (1,))
    with pytest.raises(ValueError, match="must be positive"):
        Bands((1.0, 2.0), (0,), pixel_size=0)


def test_bands_of_a_lat_dataset():
    assert bands_for_dataset(lat_like()) is LAT_BANDS
    assert bands_for_dataset(Datasets([lat_like()])) is LAT_BANDS
    narrow, deep = lat_like(), lat_like()
    narrow.psf = PSFMap.from_gauss(narrow.exposure.geom.axes["energy_true"], sigma=0.04 * u.deg)
    deep.exposure.data *= 1e4
    for other in (narrow, deep):
        bands = bands_for_dataset(other)
        assert bands.edges[0] == 10
        assert bands.edges[-1] == 500


def test_bands_of_a_cherenkov_dataset(dataset):
    bands = bands_for_dataset(dataset)
    assert bands.levels == (0,) * 6
    # 68 % radius of a Gaussian over 1.2
    assert_allclose(bands.pixel_size, 0.05 * np.sqrt(-2 * np.log(0.32)) / 1.2, rtol=0.01)
    edges = dataset.counts.geom.axes["energy"].edges.to_value("GeV")
    assert all(np.isclose(edge, edges, rtol=1e-4).any() for edge in bands.edges)
    assert (bands.edges[0], bands.edges[-1]) == (100, 10000)
    width = np.diff(np.log10(bands.edges))
    assert width.max() < 2.1 * width.min()


def test_bands_follow_the_psf_and_the_mask():
    sigma = np.array([0.5, 0.3, 0.15, 0.1, 0.07, 0.05, 0.05, 0.05])
    dataset = make_dataset("0.1 TeV", "10 TeV", 8, 0.02, (128, 104), sigma, 3e13, 0.5, 2.7)
    dataset.mask_safe.data[0] = False
    bands = bands_for_dataset(dataset)
    assert_allclose(bands.edges[0], 177.828, rtol=1e-5)
    assert len(bands) == 6
    assert bands.levels[0] == 2
    assert bands.levels[-1] == 0
    assert list(bands.levels) == sorted(bands.levels, reverse=True)
    # No pixels smaller than the dataset's own
    coarse = make_dataset("0.1 TeV", "10 TeV", 3, 0.1, (40, 40), 0.02, 3e13, 0.5, 2.7)
    bands = bands_for_dataset(coarse)
    assert_allclose(bands.pixel_size, 0.1, rtol=1e-3)
    assert len(bands) == 3


def test_cube_has_pixels_of_the_bands(dataset, cube):
    assert_allclose(cube.response.pixel_size, 0.06, rtol=1e-3)
    assert_allclose(sum(c.sum() for c in cube.counts), dataset.counts.data.sum())
    assert all(n % 8 == 0 for n in cube.mask.shape[1:])


def test_trial_spectra_follow_the_energy_range(cube):
    low = make_dataset("0.3 GeV", "1000 GeV", 12, 0.1, (40, 40), 0.1, 3e11, 1, 2.4)
    lat = to_band_cube(low).response
    middle = np.sqrt(lat.sub_edges[:, 1:] * lat.sub_edges[:, :-1])
    photons = middle**-1.3 * np.exp(-middle / 3) * np.diff(lat.sub_edges) * lat.exposure
    assert TRIAL_SPECTRA[3] == (1.3, 3.0)
    assert_allclose(trial_spectra(lat)[3], photons.sum(1) / photons.sum(), rtol=1e-12)
    # At the LAT's cut-off nothing of it would be left above 0.1 TeV.
    shares = trial_spectra(cube.response)[3]
    assert np.all(shares[:3] > 0.02)


def test_detection_flux():
    counts = torch.tensor([[2.0, 1.0], [1e6, 0.0]], dtype=torch.float64)
    expected = torch.tensor([1.0, 0.9], dtype=torch.float64)
    for background in (1e-3, 1e5):
        information = torch.tensor([0.2, 0.4], dtype=torch.float64) / background
        flux = detection_flux(counts, expected, information)
        e, i = counts @ expected, counts**2 @ information
        assert_allclose(signed_significance(e + flux * i, e, i), 5, rtol=1e-6)
    # Many counts: the square root of the information
    assert_allclose(flux, 5 / torch.sqrt(i), rtol=0.02)


def test_patches(simulator, cube):
    patches = simulator.draw(48, 1)
    batch = patches.batch
    assert patches.bands == cube.bands
    assert all(c.shape == (48, 32, 32) for c in batch.counts)
    assert 24 < batch.has_background.sum() < 48
    for counts, sky, mask in zip(batch.counts, batch.background, batch.mask, strict=True):
        assert torch.equal(counts, torch.round(counts))
        assert not counts[mask == 0].any()
        assert bool((sky[mask > 0] > 0).all())
    # Lowest band: nearly all background, with a prediction that is off by tens of percent at most.
    known = batch.has_background
    ratio = batch.counts[0][known].sum((1, 2)) / batch.background[0][known].sum((1, 2))
    assert 0.9 < float(ratio.median()) < 1.3
    assert 0.02 < float(ratio.std()) < 0.6
    per_pixel = batch.counts[0].sum() / (batch.mask[0] > 0).sum()
    assert_allclose(per_pixel, cube.background[0].max(), rtol=0.2)
    # About one source for each 16 x 16 pixels, over 2.7 decades of flux
    inside = (patches.x > -0.5) & (patches.x < 31.5) & (patches.y > -0.5) & (patches.y < 31.5)
    assert 0.6 < int(inside.sum()) / 48 < 1.4
    assert 30 < float(patches.flux.max() / patches.flux.min())
    assert torch.equal(simulator.draw(48, 1).batch.counts[0], batch.counts[0])
    assert not torch.equal(simulator.draw(48, 2).batch.counts[0], batch.counts[0])


def test_source_counts_are_those_of_gammapy(simulator, dataset):
    spectra = simulator._unit_spectra(np.array([2.2]))
    counts = source_counts(simulator.bank, torch.zeros(1, dtype=torch.long), spectra)[0].sum(-1)
    spectrum = PowerLawSpectralModel(index=2.2, amplitude="1e-11 cm-2 s-1 TeV-1", reference="1 TeV")
    flux = spectrum.integral(0.1 * u.TeV, 10 * u.TeV).to_value("cm-2 s-1")
    axis = dataset.exposure.geom.axes["energy_true"]
    integral = spectrum.integral(axis.edges[:-1], axis.edges[1:]).to_value("cm-2 s-1")
    photons = (integral * dataset.exposure.data[:, 0, 0]).sum()
    assert_allclose(flux * float(counts.sum()), photons, rtol=0.02)


def test_dataset_without_background():
    dataset = cta_like(flux="3e-11 cm-2 s-1 TeV-1")
    level = dataset.background.data.sum()
    dataset.background = None
    simulator = dataset_simulator(dataset, DetectionRecipe(name="a", patch_size=32))
    # The estimate leaves the source out.
    estimate = sum(float(b.sum()) for b in simulator.background)
    assert_allclose(estimate, level, rtol=0.05)
    assert simulator.draw(4, 0).batch.has_background.any()


def test_lat_data_are_simulated_on_the_sky_of_the_lat(monkeypatch):
    monkeypatch.setattr("gammapy_asid.tasks.detection.simulator.build_simulator", lambda *args: args)
    recipe = DetectionRecipe(name="a")
    used, (response,), weights = dataset_simulator(lat_like(), recipe)
    assert used is recipe
    assert weights == [1.0]
    assert response.bands is LAT_BANDS
    assert_allclose(response.exposure[4, 0], 3e11, rtol=0.5)


def test_instruments_of_a_recipe_beside_a_dataset(dataset, caplog):
    recipe = DetectionRecipe(name="a", patch_size=32, instruments=[{"irf": "P8R3_SOURCE_V3"}])
    _, used = prepare_simulator(recipe, dataset)
    assert "instruments of recipe 'a' are not used" in caplog.text
    # The card does not state them, and figures are never those of another instrument
    assert used.instruments == ()
    with pytest.raises(ValueError, match="--dataset"):
        prepare_simulator(used)
    caplog.clear()
    assert prepare_simulator(used, dataset)[1] == used
    assert not caplog.text


def test_named_simulators_know_no_dataset(dataset):
    with pytest.raises(ValueError, match="'generated-counts', which is not made for"):
        prepare_simulator(DetectionRecipe(name="a", simulator="generated-counts"), dataset)


def test_stream_is_made_of_marked_sources(simulator):
    (inputs, _), (targets, _) = SimulatedBatches(DetectionTask(), simulator, 4, 2)[0]
    assert inputs[0].shape == (4, 4 * 6 + 2 * 4 + 1, 32, 32)
    # What a source marks has a radius of 3 nominal pixels.
    disc = np.pi * (simulator.bands.match_radius / simulator.bank.pixel_size[0].item()) ** 2
    marked = targets[:, 1].sum((1, 2))
    assert float(marked.min()) < 6 * disc
    assert targets[:, 0].max() > 0.8


def test_untrained_network_cannot_be_calibrated(simulator):
    network = build_network(simulator.bands, (4, 4, 4, 4)).eval()
    with pytest.raises(ValueError, match="finds 0 candidates in 32 simulated patches, too few"):
        calibrate(network, simulator, 32)


def test_train_and_detect(dataset, tmp_path):
    recipe = read_recipe("dataset").model_dump(mode="json")
    recipe |= {"name": "tiny", "patch_size": 32, "widths": [8, 8, 8, 8]}
    recipe |= {"validation_patches": 16, "calibration_patches": 128}
    recipe["optimiser"] |= {"batch_size": 16, "batches_per_epoch": 60, "epochs": 3, "learning_rate": 0.01}
    recipe["optimiser"] |= {"precision": "32-true", "ema_decay": 0.9}
    recipe["sources"] |= {"patches": 1024, "members": 2, "width": 8, "steps": 40}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    dataset.write(tmp_path / "field.fits.gz")
    args = ["train", tmp_path / "tiny.yaml", "--dataset", tmp_path / "field.fits.gz", "--epochs", 1]
    result = CliRunner().invoke(main, [str(a) for a in (*args, "--workers", 0, "-o", tmp_path)])
    assert result.exit_code == 0, result.output
    card = DetectionCard(**yaml.safe_load((tmp_path / "tiny.json").read_text()))
    assert card.to_bands() == bands_for_dataset(dataset)
    assert card.recipe["optimiser"]["epochs"] == 1
    candidates = DLSourceDetector(model=tmp_path / "tiny.safetensors", threshold=0.1).run(dataset)
    assert candidates.table.colnames == [column.name for column in COLUMNS]
    assert len(candidates) < 5
    assert candidates.positions[0].separation(SOURCE).deg < card.to_bands().match_radius
    assert candidates.table["score"][0] > 0.3
