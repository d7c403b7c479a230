# Licensed under a 3-clause BSD style license - see LICENSE
import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from gammapy.datasets import MapDataset
from gammapy.maps import HpxGeom, Map, MapAxis, WcsGeom
from matplotlib.colors import Normalize
from matplotlib.text import Text

from gammapy_asid.catalog.candidates import Candidates
from gammapy_asid.display.field import SIGNIFICANCES, _apart
from gammapy_asid.display.field_image import field_image, image_of_maps
from gammapy_asid.display.labels import place_labels
from gammapy_asid.plots import plot_field, plot_score_map

CENTER = SkyCoord(10, 5, unit="deg", frame="galactic")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def candidates():
    positions = CENTER.directional_offset_by([0, 90] * u.deg, [0, 1] * u.deg)
    score = Map.create(skydir=CENTER, npix=(40, 30), binsz=0.1, frame="galactic")
    maps, meta = {"score": score}, {"threshold": 0.5}
    axes = [[0.05, 0.05], [0.05, 0.05]] * u.deg
    return Candidates.from_positions(positions, [0.6, 1.0], axes, 2 * axes, maps=maps, meta=meta)


def dataset(background=None, edges=(0.3, 1, 10)):
    axis = MapAxis.from_energy_edges(edges * u.GeV)
    geom = WcsGeom.create(skydir=CENTER, npix=(40, 30), binsz=0.1, frame="galactic", axes=[axis])
    counts = Map.from_geom(geom, data=np.random.default_rng(0).poisson(1, geom.data_shape).astype(float))
    if background is not None:
        background = Map.from_geom(geom, data=np.full(geom.data_shape, float(background)))
    return MapDataset(counts=counts, background=background, name="toy")


def legend(ax):
    return [text.get_text() for text in ax.get_legend().texts]


def test_a_field_says_what_it_shows(candidates):
    own = dataset(1.0)
    before = own.counts.data.copy()
    ax = plot_field(candidates, own, catalog=CENTER.reshape(1))
    assert ax.get_title() == "2 candidates, score ≥ 0.5, dataset toy, 1–10 GeV"
    assert legend(ax) == ["candidate, coloured by score", "95 % error", "known source"]
    bars = [own.get_ylabel() for own in ax.figure.axes[1:]]
    assert bars == ["Significance above the known sky, within 0.2°", "Score: probability to be real"]
    names = {name.removeprefix("ASID ") for name in candidates.table["name"]}
    assert {text.get_text() for text in ax.texts} == names
    assert np.array_equal(own.counts.data, before)
    ax.figure.canvas.draw()
    # Nothing is cut: all texts lie inside the figure
    frame = ax.figure.bbox
    for artist in (ax.title, ax.get_legend(), *ax.texts):
        box = artist.get_window_extent()
        assert box.x0 >= frame.x0 and box.x1 <= frame.x1 and box.y0 >= frame.y0 and box.y1 <= frame.y1


def test_without_a_background_counts_are_shown(candidates):
    ax = plot_field(candidates, dataset())
    assert ax.figure.axes[1].get_ylabel() == "Counts per pixel, smoothed by 0.1°"


def test_significance_is_that_of_the_counts_above_the_known_sky():
    own = dataset(1.0)
    own.counts.data[:] = 1
    flat = field_image(own)
    assert flat.kind == "significance" and flat.energy_range == (1, 10)
    # Away from the edges 1 is seen where 1 is expected
    np.testing.assert_allclose(flat.image.data[5:-5, 5:-5], 0, atol=1e-4)
    own.counts.data[1, 15, 20] += 20
    # 20 of n pixels above n: Cash statistic of n + 20 counts where n are expected
    radius = 2.0
    n = np.pi * radius**2
    expected = np.sqrt(2 * ((n + 20) * np.log((n + 20) / n) - 20))
    assert field_image(own).image.data[15, 20] == pytest.approx(expected, rel=0.05)


