# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of datasets whose maps are described in many ways."""

import logging

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from gammapy.irf import EDispKernelMap, PSFMap
from gammapy.maps import HpxGeom, Map, MapAxis, WcsGeom
from gammapy.modeling.models import (
    PowerLawSpectralModel,
    SkyModel,
    TemplateNPredModel,
    TemplateSpatialModel,
)

from gammapy_asid.inputs.convert import to_band_cube
from gammapy_asid.inputs.longitudes import wrapped_geom
from gammapy_asid.inputs.pixel_grid import same_pixels
from gammapy_asid.inputs.prepare import prepare_dataset
from gammapy_asid.likelihood import CandidateFitEstimator
from gammapy_asid.survey import SkyTiles, TileCutter

TRUE = MapAxis.from_energy_bounds("0.5 GeV", "200 GeV", 8, name="energy_true")
#: Longitude and column of the reference.
REFERENCES = [(0, 90.5), (180, 90.5), (180, 1.0), (0, 0.5), (359.5, 1.0), (12.3, 250.0), (-77, -180.0)]


def whole_sky(crval, crpix, axes=(), frame="galactic", step=2.0):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["GLON-CAR", "GLAT-CAR"] if frame == "galactic" else ["RA---CAR", "DEC--CAR"]
    wcs.wcs.crval, wcs.wcs.crpix = [crval, 0], [crpix, 90 / step + 0.5]
    wcs.wcs.cdelt, wcs.wcs.cunit = [-step, step], ["deg", "deg"]
    if frame != "galactic":
        wcs.wcs.radesys = "ICRS"
    return WcsGeom(wcs, npix=(int(360 / step), int(180 / step)), axes=list(axes))


def dipole(geom):
    """Exposure in cm2 s that differs over the sky by a factor of two."""
    sky = wrapped_geom(geom.to_image()).get_coord().skycoord.icrs
    return (
        3e11 * (1 + np.cos(sky.separation(SkyCoord(83, 22, unit="deg")).rad) / 3) * np.ones(geom.data_shape)
    )


@pytest.mark.parametrize(("crval", "crpix"), REFERENCES)
@pytest.mark.parametrize("lon", [0, 97, 180, 263])
def test_exposure_of_the_whole_sky(lat_field, crval, crpix, lon):
    """Wherever its reference is."""
    geom = whole_sky(crval, crpix, [TRUE], frame="icrs")
    exposure = Map.from_geom(geom, data=dipole(geom), unit="cm2 s")
    cube = to_band_cube(lat_field(exposure=exposure, skydir=(lon, 22)))
    assert cube.mask[2:].any(axis=0).all()
    truth = 3e11 * (
        1 + np.cos(SkyCoord(lon, 22, unit="deg").separation(SkyCoord(83, 22, unit="deg")).rad) / 3
    )
    np.testing.assert_allclose(cube.response.exposure[2:5].mean(axis=1), truth, rtol=0.01)


@pytest.mark.parametrize(("crval", "crpix"), REFERENCES)
def test_counts_of_the_whole_sky(lat_field, crval, crpix):
    geom = whole_sky(crval, crpix)
    wrapped = wrapped_geom(geom)
    column, row = np.meshgrid(np.arange(180), np.arange(90))
    lon, lat = wrapped.pix_to_coord((column, row))
    truth = crval - 2 * (column - crpix + 1)
    np.testing.assert_allclose((lon.value - truth + 180) % 360, 180)
    np.testing.assert_allclose(lat.value, 2 * row - 89)
    assert wrapped_geom(wrapped) is wrapped
    dataset = lat_field(wrapped, level=0.02)
    for name in ("counts", "background", "exposure"):
        m = getattr(dataset, name)
        setattr(dataset, name, Map.from_geom(geom.to_cube(m.geom.axes), data=m.data, unit=m.unit))
    cutter, tiles = TileCutter(dataset), SkyTiles()
    assert len(cutter.tiles_with_data(tiles)) == len(tiles)
    # No photon is lost or used twice, all the same at the border of the map
    for lon in (0, 90, 180, 270):
        centre = SkyCoord(lon, 3, unit="deg", frame="galactic")
        parts = cutter.cut(centre, 12)
        inside = wrapped.separation(centre).deg < 12
        found = sum((part.counts.data * part.mask_safe.data).sum() for part in parts)
        assert found == dataset.counts.data[:, inside].sum()


