# Licensed under a 3-clause BSD style license - see LICENSE
import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from gammapy.modeling.models import Models

from gammapy_asid.simulation.plane import PLANE_CLASSES, draw_plane, fit_plane
from gammapy_asid.simulation.pointings import PATTERNS, draw_pointings, read_pointings
from gammapy_asid.simulation.shapes import SHAPES


def test_draw_plane():
    sources = draw_plane(np.random.default_rng(0), scale=3.0)
    flux = sources.catalog.flux(1e3, 1e5)
    number = sum(entry.population.number for entry in PLANE_CLASSES)
    assert abs(len(sources) - 3 * number) < 5 * np.sqrt(3 * number)
    assert flux.min() > 2.9e-15
    assert np.mean(np.abs(sources.catalog.lat) < 1) > 0.25
    points = sources.shape == 0
    assert np.all(sources.width[points] == 0)
    assert np.all(sources.width[~points] > 0)
    # Bright sources are larger.
    disks = sources.shape == SHAPES.index("disk")
    bright = flux > 1e-13
    assert np.median(sources.size[disks & bright]) > np.median(sources.size[disks & ~bright])
    again = draw_plane(np.random.default_rng(0), scale=3.0)
    np.testing.assert_array_equal(again.size, sources.size)


def plane_models(sources):
    """Gammapy models of drawn sources."""
    from gammapy.modeling.models import (
        DiskSpatialModel,
        GaussianSpatialModel,
        PointSpatialModel,
        ShellSpatialModel,
    )

    models = sources.catalog.to_models()
    for model, kind, size in zip(models, sources.shape, sources.size, strict=True):
        position = {
            "lon_0": model.spatial_model.lon_0.quantity,
            "lat_0": model.spatial_model.lat_0.quantity,
            "frame": "galactic",
        }
        size = size * u.deg
        model.spatial_model = (
            lambda p, s: PointSpatialModel(**p),
            lambda p, s: GaussianSpatialModel(sigma=s, **p),
            lambda p, s: DiskSpatialModel(r_0=s, **p),
            lambda p, s: ShellSpatialModel(radius=0.8 * s, width=0.2 * s, **p),
        )[kind](position, size)
    return models


def test_fit_plane_recovers_what_was_drawn():
    sources = draw_plane(np.random.default_rng(1), scale=0.6)
    classes = fit_plane(plane_models(sources))
    for fitted, drawn in zip(classes, PLANE_CLASSES, strict=True):
        expected = 0.6 * drawn.population.number
        assert abs(fitted.population.number - expected) < 4 * np.sqrt(expected)
        assert fitted.shape == drawn.shape
    disk, truth = classes[2], PLANE_CLASSES[2]
    np.testing.assert_allclose(disk.log_size, truth.log_size, atol=0.15)
    assert disk.population.shape_mean[0] == pytest.approx(truth.population.shape_mean[0], abs=0.2)
    middle = np.array([1e-14, 1e-13])
    ratio = disk.population.number_above(middle) / truth.population.number_above(middle) / 0.6
    np.testing.assert_allclose(ratio, 1, atol=0.25)


def test_fit_plane_needs_sources():
    with pytest.raises(ValueError, match="ten are needed"):
        fit_plane(Models([]))


HEADER = "name,id,lon,lat,rad,tmin,duration,caldb,irf\n"


def test_read_pointings(tmp_path):
    path = tmp_path / "pointings.dat"
    path.write_text(
        HEADER
        + "Inner,1,-60.0,-0.9743,5,0,1800,prod,South_z40_50h\n"
        + "Inner,2,-60.0,-0.9743,5,0,600,prod,South_z20_50h\n"
        + "Outer,3,80.0, 0.9743,5,0,1800,prod,North_z20_50h\n"
    )
    table = read_pointings(path)
    assert list(table["site"]) == ["North", "South"]
    np.testing.assert_allclose(table["livetime"].to_value("s"), [1800, 2400])
    np.testing.assert_allclose(table["position"].l.deg, [80, 300])


@pytest.mark.parametrize("text, message", [("lon,lat\n1,2\n", "it has no name"), (HEADER, "it has no rows")])
def test_read_bad_pointings(tmp_path, text, message):
    path = tmp_path / "pointings.dat"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_pointings(path)
    with pytest.raises(FileNotFoundError):
        read_pointings(tmp_path / "none.dat")


@pytest.mark.parametrize("pattern", PATTERNS)
def test_draw_pointings(pattern):
    center = SkyCoord(30, 0.2, unit="deg", frame="galactic")
    position, livetime = draw_pointings(np.random.default_rng(0), center, 8.0, pattern)
    hours = livetime.to_value("h").sum()
    if pattern.kind == "wobble":
        assert len(position) == 4
        assert np.all(position.separation(center) < 1.3 * u.deg)
    else:
        assert np.all(np.abs(position.b.deg) < 1)
        hours /= 18
    assert 0.7 * pattern.hours[0] < hours < 1.4 * pattern.hours[1]
