# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of surveys: tiles, their union, and runs that are killed."""

import os
import signal
from types import SimpleNamespace

import astropy.units as u
import healpy
import numpy as np
import pytest
import torch
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from gammapy.datasets import MapDataset
from gammapy.estimators import ESTIMATOR_REGISTRY
from gammapy.irf import PSFMap
from gammapy.maps import HpxGeom, Map, MapAxis, WcsGeom
from gammapy.modeling.models import PointSpatialModel, PowerLawSpectralModel, SkyModel

from gammapy_asid import Candidates, DLFluxEstimator, DLSkySurvey, DLSourceDetector, SourceFluxes
from gammapy_asid.catalog import CLASSES, SourceClasses
from gammapy_asid.catalog.columns import CandidateFlag, fit_columns
from gammapy_asid.estimators import find as find_module
from gammapy_asid.inputs.bands import LAT_BANDS
from gammapy_asid.simulation.all_sky import simulate_sky
from gammapy_asid.simulation.diffuse import analytic_emission
from gammapy_asid.simulation.populations import draw_sky
from gammapy_asid.survey import SkyFitEstimator, SkyTiles, TileCutter
from gammapy_asid.survey.merge import merge_tiles
from gammapy_asid.survey.sky_tiles import cut_tile

UNIT = u.Unit("cm-2 s-1")
ERROR = 0.1 * u.deg


def make_candidates(positions, score, error=ERROR):
    """Candidates with error circles, the 95 % one of a radius `error`."""
    axes = np.broadcast_to(u.Quantity(error).to_value("deg")[..., None], (len(positions), 2)) * u.deg
    return Candidates.from_positions(positions, score, axes / 1.6, axes, meta={"model": "stub"})


def sphere(n, seed=0, spacing=1.0):
    """Random directions, no two nearer than the spacing in deg."""
    rng = np.random.default_rng(seed)
    sky = SkyCoord(rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n))), unit="deg")
    i, j, *_ = sky.search_around_sky(sky, spacing * u.deg)
    return sky[np.setdiff1d(np.arange(n), i[i > j])]


def make_sky(geom, name="sky", mask=None):
    """Dataset of one energy bin whose counts are one in each pixel."""
    axis = MapAxis.from_energy_bounds("10 GeV", "100 GeV", nbin=1)
    true = MapAxis.from_energy_bounds("10 GeV", "100 GeV", nbin=2, name="energy_true")
    counts = Map.from_geom(geom.to_cube([axis]), data=1.0)
    coarse = WcsGeom.create(binsz=20, proj="CAR", frame="galactic", axes=[true])
    rad = MapAxis.from_bounds(0, 5, 50, unit="deg", name="rad")
    dataset = MapDataset(
        counts=counts,
        background=Map.from_geom(counts.geom, data=0.5),
        exposure=Map.from_geom(coarse, data=1e11, unit="cm2 s"),
        psf=PSFMap.from_gauss(true, rad_axis=rad, sigma=0.1 * u.deg),
        name=name,
    )
    if mask is not None:
        dataset.mask_safe = Map.from_geom(counts.geom, data=np.broadcast_to(mask, counts.data.shape))
    return dataset


@pytest.fixture
def stubs(monkeypatch):
    """Surveys of `StubDetector`, which looks at the parts of a tile and needs no band cube."""
    monkeypatch.setattr(find_module, "band_cube", lambda field, card: field)


class StubDetector:
    """Sees the true sources on valid data, each tile a little beside the place where others see it."""

    model, bands, shifts, classifier = "stub", None, 1, None
    card = SimpleNamespace(sha256="0", to_bands=lambda: LAT_BANDS)

    def __init__(self, truth, threshold=0.5):
        self.truth, self.threshold = truth, threshold
        self.calls = 0

    @property
    def config_parameters(self):
        return {"model": self.model, "threshold": self.threshold, "device": "cpu"}

    def find(self, datasets, cube):
        return self.run(datasets)

    def run(self, datasets):
        self.calls += 1
        seen = np.zeros(len(self.truth), bool)
        for part in datasets:
            image = part.mask_safe.geom.to_image()
            inside = image.contains(self.truth)
            valid = Map.from_geom(image, data=part.mask_safe.data.any(axis=0).astype(float))
            seen[inside] |= valid.get_by_coord({"skycoord": self.truth[inside]}) > 0
        first = datasets[0].mask_safe.geom.to_image()
        rng = np.random.default_rng([len(self.truth), *np.unique(first.data_shape), int(seen.sum())])
        n = int(seen.sum())
        moved = self.truth[seen].directional_offset_by(
            rng.uniform(0, 360, n) * u.deg, 0.4 * ERROR * rng.random(n)
        )
        candidates = make_candidates(moved, rng.uniform(0.5, 1, n))
        return Candidates(candidates.table, meta={"model": "stub", "datasets": [datasets[0].name]})


