# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of the conversion of datasets to the band cube."""

import os
import pickle

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from gammapy.datasets import Datasets, MapDataset
from gammapy.irf import PSFMap
from gammapy.maps import HpxGeom, Map, MapAxis, WcsGeom, WcsNDMap
from gammapy.modeling.models import FoVBackgroundModel, PointSpatialModel, PowerLawSpectralModel, SkyModel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gammapy_asid.inputs.bands import LAT_BANDS, Bands, Response, cube_from_arrays
from gammapy_asid.inputs.convert import to_band_cube
from gammapy_asid.inputs.field_pixels import FieldPixels
from gammapy_asid.inputs.pixel_grid import PixelGrid
from gammapy_asid.inputs.response import RAD, smear_psf

EDGES = (0.3, 0.5, 0.7, 1.0, 2.0, 4.0, 7.0, 20.0, 100.0, 1000.0)
#: Band of each bin of EDGES.
BAND = np.array([0, 1, 1, 2, 3, 3, 4, 5, 5])


def make_dataset(geom=None, edges=EDGES, background=True, rate=1.0, sigma=0.2, name="test", seed=0):
    """Dataset with an exposure that rises with energy and latitude."""
    axis = MapAxis.from_energy_edges(edges, unit="GeV", name="energy")
    true = MapAxis.from_energy_bounds("0.1 GeV", "2 TeV", nbin=20, name="energy_true", node_type="center")
    geom = (
        WcsGeom.create(skydir=(10, 40), binsz=0.1, width=(6, 5), frame="galactic", proj="TAN")
        if geom is None
        else geom
    )
    geom = geom.to_image()
    counts = Map.from_geom(geom.to_cube([axis]), dtype=float)
    counts.data[...] = np.random.default_rng(seed).poisson(rate, counts.data.shape)
    exposure = Map.from_geom(geom.to_cube([true]), unit="m2 s")
    lat = geom.get_coord().skycoord.galactic.b.deg
    spectrum = (true.center.to_value("GeV") ** 0.3).reshape((-1,) + (1,) * lat.ndim)
    exposure.data[...] = np.nan_to_num(1e7 * spectrum * (1 + 0.002 * lat))
    dataset = MapDataset(
        counts=counts,
        exposure=exposure,
        psf=PSFMap.from_gauss(
            true, rad_axis=MapAxis.from_bounds(0, 5, 400, unit="deg", name="rad"), sigma=sigma * u.deg
        ),
        name=name,
    )
    if background:
        dataset.background = Map.from_geom(counts.geom, data=np.full(counts.data.shape, float(rate)))
    return dataset


def expected(values, mask=None, band=BAND):
    values = values if mask is None else np.where(mask, values, 0)
    per_bin = values.reshape(len(band), -1).sum(axis=1)
    return np.array([per_bin[band == b].sum() for b in range(6)])


def sums(arrays):
    return np.array([array.sum(dtype=float) for array in arrays])


def centroid(cube):
    """Sky position of the mean of the counts in 7-20 GeV."""
    image = cube.counts[4].astype(float)
    y, x = np.indices(image.shape)
    mean = [(image * a).sum() / image.sum() for a in (x, y)]
    return SkyCoord.from_pixel(*mean, cube.geom.wcs)


