# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of the responses of the Fermi-LAT."""

import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from gammapy.maps import HpxGeom, Map, MapAxis, WcsGeom
from numpy.testing import assert_allclose

from gammapy_asid.inputs.bands import LAT_BANDS
from gammapy_asid.simulation.instruments import ExposureMap, lat_response
from gammapy_asid.simulation.psf_caldb import LatIRF, king

DATA = Path(os.environ.get("GAMMAPY_ASID_DATA", "missing"))
requires_data = pytest.mark.skipif(not (DATA / "lat/irfs").exists(), reason="needs GAMMAPY_ASID_DATA")


def containment_radius(rad, psf, fraction):
    """Radius in deg that contains a fraction of a point spread function."""
    theta = np.radians(rad)
    ring = 2 * np.pi * np.sin(theta) * psf
    total = np.concatenate([[0], np.cumsum((ring[1:] + ring[:-1]) / 2 * np.diff(theta))])
    return np.interp(fraction, total / total[-1], rad)


def band_radii(response, fraction=0.68):
    """Containment radius of each present band for photons of index 2.2."""
    radii = []
    for band in np.flatnonzero(response.present):
        edges = response.sub_edges[band]
        weight = (edges[:-1] ** -1.2 - edges[1:] ** -1.2) * response.exposure[band]
        radii.append(containment_radius(response.rad, weight @ response.psf[band], fraction))
    return np.array(radii)


@pytest.fixture(scope="module")
def caldb(tmp_path_factory):
    """CALDB files of an instrument of 1 m2 whose point spread function is known."""
    folder = tmp_path_factory.mktemp("caldb")
    energy = np.geomspace(10, 1e7, 13)
    cos_theta = np.linspace(0.2, 1, 5)
    shape = (len(cos_theta) - 1, len(energy) - 1)

    def table(name, columns):
        columns = {
            "ENERG_LO": energy[:-1],
            "ENERG_HI": energy[1:],
            "CTHETA_LO": cos_theta[:-1],
            "CTHETA_HI": cos_theta[1:],
            **{key: np.full(shape, value) for key, value in columns.items()},
        }
        columns = [
            fits.Column(k, f"{v.size}E", array=v[None], dim=str(v.shape[::-1])) for k, v in columns.items()
        ]
        return fits.BinTableHDU.from_columns(columns, name=name)

    psf = [fits.PrimaryHDU()]
    area = [fits.PrimaryHDU()]
    king_parameters = {"NCORE": 1, "NTAIL": 0.25, "SCORE": 1, "STAIL": 2, "GCORE": 2.5, "GTAIL": 2.5}
    for name, c0 in (("FRONT", 0.01), ("BACK", 0.02)):
        area.append(table(f"EFFECTIVE AREA_{name}", {"EFFAREA": 1.0}))
        psf.append(table(f"RPSF_{name}", king_parameters))
        scale = fits.Column("PSFSCALE", "3E", array=[[c0, 0, -1.0]])
        psf.append(fits.BinTableHDU.from_columns([scale], name=f"PSF_SCALING_PARAMS_{name}"))
    fits.HDUList(area).writeto(folder / "aeff_TEST_V1_FB.fits")
    fits.HDUList(psf).writeto(folder / "psf_TEST_V1_FB.fits.gz")
    return folder


def test_king_is_normalised():
    x = np.geomspace(1e-4, 1e4, 4000)
    assert_allclose(np.trapezoid(2 * np.pi * x * king(x, 0.5, 2.0), x), 1, rtol=1e-3)


def test_psf_of_known_parameters(caldb):
    irf = LatIRF.read(caldb, "TEST_V1", "FRONT")
    rad = np.array([0, 0.3, 1.0])
    psf = irf.psf(np.array([0.5]), np.array([0.7]), rad)
    assert psf.shape == (1, 1, 3)
    # The scale at 500 MeV is c0 / 5; peaks 0.25 to 1 with widths 2 to 1 are equal integrals
    x = 2 * np.sin(np.radians(rad) / 2) / 0.002
    expected = 0.5 * (king(x, 1, 2.5) + king(x, 2, 2.5)) / 0.002**2
    assert_allclose(psf[0, 0], expected, rtol=1e-5)