class StubFlux:
    card = SimpleNamespace(weights_sha256="0")
    config_parameters = {"model": "stub"}

    def run(self, datasets, candidates):
        n = len(candidates)
        names = ("flux", "flux_err", "flux_errn", "flux_errp", "flux_ul")
        fluxes = {name: np.arange(1.0, n + 1) * UNIT for name in names}
        table = QTable(
            {
                "name": candidates.table["name"],
                "e_min": np.full(n, 10) * u.GeV,
                "e_max": np.full(n, 100) * u.GeV,
            }
            | fluxes
            | {"flags": np.zeros(n, int)}
        )
        bands = QTable({name: np.ones((n, 1)) * UNIT for name in names}, meta={"index": [4]})
        return SourceFluxes(table, bands, {"bands": [None] * 4 + [(10, 100), None]})


def make_survey(detector, **kwargs):
    return DLSkySurvey(detector, StubFlux(), **({"nside": 2, "margin": 4} | kwargs))


def assert_equal(one, other):
    assert one.meta == other.meta
    assert one.table.colnames == other.table.colnames
    for name in one.table.colnames:
        np.testing.assert_array_equal(one.table[name], other.table[name])


def assert_each_once(candidates, truth):
    """Every true source has one candidate within its error circle, and there are no others."""
    nearest, separation, _ = candidates.positions.match_to_catalog_sky(truth)
    assert separation.max() < ERROR
    assert sorted(nearest) == list(range(len(truth)))


@pytest.mark.parametrize("nside", [2, 3, 5])
def test_tiles_cover_the_sphere(nside):
    tiles = SkyTiles(nside, margin=4.5)
    assert len(tiles) == 12 * nside**2
    sky = sphere(20000, spacing=0)
    owner = tiles.owner(sky)
    assert set(owner) == set(range(len(tiles)))
    for tile in range(len(tiles)):
        own = sky[owner == tile]
        # The whole core and its margin lie in the tile
        assert own.separation(tiles.centre(tile)).deg.max() + 4.5 <= tiles.radius(tile) + 1e-6


def test_tiles_know_what_is_near_their_core():
    tiles = SkyTiles(3, margin=4.5)
    sky = sphere(3000, spacing=0)
    near = tiles.is_near_core(7, sky, np.full(len(sky), 2.0))
    assert np.all(near[tiles.owner(sky) == 7])
    # The distance to the core from many points in it
    core = healpy.query_polygon(128, healpy.boundaries(3, 7).T)
    lon, lat = healpy.pix2ang(128, core, lonlat=True)
    distance = SkyCoord(lon, lat, unit="deg", frame="galactic")
    distance = np.array([p.separation(distance).deg.min() for p in sky.galactic])
    clear = np.abs(distance - 2.0) > 0.5
    np.testing.assert_array_equal(near[clear], (distance < 2.0)[clear])
    assert len(tiles.is_near_core(7, sky[:0], np.zeros(0))) == 0


def test_tiles_that_are_too_large():
    with pytest.raises(ValueError, match="more than 45 deg: choose a larger nside"):
        SkyTiles(1, margin=4.5)


GEOMS = {
    "hpx": HpxGeom.create(nside=32, frame="galactic"),
    "hpx-icrs": HpxGeom.create(nside=32, frame="icrs", nest=True),
    "car": WcsGeom.create(binsz=2, proj="CAR", frame="galactic"),
    "car-icrs": WcsGeom.create(binsz=2, proj="CAR", frame="icrs"),
    "ait": WcsGeom.create(binsz=2, proj="AIT", frame="galactic"),
}