def test_bands_levels_and_padding():
    dataset = make_dataset()
    cube = to_band_cube(dataset)
    assert cube.geom.data_shape == (56, 64)  # 50 x 60 padded to multiples of 8
    assert [c.shape for c in cube.counts] == [(7, 8), (14, 16), (28, 32), (56, 64), (56, 64), (56, 64)]
    np.testing.assert_array_equal(sums(cube.counts), expected(dataset.counts.data))
    np.testing.assert_allclose(sums(cube.background), expected(dataset.background.data), rtol=1e-6)
    assert cube.mask.shape == (6, 56, 64)
    assert cube.mask[:, :50, :60].all()
    assert not cube.mask[:, 50:].any()
    assert not cube.mask[:, :, 60:].any()
    np.testing.assert_array_equal(cube.counts[4][:50, :60], dataset.counts.data[6])
    block = dataset.counts.data[0, 8:16, 16:24].sum()
    assert cube.counts[0][1, 2] == block
    # one sky position, one pixel
    position = dataset.counts.geom.to_image().pix_to_coord((7.0, 31.0))
    np.testing.assert_allclose(np.ravel(cube.geom.coord_to_pix(position)), (7.0, 31.0), atol=1e-9)
    assert cube.meta["datasets"] == ["test"]
    assert cube.response.pixel_size == pytest.approx(0.1, rel=2e-3)


@pytest.mark.parametrize(
    ("binsz", "size"),
    [(0.02, 0.1), (0.05, 0.1), (0.07, 0.07 * 2), (0.08, 0.08), (0.15, 0.15), (0.2, 0.2), (0.5, 0.25)],
)
def test_pixel_sizes(binsz, size):
    geom = WcsGeom.create(skydir=(83, 22), binsz=binsz, width=(5, 5), proj="TAN")
    dataset = make_dataset(geom, rate=0.3)
    cube = to_band_cube(dataset)
    assert cube.response.pixel_size == pytest.approx(size, rel=2e-3)
    np.testing.assert_array_equal(sums(cube.counts), expected(dataset.counts.data))
    np.testing.assert_allclose(sums(cube.background), expected(dataset.background.data), rtol=1e-5)
    for counts in cube.counts:
        np.testing.assert_array_equal(counts, np.rint(counts))


def test_angles_grow_with_coarse_pixels():
    assert LAT_BANDS.for_pixels(0.2) is LAT_BANDS
    grown = LAT_BANDS.for_pixels(0.9)
    assert grown.pixel_size == pytest.approx(0.36)
    assert grown.match_radius == pytest.approx(3.6 * LAT_BANDS.match_radius)
    assert grown.same_energies(LAT_BANDS) and grown != LAT_BANDS
    geom = HpxGeom.create(nside=64, frame="icrs", region="DISK(83.6,22.0,15)")
    dataset = make_dataset(geom, rate=2)
    cube = to_band_cube(dataset)
    assert cube.bands.pixel_size == pytest.approx(0.366, rel=0.01)
    np.testing.assert_array_equal(sums(cube.counts), expected(dataset.counts.data))
    # Shared by estimators whose bands have the angles of the model
    assert to_band_cube(cube) is cube
    with pytest.raises(ValueError, match="other bands"):
        to_band_cube(cube, Bands(edges=(1.0, 10.0), levels=(0,)))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    proj=st.sampled_from(["TAN", "CAR", "AIT", "SIN", "MOL"]),
    binsz=st.floats(0.06, 0.7),
    lon=st.floats(0, 359),
    lat=st.floats(-80, 80),
    frame=st.sampled_from(["galactic", "icrs"]),
    seed=st.integers(0, 1000),
    masked=st.booleans(),
)
def test_counts_are_conserved(proj, binsz, lon, lat, frame, seed, masked):
    geom = WcsGeom.create(
        skydir=(lon, lat), binsz=binsz, width=(5 + 10 * binsz, 4 + 10 * binsz), proj=proj, frame=frame
    )
    dataset = make_dataset(geom, rate=0.5, seed=seed)
    mask = None
    if masked:
        mask = np.random.default_rng(seed).random(dataset.counts.data.shape) > 0.3
        dataset.mask_safe = Map.from_geom(dataset.counts.geom, data=mask)
    cube = to_band_cube(dataset, seed=seed)
    np.testing.assert_array_equal(sums(cube.counts), expected(dataset.counts.data, mask))
    np.testing.assert_allclose(sums(cube.background), expected(dataset.background.data, mask), rtol=1e-5)
    if not masked:
        # exposure times area is that of the native pixels, at every level
        rise = 1 + 0.002 * geom.get_coord().skycoord.galactic.b.deg
        area = np.nansum(geom.solid_angle().to_value("deg2") * rise)
        for b, exposure in enumerate(cube.exposure):
            pixel = (cube.response.pixel_size * 2 ** LAT_BANDS.levels[b]) ** 2
            mean = np.nanmean(rise)
            assert exposure.sum(dtype=float) * pixel * mean == pytest.approx(area, rel=0.03)


