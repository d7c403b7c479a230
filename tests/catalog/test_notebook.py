# Licensed under a 3-clause BSD style license - see LICENSE
from types import SimpleNamespace

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from gammapy.datasets import MapDataset
from gammapy.maps import Map, MapAxis
from regions import CircleSkyRegion

from gammapy_asid import Candidates, SourceClasses, SourceFluxes
from gammapy_asid.catalog import CandidateFlag, SourceCatalogASID
from gammapy_asid.catalog.extensions import SourceExtensions

FLUX = u.Unit("cm-2 s-1")
POSITIONS = SkyCoord([266.4, 267.4, 10.0], [-29.0, -28.0, 41.0], unit="deg")


@pytest.fixture
def candidates():
    axes = np.full((3, 2), 0.05) * u.deg
    maps = {"score": Map.create(skydir=POSITIONS[0], width=4, binsz=0.1)}
    meta = {"model": "lat", "threshold": 0.5, "energy_range": [1.0, 100.0]}
    return Candidates.from_positions(
        POSITIONS, [0.99, 0.7, 0.6], axes, 2 * axes, flags=[0, 1, 2], maps=maps, meta=meta
    )


@pytest.fixture
def fluxes(candidates):
    table = QTable(candidates.table[["name", "ra", "dec"]])
    table["e_min"], table["e_max"] = 1 * u.GeV, 100 * u.GeV
    bands = QTable({"flux": [[3e-9, 1e-9], [2e-9, 5e-10], [1e-9, 1e-10]] * FLUX})
    for name in ("flux_err", "flux_errn", "flux_errp"):
        bands[name] = bands["flux"] / 5
    bands["flux_ul"], bands["is_ul"] = 2 * bands["flux"], np.zeros((3, 2), bool)
    bands.meta |= {"e_min": [1, 10] * u.GeV, "e_max": [10, 100] * u.GeV, "index": np.arange(2)}
    for name in bands.colnames:
        table[name] = bands[name].sum(axis=1) if name != "is_ul" else np.zeros(3, bool)
    table["index"], table["flags"] = 2.0, np.array([0, 1, 2])
    return SourceFluxes(table, bands, {"bands": [[1, 10], [10, 100]]})


@pytest.fixture(params=["candidates", "fluxes", "classes", "extensions", "catalog"])
def sources(request, candidates, fluxes):
    names, valid, flags = list(candidates.table["name"]), np.ones(3, bool), np.array([0, 1, 2])
    if request.param == "classes":
        values = np.full((3, 5), 0.5)
        return SourceClasses.from_probabilities(names, POSITIONS, values, valid, flags, {})
    if request.param == "extensions":
        return SourceExtensions.from_predictions(names, POSITIONS, None, ~valid, flags, {}, ["C0", "C1"])
    return {"candidates": candidates, "fluxes": fluxes, "catalog": candidates.to_catalog()}[request.param]


def test_every_result_shows_itself_and_is_chosen_from(sources, candidates):
    name = candidates.names[1]
    assert "\n" not in repr(sources) and repr(sources).startswith(f"<{type(sources).__name__}: 3 ")
    assert name in str(sources) and "near edge" in str(sources)
    assert "asid-flag" in sources._repr_html_() and "°" not in repr(sources)
    assert sources.names == candidates.names and name in sources and "ASID" not in sources
    for key in (slice(1, 2), [1], np.array([False, True, False]), [name]):
        some = sources[key]
        assert type(some) is type(sources) and some.names == [name] and len(sources) == 3
    assert sources.select(name).names == [name]
    assert sources.select(without="near brighter").names == candidates.names[:2]
    assert (
        sources.select(without=CandidateFlag.NEAR_EDGE | CandidateFlag.NEAR_BRIGHTER).names
        == candidates.names[:1]
    )
    assert sources.select(without=["near edge", "NEAR_BRIGHTER"]).names == candidates.names[:1]
    assert sources.select([2, 0], ra=(200, None)).names == candidates.names[:1]
    region = CircleSkyRegion(POSITIONS[0].galactic, 2 * u.deg)
    assert sources.select(region=region).names == candidates.names[:2]
    assert len(sources[[]]) == 0 and "no rows" in str(sources[[]]) and sources[[]]._repr_html_()


def test_a_copy_shares_nothing(sources):
    other = sources.copy()
    assert type(other) is type(sources) and other.names == sources.names
    other.table["flags" if "flags" in other.table.colnames else "Flags"][0] = 8
    assert sources.own_table["flags"][0] == 0