def test_healpix(candidates):
    axis = MapAxis.from_energy_edges([1, 10] * u.GeV)
    geom = HpxGeom.create(nside=32, axes=[axis], frame="galactic")
    own = MapDataset(counts=Map.from_geom(geom, data=np.ones(geom.data_shape)), name="sky")
    shown = field_image(own).image
    # Counts stay what they are
    assert np.nansum(shown.data) == pytest.approx(geom.data_shape[-1], rel=0.01)
    ax = plot_field(candidates, own)
    ax.figure.canvas.draw()
    assert ax.get_title().startswith("2 candidates")
    with pytest.raises(TypeError, match="Expected a MapDataset"):
        plot_field(candidates, "field.fits")


def test_masked_counts_are_not_shown():
    own = dataset(1.0)
    own.mask_safe = Map.from_geom(own.counts.geom, data=np.ones(own.counts.data.shape, bool))
    own.mask_safe.data[:, :, :10] = False
    image = field_image(own).image.data
    assert np.isnan(image[:, :10]).all() and np.isfinite(image[:, 10:]).all()


def test_maps_of_candidates_are_their_picture(candidates):
    counts, background = (Map.from_geom(candidates.maps["score"].geom) for _ in range(2))
    counts.data += 2
    background.data += 1
    maps = {"counts": counts, "background": background, "score": candidates.maps["score"]}
    own = Candidates(candidates.table, maps, {"picture_range": [1, 100]})
    ax = own.plot()
    assert ax.get_title().endswith("1–100 GeV")
    assert ax.figure.axes[1].get_ylabel().startswith("Significance")
    assert image_of_maps(counts, None, None).kind == "counts"


def test_plot_score_map(candidates):
    ax = plot_score_map(candidates)
    assert ax.images[0].get_clim() == (0, 1)
    assert ax.figure.axes[1].get_ylabel() == "Probability of a source"
    with pytest.raises(ValueError, match="no map 'score'"):
        plot_score_map(Candidates(candidates.table))
    with pytest.raises(ValueError, match="without maps: give the dataset"):
        Candidates(candidates.table).plot()


def test_plot_empty(candidates):
    ax = plot_field(candidates[:0])
    ax.figure.canvas.draw()
    assert not ax.texts and len(ax.collections[-1].get_offsets()) == 0


def test_names_of_a_crowd_in_a_field():
    rng = np.random.default_rng(3)
    angles, radii = rng.uniform(0, 360, 30) * u.deg, rng.uniform(0, 1.2, 30) * u.deg
    positions = CENTER.directional_offset_by(angles, radii)
    axes = np.full((30, 2), 0.05) * u.deg
    crowd = Candidates.from_positions(positions, rng.uniform(0.5, 1, 30), axes, 2 * axes)
    ax = plot_field(crowd, dataset(1.0), catalog=positions)
    ax.figure.canvas.draw()
    boxes = [Text.get_window_extent(text) for text in ax.texts]
    assert len(boxes) > 12
    assert not any(one.overlaps(two) for i, one in enumerate(boxes) for two in boxes[:i])


def test_names_do_not_hide_each_other_and_are_not_cut():
    ax = plt.subplots(figsize=(5, 4))[1]
    points = np.random.default_rng(1).uniform(0, 1, (40, 2))
    points[:10] = 0.99
    number = place_labels(ax, points, [f"J{i:04d}.1-0000" for i in range(40)])
    assert 15 < number <= 31
    ax.figure.canvas.draw()
    # Those of the texts, without the lines to their marks
    boxes = [Text.get_window_extent(text) for text in ax.texts]
    assert len(boxes) == number
    assert not any(one.overlaps(two) for i, one in enumerate(boxes) for two in boxes[:i])
    frame = ax.bbox.extents
    assert all(frame[0] <= box.x0 and box.x1 <= frame[2] + 1 for box in boxes)


def test_ticks_of_a_bright_field_keep_apart():
    norm = Normalize(0, 100)
    kept = _apart(SIGNIFICANCES, norm)
    assert kept == [0, 5, 10, 20, 40, 80, 160]
    assert _apart((0, 1, 2, 3, 5), Normalize(0, 5)) == [0, 1, 2, 3, 5]