def test_healpix():
    axis_geom = HpxGeom.create(nside=256, frame="icrs", region="DISK(83.6,22.0,4)")
    dataset = make_dataset(axis_geom, rate=2)
    cube = to_band_cube(dataset)
    assert cube.geom.projection == "ZEA"
    np.testing.assert_array_equal(sums(cube.counts), expected(dataset.counts.data))
    np.testing.assert_allclose(sums(cube.background), expected(dataset.background.data), rtol=1e-5)
    # flat in, flat out, away from the edge
    flat = cube.background[4][30:-30, 30:-30]
    assert flat.std() / flat.mean() < 0.01


@pytest.mark.parametrize("geom", ["car60", "ait", "hpx", "oblong"])
def test_moved_sources_keep_their_place(geom):
    position = SkyCoord(120.0, 60.0, unit="deg", frame="galactic")
    geom = {
        "car60": WcsGeom.create(
            skydir=(120, 0), npix=(121, 1401), binsz=0.1, proj="CAR", frame="galactic"
        ).cutout(position, (12 * u.deg, 8 * u.deg)),
        "ait": WcsGeom.create(skydir=(0, 0), binsz=0.15, proj="AIT", frame="galactic").cutout(
            position, 8 * u.deg
        ),
        "hpx": HpxGeom.create(nside=512, frame="galactic", region="DISK(120,60,4)", nest=False),
        "oblong": WcsGeom.create(skydir=position, binsz=(0.05, 0.12), width=6, proj="TAN", frame="galactic"),
    }[geom]
    dataset = make_dataset(geom, rate=0)
    native = dataset.counts.geom.to_image()
    sky = native.get_coord().skycoord
    density = np.exp(-(sky.separation(position).deg ** 2) / 2 / 0.3**2) * native.solid_angle().value
    blob = np.random.default_rng(0).poisson(40_000 * density / density.sum())
    dataset.counts.data[6] = blob
    mean = (sky.cartesian.xyz.value * blob).reshape(3, -1).sum(axis=1)
    mean = SkyCoord(*mean, representation_type="cartesian", frame="galactic")
    cube = to_band_cube(dataset)
    assert cube.geom.projection == "ZEA"
    assert cube.counts[4].sum() == blob.sum()
    assert centroid(cube).separation(mean).deg < 0.002


def test_distorted_background_stays_smooth():
    geom = WcsGeom.create(skydir=(0, 0), npix=(160, 1401), binsz=0.1, proj="CAR", frame="galactic").cutout(
        SkyCoord(0, 50, unit="deg", frame="galactic"), (15 * u.deg, 8 * u.deg)
    )
    dataset = make_dataset(geom)
    per_area = geom.to_image().solid_angle().to_value("deg2") * 100
    dataset.background.data[...] = per_area
    cube = to_band_cube(dataset)
    assert cube.geom.projection == "ZEA"
    flat = cube.background[4][35:-35, 35:-35]
    assert flat.mean() == pytest.approx(1.0, rel=0.003)
    assert flat.std() < 0.01
    inside = cube.exposure[4][35:-35, 35:-35]
    assert inside.min() > 0.97


def test_seed_and_independence_of_global_state():
    dataset = make_dataset(WcsGeom.create(binsz=0.5, width=9, proj="TAN"))
    one, same, other = (to_band_cube(dataset, seed=seed) for seed in (3, 3, 4))
    for a, b in zip(one.counts, same.counts, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(one.counts, other.counts, strict=True))