def test_templates_of_the_whole_sky(lat_field):
    """The known sky and its fits know all of a map with its reference at the edge."""
    dataset, other = lat_field(skydir=(10, 22)), lat_field(skydir=(10, 22))
    for some, geom in (
        (dataset, whole_sky(0, 90.5, frame="icrs")),
        (other, whole_sky(180, 1.0, frame="icrs")),
    ):
        image = Map.from_geom(geom, data=dipole(geom) / 3e11, unit="sr-1")
        law = PowerLawSpectralModel(index=2, amplitude="1e-6 cm-2 s-1 GeV-1", reference="1 GeV")
        some.models = [SkyModel(law, TemplateSpatialModel(image, normalize=False))]
    one, two = (to_band_cube(d).background for d in (dataset, other))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3)
    assert sum(a.sum() for a in one) > 1.1 * dataset.background.data.sum()


def test_nothing_to_do(lat_field):
    dataset = lat_field()
    assert prepare_dataset(dataset) is dataset


def _background(geom_of, axis_of=lambda axis: axis):
    def change(dataset):
        geom = dataset.counts.geom
        new = geom_of(geom.to_image()).to_cube([axis_of(geom.axes["energy"])])
        dataset.background = Map.from_geom(new, data=np.ones(new.data_shape))

    return change


def _mask(which, geom_of):
    def change(dataset):
        geom = geom_of(dataset.counts.geom)
        setattr(dataset, which, Map.from_geom(geom, data=np.ones(geom.data_shape, bool)))

    return change


def _shifted(image, shift=0.05):
    return WcsGeom.create(skydir=(83 + shift, 22), npix=(72, 64), binsz=0.1, proj="TAN")


def _edisp(dataset):
    true = MapAxis.from_energy_bounds("0.5 GeV", "200 GeV", 5, name="energy_true")
    dataset.edisp = EDispKernelMap.from_diagonal_response(dataset.counts.geom.axes["energy"], true)


OTHER_GEOMETRIES = {
    "fewer bins": (_background(lambda g: g, lambda a: a.squash()), "background in 1 bins .* 4 of 1-100 GeV"),
    "other edges": (
        _background(lambda g: g, lambda a: MapAxis.from_energy_bounds("2 GeV", "90 GeV", 4)),
        "background in 4 bins of 2-90 GeV",
    ),
    "smaller": (
        _background(lambda g: WcsGeom.create(skydir=(83, 22), npix=(50, 64), binsz=0.1, proj="TAN")),
        "background on other pixels",
    ),
    "elsewhere": (_background(lambda g: _shifted(g, 5)), "background on other pixels"),
    "half a pixel": (_background(_shifted), "background on other pixels"),
    "other size": (
        _background(lambda g: WcsGeom.create(skydir=(83, 22), npix=(72, 64), binsz=0.11, proj="TAN")),
        "background on other pixels",
    ),
    "other frame": (
        _background(
            lambda g: WcsGeom.create(
                skydir=SkyCoord(83, 22, unit="deg"), npix=(72, 64), binsz=0.1, proj="TAN", frame="galactic"
            )
        ),
        "background on other pixels",
    ),
    "mask without energies": (_mask("mask_fit", lambda g: g.to_image()), "mask_fit with the axes"),
    "mask elsewhere": (
        _mask("mask_safe", lambda g: _shifted(g).to_cube(g.axes)),
        "mask_safe on other pixels",
    ),
    "energy dispersion": (_edisp, "energy dispersion with another axis 'energy_true' .5 bins"),
}


@pytest.mark.parametrize("case", OTHER_GEOMETRIES)
def test_other_geometries(lat_field, case):
    change, message = OTHER_GEOMETRIES[case]
    dataset = lat_field()
    change(dataset)
    with pytest.raises(ValueError, match=message):
        to_band_cube(dataset)
    with pytest.raises(ValueError, match=message):
        CandidateFitEstimator().run(dataset, _candidates())
    with pytest.raises(ValueError, match=message):
        TileCutter(dataset)


