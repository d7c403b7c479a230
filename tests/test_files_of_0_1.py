# Licensed under a 3-clause BSD style license - see LICENSE
"""Files that version 0.1 wrote are read as by that version.

``data/0.1/expected.json`` has what version 0.1 read in its own files, and what its tiny networks with random
weights made of the counts of ``sky.fits.gz``.
"""

import gzip
import hashlib
import json
import shutil
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from gammapy.datasets import MapDataset
from gammapy.modeling.models import Models
from numpy.testing import assert_allclose
from regions import Regions

import gammapy_asid
from gammapy_asid import (
    CandidateFitEstimator,
    Candidates,
    DLExtensionClassifier,
    DLFluxEstimator,
    DLSkySurvey,
    DLSourceDetector,
    SkyFitEstimator,
)
from gammapy_asid.catalog.source_catalog import SourceCatalogASID
from gammapy_asid.inputs.bands import LAT_BANDS
from gammapy_asid.learning.io import load_card
from gammapy_asid.learning.model_files import find_model
from gammapy_asid.learning.trainer import load_averaged
from gammapy_asid.likelihood.fermipy import write_fermipy
from gammapy_asid.tasks.detection.network import build_network
from gammapy_asid.utils import work_folder

FOLDER = Path(__file__).parent / "data" / "0.1"

#: SHA-256 of the weights and cards that version 0.1 ships.
SHIPPED = {
    "cta-extension.json": "cb51afe658ebd7f0469758f103c19a5b901567f0aa36f8598e393c6fd1e71a70",
    "cta-extension.safetensors": "c13309d6eace813d9056656e5bb328739004d4fd086b6768b352c861bed5439a",
    "cta-gps-flux.json": "ecacdeffb5e785ba67dc00504c5356bb05eada12386afaa3e662f0c3d9c171e8",
    "cta-gps-flux.safetensors": "dab97eb6a0440e7e3defad773467e2f67af13ef656565d745610684eebcbe035",
    "cta-gps.json": "23831f22f82fc6645d54a52ce34f74b1252bef6f24cd388e0e45f49fedbd72f2",
    "cta-gps.safetensors": "0f266f0148752e1aed35c2f6020d53ff3bc3dd87309951c3ba5daf8dc77d0e48",
    "lat-flux.json": "e6ddafb299cd1e4baaeb6d995e632115be230d2a326732650b120cf0091fda55",
    "lat-flux.safetensors": "fb18a16ea13eb704a2a08410a1d196b9b9bcb725f75ca43e73043abaf1fb59d6",
    "lat-position.json": "226a68a7b73cc40b0184ea5716a2d7fed13d3b9a8b210a480e5830111f15f6f3",
    "lat-position.safetensors": "74cefc99d7c2d254aff411b8d0b0e665e01546a4afec529780904833c3ff6e67",
    "lat.json": "be421070387fdf5fa15f314cd27d8ab0c6d61e2e7eb28fcc3c1ed6f1b51356e6",
    "lat.safetensors": "84d41200f5676073ae11c2365f84070856ad3343d56d1abee52083c03b04a7db",
}


@pytest.fixture(scope="module")
def expected():
    return json.loads((FOLDER / "expected.json").read_text())


@pytest.fixture(scope="module")
def sky():
    return MapDataset.read(FOLDER / "sky.fits.gz", name="sky")


@pytest.fixture
def copied(tmp_path):
    """A copy of the files, which are left as they are."""
    return shutil.copytree(FOLDER, tmp_path / "0.1")


def assert_columns(table, columns, **tolerance):
    """All columns are there, with their units and values."""
    assert table.colnames == list(columns)
    for name, column in columns.items():
        assert str(getattr(table[name], "unit", None) or "") == column["unit"], name
        values = getattr(table[name], "value", table[name])
        if isinstance(column["values"][0], str):
            assert list(values) == column["values"], name
        else:
            values = np.ma.filled(np.ma.asarray(values), np.nan) if np.ma.isMaskedArray(values) else values
            assert_allclose(values, column["values"], err_msg=name, **(tolerance or {"rtol": 0}))


@pytest.mark.parametrize("name", ["candidates", "survey", "extensions"])
def test_candidates(expected, name):
    candidates = Candidates.read(FOLDER / f"{name}.fits.gz")
    assert_columns(candidates.table, expected[name]["columns"])
    assert candidates.meta.get("model") == expected[name]["model"]
    sums = {kind: float(m.data.astype(float).sum()) for kind, m in candidates.maps.items()}
    assert sums == pytest.approx(expected[name]["maps"], rel=1e-12)