def test_split_pixels_stay_poisson():
    dataset = make_dataset(WcsGeom.create(binsz=0.4, width=30, proj="CAR"), rate=4)
    counts = to_band_cube(dataset).counts[4][:150, :150]
    assert counts.mean() == pytest.approx(1, abs=0.03)
    assert counts.var() == pytest.approx(1, abs=0.05)


def test_asimov_counts():
    dataset = make_dataset(WcsGeom.create(binsz=0.5, width=9, proj="TAN"))
    dataset.counts.data[...] = 0.9
    np.testing.assert_allclose(to_band_cube(dataset).counts[4][:36, :36], 0.225, rtol=1e-5)


def test_masks():
    dataset = make_dataset()
    safe, fit = (
        Map.from_geom(dataset.counts.geom, data=np.ones(dataset.counts.data.shape, bool)) for _ in "12"
    )
    safe.data[:, :10] = False
    safe.data[0] = False  # all of the band 0.3-0.5 GeV
    safe.data[1] = False  # 0.5-0.7 GeV, part of a band
    fit.data[:, :, :7] = False
    fit.data[7, 30] = False  # half of a band in one row
    dataset.mask_safe, dataset.mask_fit = safe, fit
    cube = to_band_cube(dataset)
    mask = safe.data & fit.data
    np.testing.assert_array_equal(sums(cube.counts), expected(dataset.counts.data, mask))
    assert not cube.mask[0].any()
    assert np.isnan(cube.response.e_min[0])
    assert cube.response.exposure[0].sum() == 0
    assert cube.response.e_min[1] == pytest.approx(0.7)
    assert not cube.mask[4][:10].any()
    assert not cube.mask[4][:, :7].any()
    assert cube.mask[4][10:50, 7:60].all()
    assert cube.mask[5][30, 20]
    # 20-100 GeV holds most photons of the band: without it little exposure is left
    share = (100**-0.9 - 1000**-0.9) / (20**-0.9 - 1000**-0.9)
    assert cube.exposure[5][30, 20] == pytest.approx(share * cube.exposure[5][31, 20], rel=0.03)


def test_exposure():
    dataset = make_dataset()
    cube = to_band_cube(dataset)
    lat = dataset.counts.geom.to_image().get_coord().lat.to_value("deg")
    for b in (0, 3, 5):
        edges = cube.response.sub_edges[b]
        for s in range(3):
            e = np.geomspace(edges[s], edges[s + 1], 500)
            mean = np.trapezoid(e**-2.2 * e**0.3, e) / np.trapezoid(e**-2.2, e)
            truth = 1e11 * mean * np.mean(1 + 0.002 * lat)
            assert cube.response.exposure[b, s] == pytest.approx(truth, rel=0.003)
    ratio = (1 + 0.002 * lat) / np.mean(1 + 0.002 * lat)
    np.testing.assert_allclose(cube.exposure[4][:50, :60], ratio, rtol=2e-4)
    np.testing.assert_allclose(cube.exposure[0][:6, :7].mean(), ratio[:48, :56].mean(), rtol=1e-4)
    assert np.all(cube.exposure[4][50:] == 0)


def test_exposure_on_other_pixels():
    dataset = make_dataset()
    coarse = WcsGeom.create(
        skydir=(10, 40), binsz=1, width=12, frame="galactic", axes=[dataset.exposure.geom.axes[0]]
    )
    lat = coarse.to_image().get_coord().lat.to_value("deg")
    spectrum = dataset.exposure.geom.axes[0].center.to_value("GeV")[:, None, None] ** 0.3
    truth = to_band_cube(dataset)
    dataset.exposure = WcsNDMap(coarse, 1e7 * spectrum * (1 + 0.002 * lat), unit="m2 s")
    cube = to_band_cube(dataset)
    np.testing.assert_allclose(cube.response.exposure, truth.response.exposure, rtol=1e-3)
    np.testing.assert_allclose(cube.exposure[4], truth.exposure[4], rtol=1e-3)