def _candidates():
    from gammapy_asid import Candidates

    position = SkyCoord([83], [22], unit="deg")
    radius = np.full((1, 2), 0.1) * u.deg
    return Candidates.from_positions(position, np.array([0.9]), radius, radius, np.zeros(1) * u.deg)


def test_same_pixels_described_otherwise():
    one, two = whole_sky(0, 90.5), whole_sky(120, 30.5)
    assert same_pixels(one, two)
    assert not same_pixels(one, whole_sky(120, 31.5))
    ring, nested = (HpxGeom.create(nside=8, nest=nest) for nest in (False, True))
    assert same_pixels(ring, HpxGeom.create(nside=8, nest=False))
    assert not same_pixels(ring, nested)


@pytest.mark.parametrize("dtype", [int, ">f4", ">i2", "float32", "uint8"])
def test_types_of_counts_and_masks(lat_field, dtype):
    """Integers, and the byte order of FITS."""
    dataset, other = lat_field(), lat_field()
    geom = dataset.counts.geom
    east = np.broadcast_to(np.arange(72) < 40, geom.data_shape)
    dataset.mask_safe = Map.from_geom(geom, data=east)
    other.counts = Map.from_geom(geom, data=dataset.counts.data.astype(dtype))
    other.background = Map.from_geom(geom, data=dataset.background.data.astype(">f8"))
    other.mask_safe = Map.from_geom(geom, data=east.astype(dtype), dtype=dtype)
    other.mask_fit = Map.from_geom(geom, data=np.ones(geom.data_shape, dtype), dtype=dtype)
    one, two = to_band_cube(dataset), to_band_cube(other)
    for name in ("counts", "background", "exposure"):
        for a, b in zip(getattr(one, name), getattr(two, name), strict=True):
            np.testing.assert_allclose(a, b)
    np.testing.assert_array_equal(one.mask, two.mask)


@pytest.mark.parametrize("unit", ["ct", "ph"])
def test_units_of_photons(lat_field, unit):
    dataset, other = lat_field(), lat_field()
    other.counts = Map.from_geom(other.counts.geom, data=other.counts.data, unit=unit)
    other.background = Map.from_geom(other.background.geom, data=other.background.data, unit=unit)
    for a, b in zip(to_band_cube(dataset).counts, to_band_cube(other).counts, strict=True):
        np.testing.assert_allclose(a, b)
    fits = CandidateFitEstimator(refit_position=False)
    one, two = (fits.run(d, _candidates()).table for d in (dataset, other))
    np.testing.assert_allclose(one["ts"], two["ts"])