def test_exposure_of_known_area(caldb):
    response = lat_response("TEST_V1", "FRONT", livetime=1.0, caldb=caldb)
    # 1 m2 over 0.8 of the half sky in cos(theta): 0.4 of the time, 0.72 of it observing
    assert_allclose(response.exposure, 1e4 * 0.4 * 0.72 * 3.15576e7, rtol=1e-6)
    both = lat_response("TEST_V1", "FRONT+BACK", livetime=1.0, caldb=caldb)
    assert_allclose(both.exposure, 2 * response.exposure, rtol=1e-6)


def test_psf_of_two_types_is_their_mean(caldb):
    front, back, both = (lat_response("TEST_V1", _, caldb=caldb) for _ in ("FRONT", "BACK", "FRONT+BACK"))
    assert_allclose(both.psf[4], (front.psf[4] + back.psf[4]) / 2, rtol=2e-3)
    theta = np.radians(both.rad)
    assert_allclose(np.trapezoid(2 * np.pi * np.sin(theta) * both.psf, theta, axis=-1), 1, rtol=1e-10)


def test_bands_of_data_that_begin_higher(caldb):
    response = lat_response("TEST_V1", e_min=5.0, e_max=500.0, caldb=caldb)
    assert_allclose(response.e_min[3:], [5, 7, 20])
    assert_allclose(response.e_max[3:], [7, 20, 500])
    assert list(response.present) == [False, False, False, True, True, True]
    assert not response.exposure[:3].any()
    assert not response.psf[:3].any()
    assert response.bands is LAT_BANDS
    assert response.pixel_size == 0.1


def test_given_exposure(caldb):
    exposure = np.array([1, 2, 3, 4, 5, 6]) * 1e11
    response = lat_response("TEST_V1", exposure=exposure, caldb=caldb)
    assert_allclose(response.exposure.mean(axis=1), exposure)


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"event_type": "MIDDLE"}, ValueError, "Unknown event type 'MIDDLE'"),
        ({"event_type": "FRONT+FRONT"}, ValueError, "names a type twice"),
        ({"e_min": 0.01, "e_max": 0.2}, ValueError, "No band in 0.01-0.2 GeV"),
        ({"irf": "P8R9_V1"}, FileNotFoundError, "it holds TEST_V1_FB"),
        ({"event_type": "PSF3"}, FileNotFoundError, "No response aeff_TEST_V1_PSF"),
    ],
)
def test_bad_request(caldb, kwargs, error, message):
    with pytest.raises(error, match=message):
        lat_response(**{"irf": "TEST_V1", "caldb": caldb, **kwargs})