def test_psf():
    cube = to_band_cube(make_dataset(sigma=0.2))
    radian = np.radians(RAD)
    for b in range(6):
        for s in range(3):
            psf = cube.response.psf[b, s]
            total = np.trapezoid(2 * np.pi * np.sin(radian) * psf, radian)
            assert total == pytest.approx(1, abs=1e-6)
            inner = np.trapezoid((2 * np.pi * np.sin(radian) * psf)[RAD < 0.3], radian[RAD < 0.3])
            at = RAD[RAD < 0.3][-1]
            assert inner == pytest.approx(1 - np.exp(-(at**2) / 2 / 0.04), abs=0.005)


def test_psf_of_spread_counts():
    width = 0.6
    psf = np.exp(-(RAD**2) / 2 / 0.05**2)
    smeared = smear_psf(psf[None], width)[0]
    radian = np.radians(RAD)
    variance = np.trapezoid(2 * np.pi * radian * smeared * RAD**2, radian) / 2
    assert variance == pytest.approx(0.05**2 + width**2 / 6, rel=0.02)
    coarse = to_band_cube(make_dataset(WcsGeom.create(binsz=0.6, width=12, proj="TAN")))
    fine = to_band_cube(make_dataset(WcsGeom.create(binsz=0.2, width=12, proj="TAN")))
    assert coarse.response.psf[4, 0, 0] < 0.6 * fine.response.psf[4, 0, 0]


def test_known_sky():
    dataset = make_dataset(background=False)
    assert to_band_cube(dataset).background is None
    zero = make_dataset(rate=0)
    assert to_band_cube(zero).background is None
    assert not to_band_cube(zero).has_background
    dataset = make_dataset(name="sky")
    source = SkyModel(
        PowerLawSpectralModel(index=2, amplitude="1e-8 cm-2 s-1 TeV-1"),
        PointSpatialModel(lon_0="11 deg", lat_0="40 deg", frame="galactic"),
        name="source",
    )
    bkg = FoVBackgroundModel(dataset_name="sky")
    bkg.spectral_model.norm.value = 1.3
    dataset.models = [source, bkg]
    cube = to_band_cube(dataset)
    np.testing.assert_allclose(sums(cube.background), expected(dataset.npred().data), rtol=1e-5)
    assert sums(cube.background)[4] > 1.31 * expected(dataset.background.data)[4]
    y, x = np.unravel_index(np.argmax(cube.background[4]), cube.background[4].shape)
    position = SkyCoord.from_pixel(x, y, cube.geom.wcs)
    assert position.separation(SkyCoord(11, 40, unit="deg", frame="galactic")).deg < 0.1


def test_models_without_background():
    dataset = make_dataset(background=False)
    dataset.models = [
        SkyModel(PowerLawSpectralModel(), PointSpatialModel(lon_0="10 deg", lat_0="40 deg", frame="galactic"))
    ]
    assert to_band_cube(dataset).background[4].sum() > 0


def test_dataset_is_unchanged():
    dataset = make_dataset(name="same")
    dataset.mask_safe = Map.from_geom(dataset.counts.geom, data=np.ones(dataset.counts.data.shape, bool))
    dataset.models = [
        SkyModel(
            PowerLawSpectralModel(), PointSpatialModel(lon_0="10 deg", lat_0="40 deg", frame="galactic")
        ),
        FoVBackgroundModel(dataset_name="same"),
    ]

    def state():
        maps = [dataset.counts, dataset.exposure, dataset.background, dataset.mask_safe, dataset.psf.psf_map]
        return [m.data.tobytes() for m in maps] + [
            pickle.dumps(dataset.models.to_dict()),
            dataset._background_cached,
        ]

    before = state()
    evaluators = [(e, e.needs_update, e.exposure) for e in dataset.evaluators.values()]
    to_band_cube(dataset)
    assert state() == before
    assert all(e.needs_update == n and e.exposure is x for e, n, x in evaluators)