def test_units_of_the_response(lat_field):
    """Areas in m2, a point spread function per deg2, energies in J."""
    dataset, other = lat_field(), lat_field()
    other.exposure = Map.from_geom(dataset.exposure.geom, data=dataset.exposure.data / 1e4, unit="m2 s")
    psf = dataset.psf.psf_map
    other.psf = PSFMap(Map.from_geom(psf.geom, data=psf.quantity.to_value("deg-2"), unit="deg-2"))
    axis = dataset.counts.geom.axes["energy"]
    joule = MapAxis.from_energy_edges(axis.edges.to("J"))
    geom = dataset.counts.geom.to_image().to_cube([joule])
    other.counts = Map.from_geom(geom, data=dataset.counts.data)
    other.background = Map.from_geom(geom, data=dataset.background.data)
    one, two = to_band_cube(dataset), to_band_cube(other)
    np.testing.assert_allclose(one.response.exposure, two.response.exposure, rtol=1e-5)
    np.testing.assert_allclose(one.response.psf, two.response.psf, rtol=1e-4, atol=1e-9)
    for a, b in zip(one.counts, two.counts, strict=True):
        np.testing.assert_allclose(a, b)
    fits = CandidateFitEstimator(refit_position=False)
    one, two = (fits.run(d, _candidates()).table for d in (dataset, other))
    np.testing.assert_allclose(one["ts"], two["ts"], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(one["fit_flux"].value, two["fit_flux"].value, rtol=1e-3, atol=1e-13)


@pytest.mark.parametrize(
    ("what", "unit"), [("counts", "s-1"), ("background", "sr-1"), ("exposure", "cm2"), ("exposure", "")]
)
def test_impossible_units(lat_field, what, unit):
    dataset = lat_field()
    m = getattr(dataset, what)
    setattr(dataset, what, Map.from_geom(m.geom, data=m.data, unit=unit))
    with pytest.raises(ValueError, match="make the map anew with unit="):
        prepare_dataset(dataset)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("same", [True, False])
def test_exposure_that_is_not_finite(lat_field, caplog, value, same):
    """Pixels that depend on such values are left out, and their number is said."""
    dataset = lat_field()
    if not same:
        geom = WcsGeom.create(skydir=(83, 22), width=12, binsz=0.5, axes=[TRUE])
        dataset.exposure = Map.from_geom(geom, data=np.full(geom.data_shape, 3e11), unit="cm2 s")
    whole = to_band_cube(dataset)
    image = dataset.exposure.geom.to_image()
    dataset.exposure.data[:, image.separation(image.center_skydir).deg < 1] = value
    with caplog.at_level(logging.WARNING):
        prepared = prepare_dataset(dataset)
    lost = ~prepared.mask_safe.data.all(axis=0)
    away = dataset.counts.geom.to_image().separation(image.center_skydir).deg
    assert lost[away < 0.9].all()
    assert not lost[away > 1.8].any()
    assert caplog.messages[0].startswith(
        f"Dataset 'lat': {lost.sum()} of 4608 pixels have an exposure that is not"
    )
    assert prepare_dataset(prepared) is prepared
    cube = to_band_cube(dataset)
    np.testing.assert_allclose(cube.response.exposure, whole.response.exposure, rtol=1e-3)
    # One energy
    dataset = lat_field()
    dataset.exposure.data[0] = value
    prepared = prepare_dataset(dataset)
    assert not prepared.mask_safe.data[0].any()
    assert prepared.mask_safe.data[1:].all()
    dataset.exposure.data[:] = value
    with pytest.raises(ValueError, match="exposure is zero everywhere, or not finite"):
        prepare_dataset(dataset)


def test_exposure_outside_the_sky(lat_field):
    """Corners of a projection are no sky, and dim nothing beside them."""
    geom = WcsGeom.create(binsz=4, proj="AIT", frame="icrs", axes=[TRUE])
    sky = np.isfinite(geom.to_image().get_coord().lon)
    data = np.where(sky, 3e11, np.nan) * np.ones(geom.data_shape)
    for lon in (0, 180):
        dataset = lat_field(exposure=Map.from_geom(geom, data=data, unit="cm2 s"), skydir=(lon, 22))
        cube = to_band_cube(dataset)
        assert cube.mask[2:].any(axis=0).all()
        np.testing.assert_allclose(cube.response.exposure[2:5], 3e11, rtol=1e-3)


def test_exposure_ends_inside_the_counts(lat_field):
    """Without a word: no exposure is no data, also for fits."""
    geom = WcsGeom.create(skydir=(83, 22), width=(3, 12), binsz=0.5, axes=[TRUE])
    exposure = Map.from_geom(geom, data=np.full(geom.data_shape, 3e11), unit="cm2 s")
    prepared = prepare_dataset(lat_field(exposure=exposure))
    east = np.abs(prepared.counts.geom.to_image().get_coord().lon.value - 83) * np.cos(np.radians(22))
    assert prepared.mask_safe.data[:, east < 1.4].all()
    assert not prepared.mask_safe.data[:, east > 2.1].any()


def test_template_of_counts(lat_field):
    geom = whole_sky(180, 1.0)
    dataset = lat_field(geom, level=0.02)
    template = TemplateNPredModel(dataset.background, name="more", datasets_names=["lat"])
    dataset.models = [template]
    prepared = prepare_dataset(dataset)
    assert prepared.models["more"].map.geom == prepared.counts.geom
    assert dataset.models["more"].map.geom == geom.to_cube(dataset.counts.geom.axes)
