# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of counts on pixels that blur them, and of the same counts on other pixels."""

import healpy
import numpy as np
import pytest
import torch
from astropy.coordinates import SkyCoord
from gammapy.maps import HpxGeom, Map, WcsGeom
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import ndtr

from gammapy_asid import DLSourceDetector
from gammapy_asid.inputs import to_band_cube
from gammapy_asid.inputs.pixel_grid import PixelGrid
from gammapy_asid.inputs.response import RAD, normalise_psf, place_error
from gammapy_asid.learning.peaks import Peaks
from gammapy_asid.simulation import MockCatalog
from gammapy_asid.simulation.all_sky import simulate_sky
from gammapy_asid.simulation.diffuse import analytic_emission
from gammapy_asid.stats import blends, elongation
from gammapy_asid.stats.blends import CLOSEST, split_blends
from gammapy_asid.tasks.detection.doubles import join_peaks

CENTRE = SkyCoord(80, 40, unit="deg", frame="galactic")
SOURCE = SkyCoord(80.8, 40.5, unit="deg", frame="galactic")


@pytest.fixture(scope="module")
def detector():
    return DLSourceDetector("lat")


def bright_source(image):
    """Field with one source of 3e-8 cm-2 s-1 in 1-100 GeV."""
    zero = np.zeros(1)
    source = MockCatalog(
        lon=zero + SOURCE.l.deg,
        lat=zero + SOURCE.b.deg,
        source_class=np.array(["bll"]),
        amplitude=zero + 3.6e-8,
        reference=zero + 1,
        index=zero + 2.2,
        beta=zero,
        lambda_=zero,
        alpha=zero + 1,
    )
    return simulate_sky(image, source, analytic_emission(0), rng=np.random.default_rng(2))


@pytest.mark.parametrize("nside", [64, 128, 256])
def test_bright_source_on_healpix(detector, nside):
    """One candidate, and the source within its stated error."""
    image = HpxGeom.create(nside=nside, frame="galactic", region="DISK(80,40,7)")
    dataset = bright_source(image)
    cube = to_band_cube(dataset, detector.bands)
    assert cube.response.native == pytest.approx(PixelGrid(image, None).spread)
    candidates = detector.run(cube)
    near = candidates.positions.separation(SOURCE).deg < 2 * cube.response.native
    assert near.sum() == 1
    row = candidates.table[near][0]
    assert candidates.positions[near][0].separation(SOURCE) < row["pos_err_95"]
    # The floor: a part of the pixel where the point spread function is narrower than it
    assert row["pos_err_68"].to_value("deg") < 0.35 * cube.response.native


def test_pixels_that_keep_the_place():
    image = WcsGeom.create(skydir=CENTRE, npix=(48, 48), binsz=0.1, proj="TAN", frame="galactic")
    response = to_band_cube(bright_source(image)).response
    assert response.native == 0
    assert_array_equal(response.place_error, 0)


@pytest.mark.parametrize("lat", [3.0, 41.0, 80.0])
def test_rhombs(lat):
    """Points in a HEALPix pixel scatter as those in the square that stands for it."""
    image = HpxGeom.create(nside=64, frame="galactic", region=f"DISK(50,{lat},1.2)")
    lonlat = image.get_coord().skycoord.spherical
    pixels = healpy.ang2pix(64, lonlat.lon.deg, lonlat.lat.deg, lonlat=True, nest=True)
    children = np.array(healpy.pix2vec(64 * 32, pixels[:, None] * 1024 + np.arange(1024), nest=True))
    variance = np.degrees(np.sqrt(children.var(axis=2).sum(axis=0).mean())) ** 2
    assert PixelGrid(image, None).spread ** 2 / 6 == pytest.approx(variance, rel=0.02)


@pytest.mark.parametrize("width", [0.1, 0.5, 1.0])
def test_place_error(width):
    """Deviation of the mean of binned counts, against a sum over places."""
    for sigma in (0.02, 0.3 * width, width):
        psf = normalise_psf(np.exp(-0.5 * (RAD / sigma) ** 2))
        place = width * np.linspace(-0.5, 0.5, 401)[:, None]
        pixel = width * np.arange(-20, 21)
        shares = ndtr((pixel + width / 2 - place) / sigma) - ndtr((pixel - width / 2 - place) / sigma)
        expected = np.std(shares @ pixel - place[:, 0])
        assert_allclose(place_error(psf, width), expected, rtol=0.06, atol=0.003 * width)