def test_two_event_types_add():
    front, back = make_dataset(sigma=0.1, name="front"), make_dataset(sigma=0.4, name="back", seed=1)
    both = to_band_cube(Datasets([front, back]))
    one, two = to_band_cube(front), to_band_cube(back)
    np.testing.assert_array_equal(sums(both.counts), sums(one.counts) + sums(two.counts))
    np.testing.assert_allclose(both.response.exposure, one.response.exposure + two.response.exposure)
    np.testing.assert_allclose(both.exposure[4], one.exposure[4], rtol=1e-5)
    np.testing.assert_allclose(
        both.response.psf, (one.response.psf + two.response.psf) / 2, rtol=1e-4, atol=1e-3
    )
    assert both.meta["datasets"] == ["front", "back"]


def test_components_of_different_pixels_and_energies():
    coarse = make_dataset(
        WcsGeom.create(skydir=(10, 40), binsz=0.8, width=(12, 12), frame="galactic", proj="TAN"),
        edges=EDGES[:4], name="low",
    )  # fmt: skip
    fine = make_dataset(edges=EDGES[3:], name="high", seed=2)
    cube = to_band_cube(Datasets([coarse, fine]))
    counts = np.array(
        [*expected(coarse.counts.data, band=BAND[:3])[:2], *expected(fine.counts.data, band=BAND[3:])[2:]]
    )
    np.testing.assert_array_equal(sums(cube.counts), counts)
    assert cube.response.present.all()
    assert cube.response.pixel_size == pytest.approx(0.1, rel=0.01)
    assert cube.geom.contains(coarse.counts.geom.to_image().get_coord().skycoord).all()
    # the field of the fine one is in the middle of the wide one
    y, x = np.where(cube.mask[4])
    centre = SkyCoord.from_pixel(x.mean(), y.mean(), cube.geom.wcs)
    assert centre.separation(SkyCoord(10, 40, unit="deg", frame="galactic")).deg < 0.01
    assert cube.mask[0].sum() == pytest.approx(120**2, rel=0.05)


def test_part_of_a_band_in_each_dataset():
    low, high = make_dataset(edges=(2, 3.5), name="low"), make_dataset(edges=(3.5, 7), name="high")
    split, whole = to_band_cube(Datasets([low, high])), to_band_cube(make_dataset(edges=(2, 7)))
    assert (split.response.e_min[3], split.response.e_max[3]) == (pytest.approx(2), pytest.approx(7))
    np.testing.assert_allclose(split.response.exposure[3], whole.response.exposure[3], rtol=0.01)
    np.testing.assert_allclose(split.exposure[3], whole.exposure[3], rtol=0.01)


def test_background_of_one_dataset_only(caplog):
    cube = to_band_cube(Datasets([make_dataset(name="a"), make_dataset(name="b", background=False)]))
    assert cube.background is None
    assert "known sky is left out" in caplog.text


def test_absent_bands():
    cube = to_band_cube(make_dataset(edges=(10, 30, 100, 500)))
    np.testing.assert_array_equal(cube.response.present, [False] * 4 + [True] * 2)
    assert cube.response.e_min[4] == pytest.approx(10)
    assert cube.response.e_max[4] == pytest.approx(30)
    assert not cube.mask[:4].any()
    assert all(c.sum() == 0 for c in cube.counts[:4])
    assert np.isfinite(cube.response.psf).all()
    assert np.isfinite(cube.response.exposure).all()


def broken(change):
    dataset = make_dataset()
    change(dataset)
    return dataset


def _set(name, value):
    return lambda dataset: setattr(dataset, name, value)


def _counts(value):
    return lambda dataset: dataset.counts.data.__setitem__((4, 5, 6), value)