@pytest.mark.parametrize("kind", GEOMS)
def test_parts_hold_the_counts_of_the_tile(kind):
    dataset = make_sky(GEOMS[kind])
    image = dataset.counts.geom.to_image()
    sky = image.get_coord().skycoord
    dataset.counts.data[...] = np.random.default_rng(0).poisson(3, dataset.counts.data.shape)
    cutter, tiles = TileCutter(dataset), SkyTiles(2, margin=4)
    before = dataset.counts.data.copy()
    assert cutter.tiles_with_data(tiles) == set(range(48))
    for tile in range(48):
        inside = sky.separation(tiles.centre(tile)).deg < tiles.radius(tile)
        parts = cut_tile([cutter], tiles, tile)
        total = sum(part.counts.data[part.mask_safe.data].sum() for part in parts)
        assert total == dataset.counts.data[0][inside].sum()
        assert len(set(parts.names)) == len(parts)
        for part in parts:
            # The same pixels in the same places
            kept = part.counts.geom.to_image().get_coord().skycoord[part.mask_safe.data[0]]
            values = dataset.counts.get_by_coord({"skycoord": kept, "energy": 30 * u.GeV})
            np.testing.assert_array_equal(values, part.counts.data[part.mask_safe.data])
            assert part.exposure is dataset.exposure
    np.testing.assert_array_equal(dataset.counts.data, before)
    assert dataset.mask_safe is None


def test_part_of_the_sky():
    geom = WcsGeom.create(skydir=(30, 50), width=20, binsz=0.5, proj="TAN", frame="galactic")
    mask = np.ones(geom.data_shape, bool)
    mask[:, :20] = False
    dataset = make_sky(geom, mask=mask)
    source = SkyModel(PowerLawSpectralModel(), PointSpatialModel(lon_0="30 deg", lat_0="50 deg"), name="s")
    dataset.models = [source]
    cutter, tiles = TileCutter(dataset), SkyTiles(3)
    owner = tiles.owner(geom.get_coord().skycoord)
    assert cutter.tiles_with_data(tiles) == set(owner[mask])
    tile = int(np.bincount(owner[mask]).argmax())
    (part,) = cut_tile([cutter], tiles, tile)
    assert part.models.names == ["s"]
    assert not part.mask_safe.get_by_coord(
        {"skycoord": geom.get_coord().skycoord[~mask], "energy": 30 * u.GeV}
    ).any()
    far = int(tiles.owner(SkyCoord(210, -50, unit="deg", frame="galactic").reshape(1))[0])
    assert len(cut_tile([cutter], tiles, far)) == 0


def border_of(tiles, tile):
    """A point on the border of a core, and the tile on the other side."""
    edge = healpy.boundaries(tiles.nside, tile, step=50)[:, 17]
    point = SkyCoord(*edge, representation_type="cartesian", frame="galactic").icrs
    point = SkyCoord(point.spherical.lon, point.spherical.lat, frame="icrs")
    around = point.directional_offset_by(np.arange(0, 360, 5) * u.deg, 0.05 * u.deg)
    (other,) = set(tiles.owner(around)) - {tile}
    directions = [around[tiles.owner(around) == t][0] for t in (tile, other)]
    return point, int(other), directions


def classified(candidates, source_class, problems):
    """Candidates with one class for all, of a classifier that told what lies outside its training."""
    n = len(candidates)
    probability = np.tile([*(np.array(CLASSES) == source_class).astype(float), 0.5, 0.9], (n, 1))
    names, valid = list(candidates.table["name"]), np.ones(n, dtype=bool)
    return candidates.with_classes(
        SourceClasses.from_probabilities(
            names,
            candidates.positions,
            probability,
            valid,
            np.zeros(n, int),
            {"model": "stub", "outside_training": problems},
        )
    )


def test_merge_keeps_classes():
    tiles = SkyTiles(2, margin=4)
    point, other, (own_side, other_side) = border_of(tiles, 5)
    one = make_candidates(SkyCoord([own_side]), [0.7], np.full(1, 0.03) * u.deg)
    two = make_candidates(SkyCoord([other_side]), [0.9], np.full(1, 0.03) * u.deg)
    empty = make_candidates(point.reshape(1)[:0], [], np.empty(0) * u.deg)
    third = next(tile for tile in range(48) if tile not in (5, other))
    lists = {
        5: classified(one, "PSR", []),
        other: classified(two, "AGN", ["b"]),
        third: classified(empty, "AGN", ["a"]),
    }
    merged = merge_tiles(lists, tiles, smallest_error=0.01)
    assert merged.table["source_class"].tolist() == ["AGN", "PSR"]
    assert merged.table["prob_psr"].tolist() == [0, 1]
    assert merged.table["real_prob"].tolist() == [0.9, 0.9]
    assert merged.meta["classes"] == {"model": "stub", "outside_training": ["a", "b"]}


