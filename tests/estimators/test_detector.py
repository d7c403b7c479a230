# Licensed under a 3-clause BSD style license - see LICENSE
import logging
import os
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from gammapy.datasets import Datasets, MapDataset
from gammapy.estimators import ESTIMATOR_REGISTRY
from gammapy.maps import WcsGeom
from gammapy.modeling.models import Models, PointSpatialModel, PowerLawSpectralModel, SkyModel
from numpy.testing import assert_allclose

from gammapy_asid import DLSourceDetector
from gammapy_asid.catalog.columns import COLUMNS
from gammapy_asid.inputs import to_band_cube
from gammapy_asid.simulation.diffuse import analytic_emission
from gammapy_asid.simulation.lat_dataset import simulate_dataset
from gammapy_asid.simulation.populations import draw_sky
from gammapy_asid.tasks.detection import model as model_module
from gammapy_asid.utils.sky_geometry import sky_ellipses

CENTER = SkyCoord(80, 30, unit="deg", frame="galactic")


@pytest.fixture(scope="module")
def catalog():
    """Bright sources of a random sky near the centre."""
    sky = draw_sky(np.random.default_rng(5))
    position = SkyCoord(sky.lon, sky.lat, unit="deg", frame="galactic")
    return sky.select((sky.flux(1, 100) > 5e-10) & (position.separation(CENTER).deg < 6))


@pytest.fixture(scope="module")
def dataset(catalog):
    rng = np.random.default_rng(0)
    return simulate_dataset(CENTER, (10, 10) * u.deg, catalog, analytic_emission(0), rng=rng)


@pytest.fixture(scope="module")
def detector():
    return DLSourceDetector(model="lat", threshold=0.5)


@pytest.fixture(scope="module")
def candidates(detector, dataset):
    return detector.run(dataset)


def positions(catalog, dataset):
    sky = catalog.positions
    return sky[dataset.counts.geom.to_image().contains(sky)]


def test_finds_bright_sources(candidates, catalog, dataset):
    true = positions(catalog, dataset)
    assert len(true) >= 3
    _, separation, _ = true.match_to_catalog_sky(candidates.positions)
    assert np.all(separation.deg < 0.15)
    _, separation, _ = candidates.positions.match_to_catalog_sky(true)
    assert np.mean(separation.deg < 0.3) > 0.7


def test_candidates(candidates):
    assert candidates.table.colnames == [column.name for column in COLUMNS]
    score = candidates.table["score"]
    assert np.all(np.diff(score) <= 0)
    assert score.min() >= 0.5
    assert np.all(candidates.table["pos_err_95"] > candidates.table["pos_err_68"])
    assert candidates.meta["model"] == "lat"
    assert 0.5 < candidates.meta["expected_purity"] <= 1
    assert_allclose(candidates.meta["energy_range"], [0.3, 1000], rtol=0.01)
    assert set(candidates.maps) == {"score", "centre", "counts", "background"}


def test_error_ellipses(candidates, dataset):
    table = candidates.table
    for level in ("68", "95"):
        major, minor = table[f"semi_major_{level}"], table[f"semi_minor_{level}"]
        assert np.all(major >= minor)
        assert_allclose(np.sqrt(major * minor), table[f"pos_err_{level}"])
    assert np.all((table["pos_angle"] >= 0) & (table["pos_angle"] < 180 * u.deg))
    # Without the refinement: circles of the network, close to the refined positions.
    plain = DLSourceDetector(model="lat", refine=False).run(dataset)
    assert_allclose(plain.table["semi_major_68"], plain.table["semi_minor_68"])
    assert sorted(plain.table["score"]) == sorted(table["score"])
    moved = plain.positions.separation(candidates.positions)
    assert 0 < moved.deg.max() < 0.15


def test_refined_positions_are_nearer(candidates, catalog, dataset):
    true = positions(catalog, dataset)
    plain = DLSourceDetector(model="lat", refine=False).run(dataset)
    refined, coarse = (true.match_to_catalog_sky(c.positions)[1].deg for c in (candidates, plain))
    assert np.mean(refined) < np.mean(coarse)


def test_ellipses_follow_the_sky():
    geom = WcsGeom.create(skydir=CENTER, npix=(50, 40), binsz=0.1, frame="galactic")
    covariance = np.array([[[4.0, 0.0], [0.0, 1.0]]])
    axes, angle = sky_ellipses(geom.wcs, np.array([24.5]), np.array([19.5]), covariance)
    assert_allclose(axes.to_value("deg"), [[0.2, 0.1]], rtol=1e-3)
    # The larger axis lies along Galactic longitude.
    east = CENTER.icrs.position_angle(CENTER.directional_offset_by(90 * u.deg, 0.1 * u.deg).icrs)
    assert_allclose(angle.to_value("deg"), [east.deg % 180], atol=0.1)


def test_equal_runs_give_equal_results(detector, dataset, candidates):
    again = detector.run(dataset)
    assert np.all(again.table["score"] == candidates.table["score"])
    assert np.all(again.table["ra"] == candidates.table["ra"])