def _unit(name, unit):
    def change(dataset):
        old = getattr(dataset, name)
        setattr(dataset, name, Map.from_geom(old.geom, data=old.data, unit=unit))

    return change


def _background(dataset):
    dataset.background.data[3, 2, 1] = np.nan


def _empty_mask(dataset):
    dataset.mask_safe = Map.from_geom(dataset.counts.geom, data=np.zeros(dataset.counts.data.shape, bool))


def _no_exposure(dataset):
    dataset.exposure.data[...] = 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("counts", None), "has no counts: set dataset.counts"),
        (_set("exposure", None), "has no exposure: set dataset.exposure"),
        (_set("psf", None), "has no PSF: set dataset.psf"),
        (_counts(np.nan), "counts that are not finite"),
        (_counts(-1), "negative counts"),
        (_background, "predicted counts of background and models that are not finite"),
        (_empty_mask, "empty mask"),
        (_no_exposure, "exposure is zero everywhere"),
        (_unit("exposure", "cm2"), "exposure in 'cm2'"),
        (_unit("counts", "s"), "counts without a unit"),
    ],
)
def test_bad_datasets(change, message):
    with pytest.raises(ValueError, match=message):
        to_band_cube(broken(change))


def test_bad_energy_range():
    with pytest.raises(ValueError, match=r"covers 0.03-0.2 GeV, and the model serves 0.3-1000 GeV"):
        to_band_cube(make_dataset(edges=(0.03, 0.1, 0.2)))


def test_masked_at_all_energies_of_the_model():
    dataset = make_dataset(edges=(0.01, 0.1, 1, 10))
    dataset.mask_safe = Map.from_geom(dataset.counts.geom, data=np.zeros(dataset.counts.data.shape, bool))
    dataset.mask_safe.data[0] = True
    with pytest.raises(ValueError, match="masked at all energies of the model"):
        to_band_cube(dataset)


def test_nan_outside_the_mask_is_no_error():
    dataset = make_dataset()
    dataset.mask_fit = Map.from_geom(dataset.counts.geom, data=np.ones(dataset.counts.data.shape, bool))
    dataset.mask_fit.data[:, :, 50:] = False
    truth = to_band_cube(dataset)
    dataset.counts.data[:, :, 50:] = np.nan
    np.testing.assert_array_equal(sums(to_band_cube(dataset).counts), sums(truth.counts))


def test_bad_fields():
    small = WcsGeom.create(binsz=0.1, width=1.5, proj="TAN")
    with pytest.raises(ValueError, match="too small: 15 x 15 pixels of 0.1 deg, and a side needs 16"):
        to_band_cube(make_dataset(small))
    with pytest.raises(ValueError, match="do not overlap"):
        to_band_cube(
            Datasets([make_dataset(name="a"), make_dataset(WcsGeom.create(width=5, binsz=0.1), name="b")])
        )
    with pytest.raises(ValueError, match="reaches 1.. deg from its centre"):
        to_band_cube(make_dataset(HpxGeom.create(nside=8, frame="galactic")))
    with pytest.raises(ValueError, match="No dataset"):
        to_band_cube([])


@pytest.mark.parametrize("wrong", ["file.fits", 3, None, [1], Map.create(npix=4)])
def test_no_dataset(wrong):
    with pytest.raises(TypeError, match="MapDataset"):
        to_band_cube(wrong)


def test_cube_from_arrays_shapes():
    shape = (6, 20, 30)
    geom = WcsGeom.create(npix=(30, 20), binsz=0.1, proj="TAN")
    response = Response(
        LAT_BANDS,
        np.array(LAT_BANDS.edges[:-1]),
        np.array(LAT_BANDS.edges[1:]),
        np.ones((6, 3)),
        RAD,
        np.ones((6, 3, 200)),
        0.1,
    )
    counts = np.arange(np.prod(shape)).reshape(shape) % 7
    cube = cube_from_arrays(counts, geom, response, mask=np.arange(30) < 16)
    np.testing.assert_array_equal(sums(cube.counts), counts[:, :, :16].sum(axis=(1, 2)))
    assert cube.geom.data_shape == (24, 32)
    assert cube.background is None
    assert cube.exposure[0][0, 0] == 1
    assert cube.exposure[0][2, 0] == 0.5
    assert cube.exposure[0][0, 2] == 0
    with pytest.raises(ValueError, match="background must have the shape"):
        cube_from_arrays(counts, geom, response, background=np.ones((6, 5, 5)))