def test_rows_by_number_and_name(sources, candidates):
    name = candidates.names[2]
    rows = sources[2], sources[-1], sources[name], sources[np.int64(2)]
    found = [row.name if isinstance(sources, SourceCatalogASID) else row["name"] for row in rows]
    assert found == [name] * 4
    with pytest.raises(KeyError, match=f"did you mean {candidates.names[0]}"):
        sources[candidates.names[0][:-1]]
    with pytest.raises(KeyError, match="see .*names"):
        sources["Crab"]
    with pytest.raises(IndexError, match="No row 3: there are 3 "):
        sources[3]


@pytest.mark.parametrize(
    "conditions, error, text",
    [
        ({"scores": (0, 1)}, ValueError, "no column of numbers 'scores', but ra, "),
        ({"name": (0, 1)}, ValueError, "no column of numbers 'name'"),
        ({"score": 0.9}, ValueError, "lowest and highest value"),
        ({"glat": (1, 2) * u.GeV}, ValueError, "glat is in deg, got a limit in GeV"),
        ({"without": "far edge"}, ValueError, "no flag 'far edge', but near edge, "),
        ({"region": "galactic"}, TypeError, "region"),
        ({"keep": [True]}, ValueError, "The mask has shape"),
        ({"keep": [0.5]}, TypeError, "their names, a mask"),
    ],
)
def test_conditions_that_can_not_be_checked(candidates, conditions, error, text):
    with pytest.raises(error, match=text):
        candidates.select(**conditions)


def test_rows_without_a_value_are_left_out(candidates, fluxes):
    some = fluxes.select(slice(None), flux=(2e-9, None))
    assert some.names == candidates.names[:2] and len(some.bands) == 2
    assert some.flux_points(candidates.names[1]).to_table()["flux"].shape == (2,)
    assert len(candidates.select(flux=(None, 1))) == 0


def test_negative_rows_count_from_the_end(fluxes):
    assert fluxes.integral(-1).flux.quantity.to_value("cm-2 s-1").item() == pytest.approx(1.1e-9)


def test_information_of_a_source(candidates, fluxes):
    source = candidates.with_fluxes(fluxes).to_catalog()[1]
    assert (
        repr(source) == f"<SourceCatalogObjectASID {source.name}: ra, dec 267.400 -28.000 deg, score 0.700>"
    )
    text = source.info()
    assert str(source) == text
    assert "RA                     : 267.4000 deg" in text
    assert "Flux                   : (2.50 ± 0.50)e-09 1 / (s cm2)" in text
    assert "near edge" in text and CandidateFlag.NEAR_EDGE.meaning in text
    assert "*** Spectral points ***" in text and "nan" not in text
    assert "***" not in source.info("basic").replace("*** Basic info ***", "")
    with pytest.raises(ValueError, match="no part spectrum: give all, or some of basic"):
        source.info("basic,spectrum")
    assert "Flux" not in candidates.to_catalog()[0].info()


def test_every_result_is_plotted(sources, candidates):
    geom = candidates.maps["score"].geom.to_cube([MapAxis.from_energy_edges([1, 10] * u.GeV)])
    dataset = MapDataset(counts=Map.from_geom(geom, data=np.ones(geom.data_shape)), name="toy")
    ax = sources.plot(dataset)
    ax.figure.canvas.draw()
    assert ax.get_title().startswith("3 ") and ax.get_title().endswith("dataset toy, 1–10 GeV")
    marks = ax.get_legend().texts[0].get_text()
    has_score = isinstance(sources, Candidates | SourceCatalogASID)
    own = {SourceClasses: "AGN (3)"}.get(
        type(sources), "candidate, coloured by score" if has_score else "source"
    )
    assert marks == own
    # Of two inside the field
    assert {text.get_text() for text in ax.texts} == {n.removeprefix("ASID ") for n in candidates.names[:2]}
    if not isinstance(sources, Candidates):
        with pytest.raises(ValueError, match="without maps: give the dataset"):
            sources.plot()
    plt.close("all")


def test_widths_of_extended_sources_are_drawn(candidates):
    predicted = SimpleNamespace(
        probability=np.array([[0.1, 0.9]] * 3), extended=np.array([0.9, 0.2, 0.9]), size=np.full((3, 5), 0.4)
    )
    extensions = SourceExtensions.from_predictions(
        candidates.names, POSITIONS, predicted, np.ones(3, bool), np.zeros(3, int), {}, ["C0", "C1"]
    )
    ax = candidates.with_extensions(extensions).plot()
    circles = [patch for patch in ax.patches if patch.get_linestyle() == "--"]
    # 0.4 deg are four pixels
    assert [circle.get_radius() for circle in circles] == pytest.approx([4, 4], rel=1e-3)
    assert "width if extended" in [text.get_text() for text in ax.get_legend().texts]
    plt.close("all")