def test_merge_by_error_circle_and_score():
    tiles = SkyTiles(2, margin=4)
    point, other, (own_side, other_side) = border_of(tiles, 5)

    def merged(*lists):
        lists = {
            tile: make_candidates(SkyCoord(p) if p else point.reshape(1)[:0], s, np.full(len(s), e) * u.deg)
            for tile, p, s, e in lists
        }
        return merge_tiles(lists, tiles, smallest_error=0.01)

    # Each tile sees the source in the core of the other: it is there once, with the higher score
    both = merged((5, [other_side], [0.7], 0.2), (other, [own_side], [0.9], 0.2))
    assert both.table["score"].tolist() == [0.9]
    assert both.positions[0].separation(own_side) < 1 * u.arcsec
    # Error circles that do not agree: two sources
    two = merged((5, [own_side], [0.7], 0.03), (other, [other_side], [0.9], 0.03))
    assert two.table["score"].tolist() == [0.9, 0.7]
    # Two sources of one tile stay two, however near
    pair = merged((5, [own_side, own_side], [0.7, 0.6], 0.2), (other, [], [], 0.1))
    assert pair.table["score"].tolist() == [0.7, 0.6]
    assert len(set(pair.table["name"])) == 2
    # What lies beyond the core by more than its error belongs to the other tile
    nothing = merged((5, [other_side], [0.7], 0.01), (other, [], [], 0.1))
    assert len(nothing) == 0
    assert nothing.table.colnames == pair.table.colnames


@pytest.mark.usefixtures("stubs")
@pytest.mark.parametrize("kind", GEOMS)
def test_survey_finds_each_source_once(kind):
    dataset, truth = make_sky(GEOMS[kind]), sphere(1500, seed=2)
    # Pixels at the rim of a projection whose centre is outside of the sky hold no data
    centres = Map.from_geom(GEOMS[kind], data=np.isfinite(GEOMS[kind].get_coord()[0]).astype(float))
    truth = truth[centres.get_by_coord({"skycoord": truth}) > 0]
    assert len(truth) > 1350
    found = make_survey(StubDetector(truth)).run(dataset)
    assert_each_once(found, truth)
    assert np.all(np.diff(found.table["score"]) <= 0)
    assert found.meta["datasets"] == ["sky"]
    assert found.meta["survey"] == {"nside": 2, "margin": 4, "tiles": 48}
    assert len(set(found.table["name"])) == len(found)
    assert found.table["flux_band"].shape == (len(found), 6)


@pytest.mark.usefixtures("stubs")
def test_datasets_of_one_sky():
    """The second dataset covers what the first lacks."""
    north = make_sky(GEOMS["hpx"], "north")
    b = north.counts.geom.to_image().get_coord().skycoord.galactic.b.deg
    north.mask_safe = Map.from_geom(north.counts.geom, data=(b > 0)[None])
    south = make_sky(GEOMS["car"], "south")
    truth = sphere(300)
    found = make_survey(StubDetector(truth)).run([north, south])
    assert_each_once(found, truth)
    assert found.meta["datasets"] == ["north", "south"]
    half = make_survey(StubDetector(truth)).run(north)
    assert len(half) < 0.6 * len(found)
    assert half.table["glat"].min() > -2 * u.deg


def test_observations_apart_in_one_tile(lat_field):
    """Two pointings and a repetition of the second: what each field has alone."""
    fields = []
    for i, ra in enumerate((83, 95, 95)):
        dataset = lat_field(skydir=(ra, 22), seed=i)
        source = SkyModel(
            PowerLawSpectralModel(index=2, amplitude="4e-9 cm-2 s-1 GeV-1", reference="1 GeV"),
            PointSpatialModel(lon_0=ra * u.deg, lat_0=22.3 * u.deg, frame="icrs"),
        )
        dataset.models = [source]
        dataset.counts.data += np.random.default_rng(i).poisson(dataset.npred_signal().data.clip(min=0))
        dataset.models = None
        fields.append(dataset.copy(name=f"pointing {i}"))
    survey = DLSkySurvey(nside=2, margin=4)
    found = survey.run(fields)
    with pytest.raises(ValueError, match="do not overlap"):
        survey.detector.run(fields)
    for places, own in ((83, fields[:1]), (95, fields[1:])):
        alone = survey.detector.run(own)
        near = found.positions.separation(SkyCoord(places, 22, unit="deg")) < 6 * u.deg
        np.testing.assert_allclose(found.table["score"][near], alone.table["score"], atol=1e-5)
        np.testing.assert_allclose(found.table["ra"][near].value, alone.table["ra"].value, atol=1e-5)
    cutters = [TileCutter(dataset) for dataset in fields]
    assert max(len(cut_tile(cutters, survey.tiles, tile)) for tile in range(len(survey.tiles))) == 3


