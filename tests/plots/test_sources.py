# Licensed under a 3-clause BSD style license - see LICENSE
import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from astropy.time import Time
from gammapy.datasets import Datasets, MapDataset
from gammapy.maps import Map, MapAxis, WcsGeom
from numpy.testing import assert_allclose

from gammapy_asid import Candidates, SourceClasses, SourceFluxes, SourceLightCurves
from gammapy_asid.display.field_image import counts_image
from gammapy_asid.plots import plot_classified, plot_light_curve, plot_light_curves

CENTER = SkyCoord(10, 5, unit="deg", frame="galactic")
FLUX = u.Unit("cm-2 s-1")


@pytest.fixture
def candidates():
    positions = CENTER.directional_offset_by([0, 90, 180] * u.deg, [0, 1, 9] * u.deg)
    axes = np.full((3, 2), 0.05) * u.deg
    return Candidates.from_positions(positions, [0.6, 1.0, 0.9], axes, 2 * axes)


@pytest.fixture
def datasets():
    axis = MapAxis.from_energy_edges([0.3, 1, 10] * u.GeV)
    geom = WcsGeom.create(skydir=CENTER, npix=(40, 30), binsz=0.1, frame="galactic", axes=[axis])
    rng = np.random.default_rng(0)
    counts = [Map.from_geom(geom, data=rng.poisson(1, geom.data_shape).astype(float)) for _ in range(2)]
    return Datasets([MapDataset(counts=own, name=f"year-{i}") for i, own in enumerate(counts)])


@pytest.fixture
def light_curves(candidates):
    flux = np.array([[1, 3, 2, 2], [4, 4, 4, 4], [np.nan] * 4]) * 1e-9 * FLUX
    error = np.full((3, 4), 5e-10) * FLUX
    error[2] = np.nan * FLUX
    table = QTable(candidates.table[["name", "ra", "dec"]])
    table["e_min"], table["e_max"], table["index"] = 1 * u.GeV, 100 * u.GeV, 2.2
    table["flux"], table["flux_ul"] = flux, flux + 2 * error
    for name in ("flux_err", "flux_errn", "flux_errp"):
        table[name] = error
    table["is_ul"] = flux.value < 1.5e-9
    start = Time("2010-01-01") + np.arange(4) * u.yr
    return SourceLightCurves(table, start, start + 1 * u.yr, {})


def classified(candidates):
    values = np.array([[0.7, 0.2, 0.1, 0.6, 0.95], [0.1, 0.8, 0.1, 0.5, 0.9]])
    valid = np.array([True, True, False])
    names = list(candidates.table["name"])
    classes = SourceClasses.from_probabilities(
        names, candidates.positions, values, valid, np.zeros(3, int), {}
    )
    bands = QTable({"flux": [[3e-9, 1e-9]] * 3 * FLUX})
    for name in ("flux_err", "flux_errn", "flux_errp"):
        bands[name] = bands["flux"] / 5
    bands["flux_ul"], bands["is_ul"] = 2 * bands["flux"], np.zeros((3, 2), bool)
    bands.meta |= {"e_min": [1, 10] * u.GeV, "e_max": [10, 100] * u.GeV, "index": np.arange(2)}
    table = QTable(candidates.table[["name", "ra", "dec"]])
    table["e_min"], table["e_max"] = 1 * u.GeV, 100 * u.GeV
    for name in bands.colnames:
        table[name] = bands[name].sum(axis=1) if name != "is_ul" else np.zeros(3, bool)
    table["index"], table["flags"] = 2.0, np.zeros(3, int)
    fluxes = SourceFluxes(table, bands, {"bands": [[1, 10], [10, 100]]})
    return candidates.with_fluxes(fluxes).with_classes(classes)


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_plot_classified(candidates, datasets, light_curves):
    before = [dataset.counts.data.copy() for dataset in datasets]
    curves = light_curves.flux_points(0), None, None
    figure = plot_classified(classified(candidates), datasets, curves)
    figure.canvas.draw()
    assert len(figure.axes) == 12
    sky, spectrum, curve, bars = figure.axes[:4]
    assert sky.get_title() == candidates.table["name"][0].removeprefix("ASID ")
    # One point for a band, and the line of the spectrum, in erg cm-2 s-1
    assert spectrum.get_legend().get_texts()[0].get_text() == "log-parabola, common for AGN"
    line = next(line for line in spectrum.lines if line.get_label().startswith("log-parabola"))
    energy, values = line.get_data()
    model = classified(candidates).to_models()[0].spectral_model
    expected = (model(10 * u.GeV) * (10 * u.GeV) ** 2).to_value("erg cm-2 s-1")
    assert np.interp(10, energy, values) == pytest.approx(expected, rel=0.01)
    assert "variability index 8.0 in 4 bins" in curve.get_title()
    assert bars.get_title() == "AGN"
    labels = [text.get_text() for text in bars.get_yticklabels()]
    assert labels == ["real", "AGN", "PSR", "PWN-SNR", "FSRQ, if AGN"]
    assert_allclose([bar.get_width() for bar in bars.patches], [0.95, 0.7, 0.2, 0.1, 0.6])
    assert [bar.get_alpha() for bar in bars.patches] == [1] * 5
    assert [bar.get_alpha() for bar in figure.axes[7].patches] == [1, 1, 1, 1, 0.3]
    # What there is not is said
    assert texts(figure.axes[6]) == ["No light curve"]
    assert figure.axes[5].get_legend().get_texts()[0].get_text() == "exponential cutoff, common for PSR"
    assert texts(figure.axes[8]) == ["No image of the sky"]
    assert texts(figure.axes[11]) == ["No class"]
    assert all((own.counts.data == old).all() for own, old in zip(datasets, before, strict=True))