def test_peaks_closer_than_a_pixel_are_one():
    x = np.array([5.0, 7.0, 30.0, 7.5])
    score = np.array([0.9, 0.95, 0.8, 0.99])
    peaks = Peaks(np.array([0, 0, 0, 1]), x, np.full(4, 5.0), score, score, np.full(4, 0.5))
    assert_array_equal(join_peaks(peaks, 2.1 / CLOSEST).score, [0.95, 0.8, 0.99])
    assert_array_equal(join_peaks(peaks, 1.9 / CLOSEST).score, score)
    assert join_peaks(peaks, 0.0) is peaks


def test_wider_source_stays_one(fields, tables, monkeypatch):
    """A source that the point spread function is too narrow for, and longer by chance or by pixels."""
    zero = torch.zeros(1, dtype=torch.long)
    batch, _, _ = fields.pair(blends._scaled(tables, 1.12), (0.15, 0.0), seed=1, brightness=30)
    monkeypatch.setattr(elongation, "ROUND", 1.0)
    assert len(split_blends(batch, tables, zero, *fields.middle[:, None]).x) == 1
    monkeypatch.setattr(blends, "WIDTHS", ())
    monkeypatch.setattr(blends, "GAIN_SHARE", 0.0)
    assert len(split_blends(batch, tables, zero, *fields.middle[:, None]).x) == 2


def test_pair_closer_than_a_pixel_stays_one(fields, tables):
    zero = torch.zeros(1, dtype=torch.long)
    batch, _, _ = fields.pair(tables, (1.3, 0.7), seed=1)
    for native, number in ((0.0, 2), (1.0, 2), (2.5, 1)):
        assert len(split_blends(batch, tables, zero, *fields.middle[:, None], native).x) == number


@pytest.mark.parametrize("proj", ["TAN", "CAR"])
def test_shifted_field(proj):
    """Empty pixels at the left and the bottom: the same counts at the same places, other blocks."""
    image = WcsGeom.create(skydir=CENTRE, npix=(48, 44), binsz=0.1, proj=proj, frame="galactic")
    dataset = bright_source(image)
    first, second = to_band_cube(dataset), to_band_cube(dataset, shift=(3, 5))
    finest = [level == 0 for level in first.bands.levels].index(True)
    ny, nx = first.mask.shape[1:]
    moved = np.pad(second.counts[finest], 8)[8 + 5 :, 8 + 3 :][:ny, :nx]
    if proj == "TAN":
        assert_array_equal(moved, first.counts[finest])
    assert_allclose([c.sum() for c in second.counts], [c.sum() for c in first.counts])
    place = [
        Map.from_geom(c.geom, data=c.mask.any(axis=0)).geom.coord_to_pix(SOURCE) for c in (first, second)
    ]
    assert_allclose(np.subtract(place[1], place[0]).ravel(), [3, 5], atol=1e-6)


def test_average_over_shifts(detector):
    image = WcsGeom.create(skydir=CENTRE, npix=(50, 50), binsz=0.1, proj="TAN", frame="galactic")
    dataset = bright_source(image)
    averaged = DLSourceDetector("lat", shifts=2)
    one, two = detector.run(dataset), averaged.run(dataset)
    assert two.maps["score"].data.shape == one.maps["score"].data.shape
    assert two.positions.separation(SOURCE).deg.min() < 0.02
    assert not np.array_equal(two.maps["score"].data, one.maps["score"].data)
    with pytest.raises(ValueError, match="give the datasets"):
        averaged.run(to_band_cube(dataset))
    with pytest.raises(ValueError, match="number of shifts"):
        DLSourceDetector("lat", shifts=0)
    with pytest.raises(TypeError, match="number of shifts"):
        DLSourceDetector("lat", shifts=True)
    with pytest.raises(TypeError, match="refine must be True or False, got 'no'"):
        DLSourceDetector("lat", refine="no")