def run_and_kill(survey, dataset, tile, delay):
    """Run in a process that a signal kills after a delay in seconds from the start of a tile."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    detector_run = survey.detector.run

    def run(datasets):
        if survey.detector.calls == tile:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, delay)
        return detector_run(datasets)

    survey.detector.run = run
    try:
        survey.run(dataset)
    finally:
        os._exit(0)


@pytest.mark.usefixtures("stubs")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes of Unix")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_killed_survey_goes_on(tmp_path):
    dataset, truth = make_sky(GEOMS["hpx"]), sphere(1000)
    whole = make_survey(StubDetector(truth)).run(dataset)
    rng = np.random.default_rng(1)
    folder, killed, done = tmp_path / "tiles", 0, 0
    for _ in range(10):
        survey = make_survey(StubDetector(truth), folder=folder)
        code = run_and_kill(survey, dataset, int(rng.integers(0, 5)), rng.uniform(1e-4, 0.03))
        killed += code == -signal.SIGALRM
        before, done = done, len(list(folder.glob("tile_*.fits")))
        assert done >= before
    assert killed >= 8
    assert 0 < done < 48
    detector = StubDetector(truth)
    resumed = make_survey(detector, folder=folder).run(dataset)
    assert detector.calls == 48 - done
    assert_equal(resumed, whole)
    # All tiles are there: nothing is left to do
    detector = StubDetector(truth)
    assert_equal(make_survey(detector, folder=folder).run(dataset), whole)
    assert detector.calls == 0


@pytest.mark.usefixtures("stubs")
def test_finished_tiles_in_any_order(tmp_path):
    """Parallel processes finish a later tile before an earlier one."""
    dataset, truth = make_sky(GEOMS["hpx"]), sphere(300)
    whole = make_survey(StubDetector(truth), folder=tmp_path).run(dataset)
    for tile in (0, 1, 30):
        (tmp_path / f"tile_{tile:04d}.fits").unlink()
    assert_equal(make_survey(StubDetector(truth), folder=tmp_path).run(dataset), whole)


@pytest.mark.usefixtures("stubs")
def test_folder_of_another_survey(tmp_path):
    dataset, truth = make_sky(GEOMS["hpx"]), sphere(50)
    make_survey(StubDetector(truth), folder=tmp_path).run(dataset)
    other = make_sky(GEOMS["hpx"])
    other.counts.data[0, 17] += 1
    for survey, data in (
        (make_survey(StubDetector(truth, threshold=0.6), folder=tmp_path), dataset),
        (make_survey(StubDetector(truth), folder=tmp_path, margin=5), dataset),
        (make_survey(StubDetector(truth), folder=tmp_path), other),
    ):
        with pytest.raises(ValueError, match="holds a survey of other data or with another configuration"):
            survey.run(data)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_survey_of_networks_in_parallel():
    """Two processes of one thread find what one finds."""
    n_threads = torch.get_num_threads()
    rng = np.random.default_rng(0)
    image = WcsGeom.create(skydir=(120, 0), width=(9, 6), binsz=0.15, proj="CAR", frame="galactic")
    dataset = simulate_sky(image, draw_sky(rng), analytic_emission(0), energy_edges=(1, 7, 20, 200), rng=rng)
    detector, fluxes = DLSourceDetector(), DLFluxEstimator()
    assert DLSkySurvey in ESTIMATOR_REGISTRY
    torch.set_num_threads(1)
    one = DLSkySurvey(detector, fluxes, nside=4, margin=3).run(dataset)
    torch.set_num_threads(n_threads)
    two = DLSkySurvey(detector, fluxes, nside=4, margin=3, n_jobs=2, parallel_backend="multiprocessing").run(
        dataset
    )
    assert one.meta["survey"]["tiles"] > 2
    assert len(one) > 5
    assert_equal(one, two)
    assert "nside            : 4" in str(DLSkySurvey(detector, fluxes, nside=4))


class StubFits:
    """Fits whose test statistic is the number of neighbours, and whose flux tells the dataset."""

    options = SimpleNamespace(width=4 * u.deg)
    config_parameters = {"width": "4 deg", "n_jobs": 1}

    def __init__(self):
        self.calls = 0

    def run(self, datasets, candidates, neighbours):
        self.calls += 1
        # Gammapy's predictions need both on the same pixels
        assert datasets[0].exposure.geom.to_image() == datasets[0].counts.geom.to_image()
        assert set(candidates.table["name"]) <= set(neighbours.table["name"])
        image = datasets[0].counts.geom.to_image()
        # The region of each fit lies in the tile
        for place in candidates.positions:
            around = place.directional_offset_by(np.arange(0, 360, 45) * u.deg, 2 * u.deg)
            assert image.contains(around).all()
        n = len(candidates)
        rows = [{"ts": len(neighbours), "fit_ra": ra} for ra in candidates.table["ra"].value]
        return candidates.with_columns(fit_columns(rows), np.full(n, 32), {"fit": {"program": "stub"}})


def test_fits_of_the_whole_sky(tmp_path):
    dataset, truth = make_sky(GEOMS["hpx"]), sphere(40, spacing=0)
    score = np.random.default_rng(0).uniform(0.5, 1, len(truth))
    candidates = make_candidates(truth, score)
    fits = StubFits()
    fitted = SkyFitEstimator(fits, score_min=0.7, folder=tmp_path).run(dataset, candidates)
    # In the order of the candidates, those of low scores as they were
    np.testing.assert_array_equal(fitted.table["name"], candidates.table["name"])
    sure = score >= 0.7
    np.testing.assert_array_equal(fitted.table["fit_ra"][sure], candidates.table["ra"][sure])
    assert np.isnan(fitted.table["ts"][~sure]).all()
    np.testing.assert_array_equal(fitted.table["flags"], np.where(sure, 32, 0))
    assert fitted.meta["fit"] == {"program": "stub"}
    # Doubtful candidates are neighbours
    assert fitted.table["ts"][sure].max() > 1
    n_tiles = len(np.unique(SkyTiles(6, 2).owner(truth[sure])))
    assert fits.calls == n_tiles
    # A run that was interrupted goes on
    for path in sorted(tmp_path.glob("tile_*.fits"))[::3]:
        path.unlink()
    again = StubFits()
    resumed = SkyFitEstimator(again, score_min=0.7, folder=tmp_path).run(dataset, candidates)
    assert_equal(resumed, fitted)
    assert again.calls == -(-n_tiles // 3)
    with pytest.raises(ValueError, match="holds a survey of other data or with another configuration"):
        SkyFitEstimator(StubFits(), score_min=0.7, folder=tmp_path).run(dataset, candidates[1:])


def test_fit_of_a_candidate_outside_the_data():
    geom = WcsGeom.create(skydir=(30, 50), width=6, binsz=0.2, proj="TAN", frame="galactic")
    outside = SkyCoord([210], [-50], unit="deg", frame="galactic")
    fitted = SkyFitEstimator().run(make_sky(geom), make_candidates(outside, [0.9]))
    assert fitted.table["flags"].tolist() == [CandidateFlag.OUTSIDE | CandidateFlag.FIT_FAILED]
    assert np.isnan(fitted.table["ts"]).all()
    assert len(SkyFitEstimator().run(make_sky(geom), make_candidates(outside[:0], []))) == 0


def test_bad_input():
    survey = make_survey(StubDetector(sphere(10)))
    with pytest.raises(TypeError, match="Expected a MapDataset"):
        survey.run([3])
    dataset = make_sky(GEOMS["hpx"])
    dataset.exposure = None
    with pytest.raises(ValueError, match="has no exposure"):
        survey.run(dataset)


@pytest.mark.parametrize("nest", [False, True])
@pytest.mark.parametrize("region", [None, "DISK(83,22,8)"])
def test_tiles_of_healpix(lat_field, nest, region):
    """Each pixel keeps its counts, also in a map of a part of the sky."""
    geom = HpxGeom.create(nside=32, nest=nest, frame="icrs", region=region)
    dataset = lat_field(geom, level=0.05)
    centre = SkyCoord(88, 25, unit="deg")
    (part,) = TileCutter(dataset).cut(centre, 6)
    near = geom.get_coord().skycoord.separation(centre).deg < 6
    valid = part.mask_safe.data
    assert valid[0].sum() == near.sum()
    for name in ("counts", "background"):
        own, whole = getattr(part, name), getattr(dataset, name)
        coords = own.geom.get_coord()
        truth = np.nan_to_num(whole.get_by_coord(coords)).reshape(own.data.shape)
        np.testing.assert_array_equal(own.data, truth)
        assert own.data[valid].sum() == pytest.approx(whole.data[:, near].sum())
