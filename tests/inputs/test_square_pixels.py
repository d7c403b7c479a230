# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of datasets brought to square pixels."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from gammapy.datasets import MapDataset
from gammapy.irf import EDispKernelMap, PSFMap
from gammapy.maps import HpxGeom, Map, MapAxis, WcsGeom
from gammapy.modeling.models import PointSpatialModel, PowerLawSpectralModel, SkyModel

from gammapy_asid.inputs.pixel_grid import PixelGrid
from gammapy_asid.inputs.square_pixels import on_square_pixels
from gammapy_asid.survey import TileCutter

#: At the border of maps of the whole sky, and in a distorted part of a projection.
BORDER, SIDE = SkyCoord([178, 110], [35, 40], unit="deg", frame="galactic")
CENTRES = {"hpx": BORDER, "car": BORDER, "ait": SIDE}
SIGMA = 0.4
#: Background per deg2 and energy bin: so low that no counts are no surprise.
LEVEL = 3e-4
GEOMS = {
    "hpx": HpxGeom.create(nside=128, frame="galactic"),
    "car": WcsGeom.create(binsz=0.5, proj="CAR", frame="galactic"),
    "ait": WcsGeom.create(binsz=0.5, proj="AIT", frame="galactic"),
}


def make_sky(geom, centre=BORDER, n_photons=4000):
    """Whole sky with one bright source; its photons are the only counts, a flat background is stated."""
    axis = MapAxis.from_energy_bounds("10 GeV", "1000 GeV", nbin=2)
    true = MapAxis.from_energy_bounds("10 GeV", "1000 GeV", nbin=4, name="energy_true")
    counts = Map.from_geom(geom.to_cube([axis]))
    rng = np.random.default_rng(0)
    offset = SIGMA * np.sqrt(-2 * np.log(rng.random(n_photons))) * u.deg
    photons = centre.directional_offset_by(rng.uniform(0, 360, n_photons) * u.deg, offset)
    counts.fill_by_coord({"skycoord": photons, "energy": np.full(n_photons, 30) * u.GeV})
    solid = np.nan_to_num(geom.solid_angle().to_value("deg2"))
    coarse = WcsGeom.create(binsz=5, proj="CAR", frame="galactic", axes=[true])
    rad = MapAxis.from_bounds(0, 5, 200, unit="deg", name="rad")
    return MapDataset(
        counts=counts,
        background=Map.from_geom(counts.geom, data=np.broadcast_to(LEVEL * solid, counts.data.shape)),
        exposure=Map.from_geom(coarse, data=2e7, unit="m2 s"),
        psf=PSFMap.from_gauss(true, rad_axis=rad, sigma=SIGMA * u.deg),
        edisp=EDispKernelMap.from_diagonal_response(axis, true),
        name="sky",
    )


def cut(dataset, centre=BORDER, radius=8):
    return TileCutter(dataset).cut(centre, radius)


@pytest.mark.parametrize("kind", GEOMS)
def test_square_pixels(kind):
    centre = CENTRES[kind]
    parts = cut(make_sky(GEOMS[kind], centre), centre)
    # The circle crosses the border of the map at a longitude of 180 deg
    assert len(parts) == (2 if kind == "car" else 1)
    before = [part.counts.data.copy() for part in parts]
    regular = on_square_pixels(parts)
    for part, counts in zip(parts, before, strict=True):
        np.testing.assert_array_equal(part.counts.data, counts)
    image = regular.counts.geom.to_image()
    assert PixelGrid(image, None).is_square
    np.testing.assert_array_equal(regular.counts.data.reshape(2, -1).sum(axis=1), [4000, 0])
    np.testing.assert_array_equal(regular.counts.data, np.rint(regular.counts.data))
    total = sum(part.background.data[part.mask_safe.data].sum() for part in parts)
    assert regular.background.data.sum() == pytest.approx(total, rel=1e-6)
    # A flat background stays flat where the data are complete
    valid = regular.mask_safe.data[0]
    density = regular.background.data[0] / image.solid_angle().to_value("deg2")
    np.testing.assert_allclose(density[valid], LEVEL, rtol=0.06)
    assert density[valid].mean() == pytest.approx(LEVEL, rel=0.005)
    inside = image.separation(centre).deg < 7
    assert valid[inside].all()
    assert not valid[image.separation(centre).deg > 9].any()
    # Exposure of the same position and unit
    exposure = regular.exposure.get_by_coord({"skycoord": centre, "energy_true": 100 * u.GeV})
    assert (exposure * regular.exposure.unit).to_value("m2 s") == pytest.approx(2e7, rel=1e-5)
    assert regular.name == "sky"


