# Licensed under a 3-clause BSD style license - see LICENSE
import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from gammapy.datasets import MapDatasetOnOff
from gammapy.maps import HpxGeom, Map, WcsGeom
from gammapy.modeling.models import (
    FoVBackgroundModel,
    GaussianSpatialModel,
    PointSpatialModel,
    PowerLawSpectralModel,
    SkyModel,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize_scalar

from gammapy_asid.evaluation import matched_filter_candidates, matched_filter_maps, ts_map_candidates
from gammapy_asid.evaluation.matched_filter import likelihood_gain

#: Photon flux of the source, 1-100 GeV in 1 / (cm2 s): 150 photons at the exposure of the field.
FLUX = 5e-10
WIDTH = "3 deg"


def source(position, flux=FLUX, sigma=None, frame="icrs"):
    spectrum = PowerLawSpectralModel(index=2.3, reference="1 GeV")
    spectrum.amplitude.value *= flux / spectrum.integral(1 * u.GeV, 100 * u.GeV).to_value("cm-2 s-1")
    place = {"lon_0": position.data.lon, "lat_0": position.data.lat, "frame": frame}
    shape = PointSpatialModel(**place) if sigma is None else GaussianSpatialModel(sigma=sigma, **place)
    return SkyModel(spectral_model=spectrum, spatial_model=shape, name="source")


def with_source(dataset, model, known=()):
    """The same field with the counts that are expected of it with a source, without noise."""
    field = dataset.copy(name="field")
    field.models = [FoVBackgroundModel(dataset_name="field"), *known, model]
    field.counts = field.npred()
    field.models = [FoVBackgroundModel(dataset_name="field"), *known]
    return field


def at_pixel(dataset, x, y):
    """Position in pixels from the middle of the field."""
    geom = dataset.counts.geom.to_image()
    ny, nx = geom.data_shape
    return geom.pix_to_coord(((nx - 1) // 2 + x, (ny - 1) // 2 + y)), geom


def position(dataset, x, y):
    (lon, lat), geom = at_pixel(dataset, x, y)
    return SkyCoord(lon, lat, frame=geom.frame)


def exact(counts, background, exposure, kernel, y, x):
    """Gain and flux at a pixel by a search in the likelihood itself."""
    h = kernel.shape[-1] // 2
    n, b, e = (
        np.pad(data, ((0, 0), (h, h), (h, h)), constant_values=fill)[:, y : y + 2 * h + 1, x : x + 2 * h + 1]
        for data, fill in ((counts, 0), (background, 1), (exposure, 0))
    )
    per_flux = e * kernel

    def loss(log):
        return np.exp(log) * per_flux.sum() - np.sum(n * np.log1p(np.exp(log) * per_flux / b))

    ranges = [(low, low + 4) for low in range(-20, 20, 2)]
    options = {"xatol": 1e-5}
    tries = [minimize_scalar(loss, bounds=r, method="bounded", options=options) for r in ranges]
    best = min(tries, key=lambda result: result.fun)
    return max(-best.fun, 0), np.exp(best.x)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**31),
    n_bands=st.integers(1, 3),
    half=st.integers(1, 12),
    log_level=st.floats(-4, 2),
    slope=st.floats(-5, 5),
    log_flux=st.floats(-1, 4),
    masked=st.floats(0, 0.5),
)
def test_gain_is_that_of_the_likelihood(seed, n_bands, half, log_level, slope, log_flux, masked):
    rng = np.random.default_rng(seed)
    shape = ny, nx = tuple(rng.integers(8, 30, 2))
    place = np.linspace(0, 1, nx)
    background = 10**log_level * np.exp(slope * place) * rng.uniform(0.01, 1, (n_bands, ny, 1))
    exposure = np.exp(0.5 * place) * rng.uniform(0.1, 10, (n_bands, 1, 1)) * np.ones((ny, 1))
    offset = np.hypot(*np.mgrid[-half : half + 1, -half : half + 1])
    kernel = np.exp(-0.5 * (offset / rng.uniform(0.5, 2, (n_bands, 1, 1))) ** 2)
    kernel /= kernel.sum(axis=(1, 2), keepdims=True)
    y, x = rng.integers(0, ny), rng.integers(0, nx)
    expected = np.pad(background, ((0, 0), (half, half), (half, half)))
    expected[:, y : y + 2 * half + 1, x : x + 2 * half + 1] += (
        10**log_flux * kernel * exposure[:, y, x, None, None]
    )
    counts = rng.poisson(expected[:, half : half + ny, half : half + nx]).astype(float)
    valid = rng.random(shape) >= masked
    valid[y, x] = True
    gain, flux = likelihood_gain(counts * valid, background * valid, exposure * valid, kernel)
    for row, column in ((y, x), (y // 2, x), (y, x // 2)):
        if valid[row, column]:
            one, best = exact(counts * valid, background, exposure * valid, kernel, row, column)
            found, true = np.sqrt(2 * gain[row, column]), np.sqrt(2 * one)
            # Less than one expected photon is not looked for
            assert abs(found - true) < (0.01 * true if true > 2 else 0.5)
            if true > 2:
                assert abs(np.log(flux[row, column] / best)) < 0.1


def test_sources_without_noise(lat_field):
    """Flux, position and significance; between the pixels too."""
    for x, y in ((0, 0), (0.3, -0.4), (20.5, 11.25)):
        place = position(lat_field(), x, y)
        field = with_source(lat_field(), source(place, frame="icrs"))
        before = field.counts.data.copy()
        table = matched_filter_candidates(field, WIDTH)
        assert table.colnames == ["ra", "dec", "glon", "glat", "score", "flux"]
        assert len(table) == 1
        found = SkyCoord(table["ra"], table["dec"])[0]
        # A twentieth of a pixel
        assert found.separation(place) < 0.005 * u.deg
        assert_allclose(found.galactic.l, table["glon"][0])
        # The kernel holds what lies within 1.5 deg, and between pixels it is not quite the source
        assert_allclose(table["flux"][0].to_value("cm-2 s-1"), FLUX, rtol=0.02 if x == 0 else 0.1)
        assert_array_equal(field.counts.data, before)
        assert field.mask_safe is None


def test_significance_is_that_of_the_fit(lat_field):
    """At a pixel the root of the likelihood ratio of Gammapy, computed here and by its own TS map."""
    place = position(lat_field(), 0, 0)
    field = with_source(lat_field(), source(place))
    field.counts.data = np.random.default_rng(3).poisson(field.counts.data).astype(float)
    score = matched_filter_candidates(field, WIDTH)["score"][0]
    fitted = ts_map_candidates(field, WIDTH, image=False)["score"][0]
    assert_allclose(score, fitted, rtol=0.01)
    without = field.stat_sum()
    field.models = [*field.models, source(place)]
    best = []
    for factor in np.linspace(0.7, 1.3, 25):
        field.models["source"].spectral_model.amplitude.value = (
            factor * source(place).spectral_model.amplitude.value
        )
        best.append(without - field.stat_sum())
    assert_allclose(score, np.sqrt(max(best)), rtol=0.02)


def test_known_sources_are_sky(lat_field):
    bright, faint = (position(lat_field(), x, -12) for x in (-15, 15))
    known = source(bright, 20 * FLUX)
    known = known.copy(name="known")
    field = with_source(lat_field(), source(faint), [known])
    table = matched_filter_candidates(field, WIDTH)
    assert len(table) == 1
    assert SkyCoord(table["ra"], table["dec"])[0].separation(faint) < 0.005 * u.deg


def test_extended_sources(lat_field):
    place = position(lat_field(), 0, 0)
    field = with_source(lat_field(), source(place, 2 * FLUX, sigma=0.4 * u.deg))
    as_point, as_extended = (matched_filter_candidates(field, WIDTH, sigma=s) for s in (None, "0.4 deg"))
    assert as_extended["score"][0] > 1.1 * as_point["score"][0]
    assert_allclose(as_extended["flux"][0].to_value("cm-2 s-1"), 2 * FLUX, rtol=0.05)


def test_summed_energies(lat_field):
    """As the filter of an image whose point spread function is that of the photons of the source."""
    place = position(lat_field(), 0, 0)
    field = with_source(lat_field(), source(place))
    table = matched_filter_candidates(field, WIDTH, image=True)
    assert len(table) == 1
    assert_allclose(table["flux"][0].to_value("cm-2 s-1"), FLUX, rtol=0.02)
    # What the energies tell is lost
    assert 4 < table["score"][0] < 0.9 * matched_filter_candidates(field, WIDTH)["score"][0]


def test_masks(lat_field):
    """What is masked counts for nothing; half a source is as bright as a whole one."""
    place = position(lat_field(), 0, 0)
    field = with_source(lat_field(), source(place))
    valid = Map.from_geom(field.counts.geom, data=True, dtype=bool)
    valid.data[:, :, 37:] = False
    valid.data[3, :, :] = False
    field.mask_safe = valid
    field.counts.data[:, :, 40:] = 1e4
    field.counts.data[3] = np.nan
    field.background.data[~valid.data] = np.nan
    table = matched_filter_candidates(field, WIDTH)
    assert len(table) == 1
    assert SkyCoord(table["ra"], table["dec"])[0].separation(place) < 0.05 * u.deg
    assert_allclose(table["flux"][0].to_value("cm-2 s-1"), FLUX, rtol=0.05)
    maps = matched_filter_maps(field, source(place), WIDTH)
    assert_array_equal(np.isfinite(maps["sqrt_ts"].data), valid.data.any(axis=0))
    assert np.nanmin(maps["sqrt_ts"].data) >= 0


def test_nothing_expected(lat_field):
    """Pixels and bands in which nothing is expected give no infinite significance."""
    place = position(lat_field(), 0, 0)
    field = with_source(lat_field(), source(place))
    field.background.data[3] = 0
    field.background.data[:, :20] = 0
    field.counts.data[:, :20] = 0
    field.counts.data[0, 5, 5] = 1
    maps = matched_filter_maps(field, source(place), WIDTH)
    assert np.isfinite(maps["sqrt_ts"].data).all() and np.isfinite(maps["flux"].data).all()
    assert 1 < maps["sqrt_ts"].data[5, 5] < 4
    table = matched_filter_candidates(field, WIDTH)
    assert SkyCoord(table["ra"], table["dec"])[0].separation(place) < 0.05 * u.deg


def test_no_counts(lat_field):
    field = lat_field(level=0.01)
    field.counts.data[:] = 0
    table = matched_filter_candidates(field)
    assert len(table) == 0
    assert table.colnames == ["ra", "dec", "glon", "glat", "score", "flux"]
    assert table["glon"].unit == "deg" and table["flux"].unit.is_equivalent("cm-2 s-1")
    maps = matched_filter_maps(field, source(position(field, 0, 0)))
    assert not maps["sqrt_ts"].data.any() and not maps["flux"].data.any()


GEOMETRIES = {
    "AIT": WcsGeom.create(skydir=(83, 22), npix=(48, 50), binsz=0.12, proj="AIT", frame="galactic"),
    "CAR": WcsGeom.create(skydir=(10, 60), npix=(41, 56), binsz=0.12, proj="CAR", frame="galactic"),
    "oblong pixels": WcsGeom.create(skydir=(10, 3), npix=(40, 60), binsz=(0.2, 0.1), proj="TAN"),
    "smaller than the kernel": WcsGeom.create(skydir=(83, 22), npix=(12, 15), binsz=0.1, proj="TAN"),
}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_geometries(lat_field, name):
    """The peaks are those of the TS map, whose likelihood is the same; a group of photons among them."""
    field = lat_field(GEOMETRIES[name], level=0.3)
    field.counts.data[:, 4:6, 7:9] += 1
    found = matched_filter_candidates(field, WIDTH, threshold=3)
    fitted = ts_map_candidates(field, WIDTH, threshold=3, image=False)
    assert_allclose(found["score"], fitted["score"], rtol=0.01)
    x, y = field.counts.geom.to_image().coord_to_pix(SkyCoord(found["ra"], found["dec"])[:1])
    assert_allclose([x[0], y[0]], [7.5, 4.5], atol=1)


def test_other_exposure_and_no_energy_dispersion(lat_field):
    place = position(lat_field(), 0, 0)
    field = with_source(lat_field(), source(place))
    whole = matched_filter_candidates(field, WIDTH)
    coarse = WcsGeom.create(skydir=(83, 22), npix=(12, 12), binsz=1, proj="TAN")
    field.exposure = Map.from_geom(coarse.to_cube([field.exposure.geom.axes["energy_true"]]), unit="m2 s")
    field.exposure.data += 3e7
    field.edisp = None
    for name in whole.colnames:
        assert_allclose(matched_filter_candidates(field, WIDTH)[name].value, whole[name].value, rtol=1e-4)


def test_peaks_are_a_pixel_apart(lat_field):
    """With a smallest distance below half a pixel all pixels of a source were peaks."""
    field = with_source(lat_field(), source(position(lat_field(), 0, 0), 10 * FLUX))
    for find in (matched_filter_candidates, ts_map_candidates):
        assert len(find(field, WIDTH, min_distance="0.01 deg", threshold=8)) == 1


def bad_dataset(dataset, kind):
    if kind == "negative":
        dataset.counts.data[0, 3, 3] = -1
    elif kind == "no number":
        dataset.background.data[0, 3, 3] = np.nan
    else:
        setattr(dataset, kind, None)
    return dataset


@pytest.mark.parametrize(
    "kind, words",
    [
        ("background", "no background and no models"),
        ("psf", "no PSF"),
        ("exposure", "no exposure"),
        ("negative", "negative counts"),
        ("no number", "not finite"),
    ],
)
def test_bad_datasets(lat_field, kind, words):
    with pytest.raises(ValueError, match=words):
        matched_filter_candidates(bad_dataset(lat_field(), kind))


def test_other_kinds_of_data(lat_field):
    with pytest.raises(TypeError, match="MapDataset"):
        matched_filter_candidates(lat_field().counts)
    with pytest.raises(TypeError, match="OnOff"):
        matched_filter_candidates(MapDatasetOnOff.create(lat_field().counts.geom))
    healpix = HpxGeom.create(nside=64, region="DISK(83, 22, 4)", frame="icrs")
    with pytest.raises(TypeError, match="WCS geometry, got HpxGeom"):
        matched_filter_candidates(lat_field(healpix))


@pytest.mark.parametrize(
    "argument, value",
    [
        ("kernel_width", "0 deg"),
        ("kernel_width", "1 s"),
        ("min_distance", "-1 deg"),
        ("sigma", "wide"),
        ("threshold", np.nan),
        ("index", np.inf),
    ],
)
def test_bad_arguments(lat_field, argument, value):
    with pytest.raises(ValueError, match=argument):
        matched_filter_candidates(lat_field(), **{argument: value})
    with pytest.raises(ValueError, match=argument):
        ts_map_candidates(lat_field(), **{argument: value})