def test_no_caldb(monkeypatch):
    monkeypatch.delenv("GAMMAPY_ASID_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match="set the environment variable GAMMAPY_ASID_DATA"):
        lat_response()


@pytest.mark.parametrize("hpx", [False, True])
def test_exposure_map(hpx):
    axis = MapAxis.from_energy_bounds("1 GeV", "100 GeV", nbin=3, name="energy_true")
    if hpx:
        geom = HpxGeom.create(nside=32, frame="galactic", axes=[axis])
    else:
        geom = WcsGeom.create(binsz=2, frame="galactic", proj="CAR", axes=[axis])
    lat = geom.get_coord()["lat"]
    exposure = Map.from_geom(geom, data=3e11 * (1 + 0.3 * np.sin(lat.to_value("rad"))), unit="cm2 s")
    ratio = ExposureMap(exposure).ratio([0, 100, 250], [0, 30, -60], energy=0.1)
    assert_allclose(ratio, 1 + 0.3 * np.sin(np.radians([0, 30, -60])), atol=0.01)
    assert ExposureMap(exposure).ratio(180, 0).shape == ()


def test_exposure_map_of_a_part_of_the_sky():
    axis = MapAxis.from_energy_bounds("1 GeV", "100 GeV", nbin=3, name="energy_true")
    geom = WcsGeom.create(binsz=1, width=20, frame="galactic", axes=[axis])
    with pytest.raises(ValueError, match="does not cover the whole sky"):
        ExposureMap(Map.from_geom(geom, unit="cm2 s"))
    with pytest.raises(ValueError, match="no axis 'energy_true'"):
        ExposureMap(Map.from_geom(geom.to_image()))


@requires_data
@pytest.mark.parametrize("event_type", ["PSF2", "PSF3"])
def test_psf_against_gtpsf(event_type):
    with fits.open(DATA / f"lat/irfs/gtpsf_P8R3_CLEAN_V3_{event_type}_gc.fits") as hdus:
        energy = hdus["PSF"].data["Energy"].astype(float)[:40] * 1e-3
        expected = hdus["PSF"].data["Psf"].astype(float)[:40]
        rad = hdus["THETA"].data["Theta"].astype(float)
    irf = LatIRF.read(DATA / "lat/irfs", "P8R3_CLEAN_V2", event_type)
    cos_theta = np.arange(0.425, 1, 0.05)
    area = irf.effective_area(energy, cos_theta)[..., None]
    psf = (area * irf.psf(energy, cos_theta, rad)).sum(axis=0) / area.sum(axis=0)
    for fraction, rtol in ((0.5, 0.025), (0.68, 0.025), (0.95, 0.06)):
        radii = [containment_radius(rad, _, fraction) for _ in psf]
        assert_allclose(radii, [containment_radius(rad, _, fraction) for _ in expected], rtol=rtol)


@requires_data
def test_lat_response():
    response = lat_response("P8R3_ULTRACLEANVETO_V2", "FRONT", caldb=DATA / "lat/irfs")
    assert_allclose(band_radii(response), [1.21, 0.73, 0.41, 0.22, 0.104, 0.074], rtol=0.03)
    assert_allclose(
        response.exposure.mean(axis=1), np.array([1.0, 1.27, 1.56, 1.67, 1.68, 1.65]) * 1e11, rtol=0.01
    )
    source = lat_response("P8R3_SOURCE_V2", "FRONT+BACK", caldb=DATA / "lat/irfs")
    assert_allclose(band_radii(source), [1.84, 1.14, 0.64, 0.34, 0.16, 0.11], rtol=0.04)
    types = lat_response("P8R3_SOURCE_V2", "PSF0+PSF1+PSF2+PSF3", caldb=DATA / "lat/irfs")
    assert_allclose(types.exposure, source.exposure, rtol=0.01)
    assert_allclose(band_radii(types), band_radii(source), rtol=0.02)


@requires_data
def test_exposure_against_3fhl():
    path = DATA / "gammapy-data/fermi_3fhl/fermi_3fhl_exposure_cube_hpx.fits.gz"
    published = Map.read(path)
    energy = published.geom.axes["energy_true"].center.to_value("GeV")
    response = lat_response("P8R2_SOURCE_V6", "FRONT+BACK", e_min=10, livetime=7, caldb=DATA / "lat/irfs")
    mean = published.data.mean(axis=1) * published.unit.to("cm2 s")
    edges = response.sub_edges[-1]
    expected = np.interp(np.sqrt(edges[:-1] * edges[1:]), energy, mean)
    assert_allclose(response.exposure[-1], expected, rtol=0.03)


def test_one_exposure_for_each_band(caldb):
    with pytest.raises(ValueError, match="exposure needs one value for each of 6 bands"):
        lat_response("TEST_V1", "FRONT", exposure=[1e11], caldb=caldb)