@pytest.mark.parametrize("kind", GEOMS)
def test_place_and_width_of_a_source(kind):
    """Photons keep their place, and the point spread function has the width that they have."""
    centre = CENTRES[kind]
    regular = on_square_pixels(cut(make_sky(GEOMS[kind], centre, n_photons=40_000), centre))
    image = regular.counts.geom.to_image()
    sky = image.get_coord().skycoord.transform_to("galactic")
    east, north = (offset.to_value("deg") for offset in centre.spherical_offsets_to(sky))
    weight = regular.counts.data[0]
    mean = [np.average(offset, weights=weight) for offset in (east, north)]
    assert np.hypot(*mean) < 0.03
    variance = np.average((east - mean[0]) ** 2 + (north - mean[1]) ** 2, weights=weight) / 2
    psf = regular.psf.psf_map
    rad = psf.geom.axes["rad"].center.to_value("deg")
    profile = psf.data[0, :, 0, 0] * rad * np.gradient(rad)
    stated = np.average(rad**2, weights=profile) / 2
    # The photons were also put into the pixels of the sky and into those of the image
    assert stated > SIGMA**2
    pixels = np.mean(regular.counts.geom.pixel_scales.to_value("deg")) ** 2 / 12
    assert stated + pixels == pytest.approx(variance, rel=0.06)


def test_seeds():
    parts = cut(make_sky(GEOMS["ait"]))
    one, same, other = (on_square_pixels(parts, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.counts.data, same.counts.data)
    assert not np.array_equal(one.counts.data, other.counts.data)


def test_masks_and_models():
    dataset = make_sky(GEOMS["hpx"])
    source = SkyModel(PowerLawSpectralModel(), PointSpatialModel.from_position(BORDER), name="source")
    dataset.models = [source]
    sky = dataset.counts.geom.to_image().get_coord().skycoord
    near = sky.separation(BORDER).deg < 1
    dataset.mask_fit = Map.from_geom(dataset.counts.geom, data=np.broadcast_to(~near, (2, near.size)))
    regular = on_square_pixels(cut(dataset))
    assert regular.models.names == ["source"]
    separation = regular.counts.geom.to_image().separation(BORDER).deg
    assert not regular.mask.data[0][separation < 0.5].any()
    assert regular.mask.data[0][(separation > 2) & (separation < 7)].all()
    assert regular.counts.data[0][separation < 0.5].sum() == 0
    assert regular.counts.data.sum() == dataset.counts.data[0][~near].sum()


def test_square_pixels_stay():
    geom = WcsGeom.create(skydir=BORDER, width=8, binsz=0.2, proj="TAN", frame="galactic")
    dataset = make_sky(geom)
    regular = on_square_pixels([dataset])
    assert regular.counts.geom == dataset.counts.geom
    np.testing.assert_array_equal(regular.counts.data, dataset.counts.data)
    np.testing.assert_allclose(regular.background.data, dataset.background.data)
    assert regular.psf is dataset.psf
    # The exposure has come to the pixels of the counts, as Gammapy's predictions need it
    assert regular.exposure.geom.to_image() == geom.to_image()
    source = SkyModel(PowerLawSpectralModel(), PointSpatialModel.from_position(BORDER), name="source")
    regular.models = [source]
    expected = source.spectral_model.integral(10 * u.GeV, 1 * u.TeV) * 2e7 * u.Unit("m2 s")
    assert regular.npred_signal().data.sum() == pytest.approx(expected.to_value(""), rel=0.03)
    assert on_square_pixels([regular]) is regular


def test_dataset_without_mask():
    geom = HpxGeom.create(nside=64, frame="galactic", region="DISK(178,35,6)")
    dataset = make_sky(geom)
    assert dataset.mask is None
    assert on_square_pixels([dataset]).counts.data.sum() == dataset.counts.data.sum()