def test_field_keeps_nearly_square_pixels():
    plane = WcsGeom.create(skydir=(0, 0), npix=(400, 200), binsz=0.05, proj="CAR", frame="galactic")
    field = FieldPixels([PixelGrid(plane, np.ones(80000, bool))], 0.1)
    assert field.geom.projection == "CAR"
    assert field.geom.data_shape == (100, 200)
    high = plane.to_image().cutout(SkyCoord(0, 4, unit="deg", frame="galactic"), (5 * u.deg, 2 * u.deg))
    assert PixelGrid(high, None).is_square
    # twice the nominal size, give or take the projection
    wide = WcsGeom.create(skydir=(0, 0), npix=(50, 50), binsz=0.2005, proj="TAN")
    assert FieldPixels([PixelGrid(wide, np.ones(2500, bool))], 0.1).geom.data_shape == (50, 50)
    # a model of smaller pixels keeps what is too fine for another
    fine = WcsGeom.create(skydir=(0, 0), npix=(50, 50), binsz=0.02, proj="TAN")
    assert FieldPixels([PixelGrid(fine, np.ones(2500, bool))], 0.02).geom.data_shape == (50, 50)
    assert FieldPixels([PixelGrid(fine, np.ones(2500, bool))], 0.1).geom.data_shape == (10, 10)


needs_data = pytest.mark.skipif("GAMMAPY_DATA" not in os.environ, reason="real data are not here")


@needs_data
@pytest.mark.filterwarnings("ignore:Checksum verification failed")
def test_galactic_centre():
    dataset = MapDataset.read("$GAMMAPY_DATA/fermi-3fhl-gc/fermi-3fhl-gc.fits.gz")
    cube = to_band_cube(dataset)
    mask = dataset.mask_safe.data
    assert sum(sums(cube.counts)) == dataset.counts.data[mask].sum() == 27727
    assert sum(sums(cube.background)) == pytest.approx(23934.76, rel=1e-5)
    np.testing.assert_array_equal(cube.response.present, [False] * 4 + [True] * 2)
    assert cube.mask[4].sum() == 14400
    # containment radii from Gammapy at the mean energy of the two ends of the first band
    radius = dataset.psf.containment_radius(energy_true=[10, 20.4] * u.GeV, fraction=0.68).to_value("deg")
    radian = np.radians(RAD)
    density = 2 * np.pi * np.sin(radian) * cube.response.psf[4]
    inside = np.cumsum((density[:, 1:] + density[:, :-1]) / 2 * np.diff(radian), axis=1)
    found = [np.interp(0.68, row, RAD[1:]) for row in inside]
    assert radius[1] < found[2] < found[1] < found[0] < radius[0]


@needs_data
@pytest.mark.filterwarnings("ignore:Checksum verification failed")
def test_crab_with_models():
    base = "$GAMMAPY_DATA/fermi-3fhl-crab/Fermi-LAT-3FHL_"
    datasets = Datasets.read(f"{base}datasets.yaml", f"{base}models.yaml")
    cube = to_band_cube(datasets)
    # the last bin, 0.7-2 TeV, has its centre above 1 TeV
    mask = datasets[0].mask.data[:4]
    assert sum(sums(cube.counts)) == datasets[0].counts.data[:4][mask].sum()
    assert sum(sums(cube.background)) == pytest.approx(datasets[0].npred().data[:4][mask].sum(), rel=1e-5)