def test_catalog(expected):
    catalog = SourceCatalogASID(FOLDER / "catalog.fits.gz")
    assert_columns(catalog.table, expected["catalog"]["columns"])
    models = catalog.to_models()
    assert_allclose(models.parameters.value, expected["catalog"]["models"], rtol=1e-12)


def test_models_and_regions(expected):
    models = Models.read(FOLDER / "models.yaml")
    assert {f"{m.name} {p.name}": p.value for m in models for p in m.parameters} == expected["models"]
    candidates = Candidates.read(FOLDER / "candidates.fits.gz")
    now = candidates.to_models()
    assert_allclose(now.parameters.value, models.parameters.value, rtol=1e-12)
    for region, own in zip(Regions.read(FOLDER / "regions.reg"), candidates.to_regions(), strict=True):
        assert region.center.separation(own.center).arcsec < 0.1
        assert_allclose(region.width.to_value("deg"), own.width.to_value("deg"), rtol=1e-4)


def test_handoff_to_fermipy_is_the_same(tmp_path):
    candidates = Candidates.read(FOLDER / "candidates.fits.gz")
    files = {"evfile": "/data/events.fits", "scfile": "/data/spacecraft.fits"}
    for path in write_fermipy(candidates, tmp_path / "fermipy", **files):
        assert path.read_text() == (FOLDER / "fermipy" / path.name).read_text()


def test_files_that_ship():
    folder = Path(gammapy_asid.__file__).parent / "weights" / "data"
    own = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    assert {name: own.get(name) for name in SHIPPED} == SHIPPED


def test_cards_keep_their_hash(expected):
    for name, sha256 in expected["cards"].items():
        path = FOLDER / "weights" / "toy.safetensors" if name == "toy" else find_model(name)
        assert load_card(path).sha256 == sha256, name


def test_detection(expected, sky):
    maps = DLSourceDetector(FOLDER / "weights" / "toy.safetensors").run(sky).maps
    for name in ("score", "centre"):
        assert_allclose(maps[name].data.astype(float).sum(), expected["toy"][name], rtol=1e-6)


def test_fluxes(expected, sky):
    positions = Candidates.read(FOLDER / "survey.fits.gz").positions
    table = DLFluxEstimator(FOLDER / "weights" / "toy.safetensors").run(sky, positions).table
    for name in ("flux", "flux_ul"):
        assert_allclose(table[name].value, expected["toy"][name], rtol=1e-5)


def test_extension(expected, extension_dataset):
    positions = SkyCoord([0.41, -0.43, 1.85, 9], [0.31, -0.29, 0, 0], unit="deg", frame="galactic")
    classifier = DLExtensionClassifier(FOLDER / "weights" / "toy-extension.safetensors")
    table = classifier.run(extension_dataset, positions).table
    assert_columns(table, expected["toy"]["extension"], rtol=1e-5)


def test_checkpoint(expected, tmp_path):
    path = tmp_path / "last.ckpt"
    path.write_bytes(gzip.decompress((FOLDER / "training" / "last.ckpt.gz").read_bytes()))
    state = load_averaged(build_network(LAT_BANDS, (1, 1, 1, 1)), path).state_dict()
    sums = {name: float(state[name].double().sum()) for name in expected["checkpoint"]}
    assert sums == pytest.approx(expected["checkpoint"], rel=1e-6)


#: What wrote the folders of tiles, whose results belong to these versions.
VERSIONS = {"gammapy-asid": "0.1.0", "gammapy": "2.1", "numpy": "2.4.6", "torch": "2.13.0+cpu"}


def refuse(*args, **kwargs):
    raise AssertionError("computed anew")


def test_tiles_are_taken_up_again(expected, sky, copied, monkeypatch):
    """Neither the networks nor the fits run again in folders that version 0.1 left."""
    monkeypatch.setattr(work_folder, "version", VERSIONS.get)
    monkeypatch.setattr(DLSourceDetector, "run", refuse)
    monkeypatch.setattr(DLFluxEstimator, "run", refuse)
    monkeypatch.setattr(CandidateFitEstimator, "run", refuse)
    survey = DLSkySurvey(DLSourceDetector("lat", threshold=0.5), folder=copied / "tiles")
    candidates = survey.run(sky)
    columns = expected["survey"]["columns"]
    assert_columns(candidates.table, {name: columns[name] for name in candidates.table.colnames})
    fits = SkyFitEstimator(CandidateFitEstimator(width=2 * u.deg), folder=copied / "fits")
    assert_columns(fits.run(sky, candidates).table, columns)
