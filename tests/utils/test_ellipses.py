# Licensed under a 3-clause BSD style license - see LICENSE
import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from gammapy.maps import WcsGeom
from numpy.testing import assert_allclose

from gammapy_asid.utils.sky_geometry import RADIUS_68, RADIUS_95, ellipse_covariance, sky_ellipses


def test_containment_of_the_radii():
    radius = np.linalg.norm(np.random.default_rng(0).normal(size=(200_000, 2)), axis=1)
    assert np.mean(radius < RADIUS_68) == pytest.approx(0.68, abs=0.005)
    assert np.mean(radius < RADIUS_95) == pytest.approx(0.95, abs=0.003)


@pytest.mark.parametrize(("angle", "east", "north"), [(0, 0.1, 0.3), (90, 0.3, 0.1), (180, 0.1, 0.3)])
def test_covariance_along_the_axes(angle, east, north):
    """Angles run from north to east."""
    axes = [[0.3 * RADIUS_95], [0.1 * RADIUS_95]] * u.deg
    covariance = ellipse_covariance(*axes, [angle] * u.deg, RADIUS_95)
    assert_allclose(covariance, [[[east**2, 0], [0, north**2]]], atol=1e-12)


def test_covariance_of_a_turned_ellipse():
    covariance = ellipse_covariance([18] * u.arcmin, [6] * u.arcmin, [30] * u.deg, 1.0)
    offset = np.random.default_rng(1).multivariate_normal([0, 0], covariance[0], 200_000)
    # Along the larger axis, 30 deg from north to east, and across
    along = offset @ [np.sin(np.pi / 6), np.cos(np.pi / 6)]
    across = offset @ [np.cos(np.pi / 6), -np.sin(np.pi / 6)]
    assert along.std() == pytest.approx(0.3, rel=0.01)
    assert across.std() == pytest.approx(0.1, rel=0.01)


@pytest.mark.parametrize("proj", ["TAN", "CAR"])
@pytest.mark.parametrize("frame", ["icrs", "galactic"])
def test_ellipse_of_scattered_positions(proj, frame):
    """The ellipse on the sky is that of positions scattered in pixels."""
    centre = SkyCoord(40, 30, unit="deg", frame="icrs")
    geom = WcsGeom.create(skydir=centre, width=6, binsz=0.05, proj=proj, frame=frame)
    x, y = 40.0, 80.0
    covariance = np.array([[3.0, 1.5], [1.5, 2.0]])
    (axes,), (angle,) = sky_ellipses(geom.wcs, np.array([x]), np.array([y]), covariance[None])
    rng = np.random.default_rng(2)
    xy = np.array([x, y]) + rng.multivariate_normal([0, 0], covariance, 100_000)
    middle = geom.wcs.pixel_to_world(x, y).icrs
    east, north = middle.spherical_offsets_to(geom.wcs.pixel_to_world(*xy.T).icrs)
    scatter = np.cov(east.deg, north.deg)
    assert_allclose(
        ellipse_covariance(axes[:1], axes[1:], angle[None], 1.0)[0], scatter, rtol=0.03, atol=1e-5
    )
    assert axes[0] > axes[1]
    assert 0 <= angle.to_value("deg") < 180


def test_no_positions():
    geom = WcsGeom.create(width=1, binsz=0.1)
    axes, angle = sky_ellipses(geom.wcs, np.zeros(0), np.zeros(0), np.zeros((0, 2, 2)))
    assert axes.shape == (0, 2)
    assert angle.shape == (0,)
