# Licensed under a 3-clause BSD style license - see LICENSE
import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from gammapy.datasets import MapDataset
from gammapy.maps import Map, MapAxis, WcsGeom

from gammapy_asid.catalog.candidates import Candidates
from gammapy_asid.plots import plot_field, plot_score_map, plot_training_history

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


def test_plot_field(candidates):
    axis = MapAxis.from_energy_edges([0.3, 1, 10] * u.GeV)
    geom = WcsGeom.create(skydir=CENTER, npix=(40, 30), binsz=0.1, frame="galactic", axes=[axis])
    counts = Map.from_geom(geom, data=np.random.default_rng(0).poisson(1, geom.data_shape).astype(float))
    before = counts.data.copy()
    ax = plot_field(candidates, MapDataset(counts=counts), catalog=CENTER.reshape(1))
    rings = ax.collections[-1]
    # From yellow at the threshold to red at one
    assert rings.get_edgecolors()[:, 1] == pytest.approx([0.8, 0.0], abs=0.01)
    assert [text.get_text() for text in ax.texts] == [
        n.removeprefix("ASID ") for n in candidates.table["name"]
    ]
    assert np.array_equal(counts.data, before)
    ax.figure.canvas.draw()
    assert ax.images[0].get_array().shape == (30, 40)


def test_plot_score_map(candidates):
    assert plot_score_map(candidates).images[0].get_clim() == (0, 1)
    assert len(plot_field(candidates).collections) == 1
    with pytest.raises(ValueError, match="no map 'score'"):
        plot_score_map(Candidates(candidates.table))


def test_plot_empty(candidates):
    ax = plot_field(candidates[:0])
    ax.figure.canvas.draw()
    assert not ax.texts and len(ax.collections[-1].get_offsets()) == 0


def test_plot_training_history(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,loss,recall95_background\n0,2.0,0.1\n1,1.0,0.3\n")
    loss, validation = plot_training_history(path)
    assert loss.lines[0].get_ydata().tolist() == [2, 1]
    assert validation.lines[0].get_ydata().tolist() == [0.1, 0.3]
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="no training history"):
        plot_training_history(path)