def test_plot_bare_candidates(candidates):
    figure = plot_classified(candidates[:1])
    said = ["No image of the sky", "No fluxes in bands", "No light curve", "No class"]
    assert [text for ax in figure.axes for text in texts(ax)] == said
    figure.canvas.draw()


def test_one_candidate_without_neighbours(candidates, datasets):
    figure = plot_classified(classified(candidates)[:1], datasets)
    figure.canvas.draw()
    (crosses,) = [line for line in figure.axes[0].lines if line.get_marker() == "+"]
    assert len(crosses.get_xdata()) == 0


def test_light_curves_by_name(candidates, light_curves):
    # In another order, of more sources
    figure = plot_classified(candidates[1:2], light_curves=light_curves)
    assert "variability index 0.0 in 4 bins" in figure.axes[2].get_title()
    name = str(candidates.table["name"][0])
    figure = plot_classified(candidates[:2], light_curves={name: light_curves.flux_points(0)})
    assert texts(figure.axes[6]) == ["No light curve"]


def test_plot_light_curve(light_curves):
    ax = plot_light_curve(light_curves.flux_points(0), plt.subplots()[1])
    ax.figure.canvas.draw()
    assert ax.get_title() == "1–100 GeV, variability index 8.0 in 4 bins"
    # Mean of the four, and its error
    (band,) = ax.patches
    corners = band.get_extents().transformed(ax.transData.inverted())
    assert_allclose([corners.y0, corners.y1], [1.75e-9, 2.25e-9], rtol=1e-6)
    assert ax.get_ylim()[0] == 0 and ax.get_yscale() == "linear"
    plt.close("all")


def test_plot_light_curves(candidates, light_curves):
    name = str(candidates.table["name"][1])
    figure = plot_light_curves(light_curves, [name])
    assert [ax.get_title() for ax in figure.axes] == [f"{name}   1–100 GeV, variability index 0.0 in 4 bins"]
    # A name alone is that of one source
    (ax,) = plot_light_curves(light_curves, name).axes
    assert ax.get_title().startswith(name)
    figure = plot_light_curves([light_curves.flux_points(i) for i in range(3)])
    figure.canvas.draw()
    assert figure.axes[2].get_title() == "1–100 GeV"
    assert texts(figure.axes[2]) == ["No flux in any bin: outside the valid data"]
    assert [text.get_text() for text in figure.legends[0].texts][1] == "95 % upper limit"


def test_bad_input(candidates, datasets, light_curves):
    with pytest.raises(ValueError, match="0 candidates"):
        plot_classified(candidates[:0])
    with pytest.raises(ValueError, match="1 light curves for 3 candidates"):
        plot_classified(candidates, light_curves=[None])
    with pytest.raises(ValueError, match="0 light curves"):
        plot_light_curves([])
    with pytest.raises(ValueError, match="time axis"):
        plot_light_curve(classified(candidates).to_catalog()[0].flux_points, plt.subplots()[1])
    plt.close("all")


def test_counts_of_all_time_bins_are_drawn(candidates, datasets):
    other = datasets[0].copy(name="other").cutout(CENTER, 1 * u.deg)
    image = counts_image([*datasets, other])
    total = sum(dataset.counts.data[1].sum() for dataset in datasets)
    # What the smoothing carries over the edge is lost
    assert image.data.sum() == pytest.approx(total, rel=0.03)