def test_dataset_is_unchanged(detector, dataset):
    before = {name: getattr(dataset, name).data.copy() for name in ("counts", "exposure", "background")}
    psf = dataset.psf.psf_map.data.copy()
    detector.run(dataset)
    for name, data in before.items():
        assert getattr(dataset, name).data.tobytes() == data.tobytes()
    assert dataset.psf.psf_map.data.tobytes() == psf.tobytes()
    assert dataset.models is None


def test_empty_field_gives_all_columns(detector, dataset):
    empty = dataset.copy(name="empty")
    empty.counts.data = np.random.default_rng(0).poisson(empty.background.data).astype(float)
    empty.counts.data[...] = 0
    candidates = detector.run(empty)
    assert len(candidates) == 0
    assert candidates.table.colnames == [column.name for column in COLUMNS]
    assert candidates.table["ra"].unit == "deg"


def test_modelled_source_is_not_found_again(detector, dataset, catalog, candidates):
    sources = catalog.to_models()
    known = dataset.copy(name="known")
    known.models = Models([source.copy(datasets_names="known") for source in sources])
    found = detector.run(known)
    _, separation, _ = positions(catalog, dataset).match_to_catalog_sky(candidates.positions)
    assert np.all(separation.deg < 0.15)
    if len(found):
        _, separation, _ = positions(catalog, dataset).match_to_catalog_sky(found.positions)
        assert np.mean(separation.deg < 0.15) < 0.35


def test_masked_source_is_not_found(detector, dataset, catalog):
    source = positions(catalog, dataset)[0]
    masked = dataset.copy(name="masked")
    distance = masked.counts.geom.separation(source)
    masked.mask_fit = masked.counts.copy(data=np.broadcast_to(distance.deg > 1.5, masked.counts.data.shape))
    found = detector.run(masked)
    assert np.all(found.positions.separation(source).deg > 1.3)


def test_without_background(detector, dataset, catalog):
    counts_only = MapDataset(
        counts=dataset.counts, exposure=dataset.exposure, psf=dataset.psf, name="counts-only"
    )
    found = detector.run(Datasets([counts_only]))
    assert found.meta["background"] is False
    _, separation, _ = positions(catalog, dataset).match_to_catalog_sky(found.positions)
    assert np.mean(separation.deg < 0.2) > 0.6


def test_kmeans_finds_the_same_bright_sources(dataset, catalog):
    found = DLSourceDetector(centres="kmeans").run(dataset)
    _, separation, _ = positions(catalog, dataset).match_to_catalog_sky(found.positions)
    assert np.all(separation.deg < 0.2)


def test_tiles_have_no_seams(detector, dataset, monkeypatch):
    handle = detector.trained
    cube = to_band_cube(dataset, handle.bands)
    whole = handle.output(cube)
    monkeypatch.setattr(model_module, "TILE", 144)
    tiles = handle.output(cube)
    assert whole.shape == tiles.shape
    assert_allclose(tiles[:2].sigmoid(), whole[:2].sigmoid(), atol=1e-4)


def test_configuration(detector):
    assert DLSourceDetector in ESTIMATOR_REGISTRY
    assert "threshold : 0.5" in " ".join(str(detector).split())
    assert "lat" in repr(detector.trained)
    with pytest.raises(ValueError, match="between 0 and 1"):
        DLSourceDetector(threshold=1.5)
    with pytest.raises(ValueError, match="'log' or 'kmeans'"):
        DLSourceDetector(centres="median")
    with pytest.raises(ValueError, match="Unknown model 'nothing'"):
        DLSourceDetector(model="nothing")


def test_warns_outside_the_training_range(detector, dataset, caplog):
    faint = dataset.copy(name="faint")
    faint.exposure.data = faint.exposure.data * 1e-3
    with caplog.at_level(logging.WARNING):
        detector.run(faint)
    assert "exposure" in caplog.text
    assert "was trained" in caplog.text


def test_faint_model_changes_little(detector, dataset, candidates):
    """A model far below the threshold is known sky that explains nothing."""
    model = SkyModel(
        PowerLawSpectralModel(amplitude="1e-15 cm-2 s-1 GeV-1", reference="1 GeV"),
        PointSpatialModel(lon_0=CENTER.l, lat_0=CENTER.b, frame="galactic"),
        name="faint",
    )
    modelled = dataset.copy(name="modelled")
    modelled.models = Models([model])
    found = detector.run(modelled)
    assert abs(len(found) - len(candidates)) <= 1


@pytest.mark.skipif("GAMMAPY_DATA" not in os.environ, reason="needs GAMMAPY_DATA")
def test_galactic_centre(detector):
    folder = Path(os.environ["GAMMAPY_DATA"]) / "fermi-3fhl-gc"
    if not folder.is_dir():
        pytest.skip("needs fermi-3fhl-gc")
    found = detector.run(MapDataset.read(folder / "fermi-3fhl-gc.fits.gz", name="gc"))
    # Sgr A*, W28's neighbour J1809.8-2332 and J1732.6-3131: the brightest three of 3FHL here
    bright = SkyCoord([266.42, 272.46, 263.16], [-29.01, -23.54, -31.52], unit="deg")
    _, separation, _ = bright.match_to_catalog_sky(found.positions)
    assert np.all(separation.deg < 0.1)
