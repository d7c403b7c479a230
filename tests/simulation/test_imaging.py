# Licensed under a 3-clause BSD style license - see LICENSE
import os
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from gammapy.irf import PSF3D, Background3D, EffectiveAreaTable2D
from gammapy.maps import MapAxis, WcsGeom
from numpy.testing import assert_allclose

from gammapy_asid.inputs.psf import psf_radius
from gammapy_asid.simulation.imaging import CTAO_BANDS, IRF_FILES, ImagingInstrument


@pytest.fixture(scope="module")
def irf():
    """Area that falls off linearly to 4 deg, a Gaussian PSF that widens with offset, flat background."""
    energy = MapAxis.from_energy_bounds("20 GeV", "200 TeV", 16, name="energy_true")
    offset = MapAxis.from_edges(np.linspace(0, 4, 9), unit="deg", name="offset")
    rad = MapAxis.from_edges(np.linspace(0, 1, 401), unit="deg", name="rad")
    area = np.ones((16, 1)) * (1 - offset.center.value / 4) * 1e6
    sigma = np.radians(0.05 * (1 + offset.center.value / 4))[None, :, None]
    angle = np.radians(rad.center.value)
    psf = np.exp(-0.5 * (angle / sigma) ** 2) / (2 * np.pi * sigma**2) * np.ones((16, 1, 1))
    reco = MapAxis.from_energy_bounds("20 GeV", "200 TeV", 8, name="energy")
    fov = [MapAxis.from_edges(np.linspace(-4, 4, 17), unit="deg", name=f"fov_{a}") for a in ("lon", "lat")]
    return {
        "aeff": EffectiveAreaTable2D([energy, offset], data=area, unit="m2"),
        "psf": PSF3D([energy, offset, rad], data=psf, unit="sr-1"),
        "bkg": Background3D([reco, *fov], data=np.full((8, 16, 16), 1e-3), unit="s-1 MeV-1 sr-1"),
    }


@pytest.fixture(scope="module")
def instrument(irf):
    return ImagingInstrument.from_irf(irf)


def test_pointings_add_up(instrument):
    separation, livetime = np.array([[0.25], [2.25]]), np.array([3600.0, 7200.0])
    exposure = instrument.exposure(separation, livetime)
    expected = 1e10 * (3600 * (1 - 0.25 / 4) + 7200 * (1 - 2.25 / 4))
    assert_allclose(exposure, expected, rtol=1e-3)
    counts = instrument.background_counts(separation, livetime, 1e-6)
    widths = 1e3 * np.diff(CTAO_BANDS.edges)
    assert_allclose(counts[:, 0], 1e-3 * 10800 * widths * 1e-6, rtol=1e-2)
    assert np.all(instrument.exposure(np.array([[4.5]]), np.array([1.0])) == 0)


def test_point_spread_function_is_weighted_by_photons(instrument):
    response = instrument.response(np.array([0.25]), np.array([1.0]))
    # 68 % of a Gaussian lie within 1.51 widths.
    assert_allclose(psf_radius(response), 1.51 * 0.05 * (1 + 0.25 / 4), rtol=0.01)
    mixed = instrument.response(np.array([0.25, 3.25]), np.array([1.0, 1.0]))
    far = instrument.response(np.array([3.25]), np.array([1.0]))
    radii = [psf_radius(r)[0] for r in (response, mixed, far)]
    assert radii[0] < radii[1] < 0.5 * (radii[0] + radii[2])
    with pytest.raises(ValueError, match="No pointing sees"):
        instrument.response(np.array([9.0]), np.array([1.0]))


def test_field(instrument):
    geom = WcsGeom.create(skydir=(0, 0), width=(4, 2), binsz=0.1, frame="galactic")
    pointings = SkyCoord([-1, 1, 40], [0, 0, 0], unit="deg", frame="galactic")
    field = instrument.field(geom, pointings, [1, 1, 1] * u.h)
    assert len(field.pointings) == 2
    # Two equal pointings: symmetric in longitude.
    assert_allclose(field.exposure, field.exposure[..., ::-1], rtol=1e-6)
    assert_allclose(
        field.response(SkyCoord(0, 0, unit="deg", frame="galactic")).exposure,
        field.exposure[:, :, 9:11, 19:21].mean((2, 3)),
        rtol=5e-3,
    )
    with pytest.raises(ValueError, match="No pointing is near"):
        instrument.field(geom, pointings[2:], 1 * u.h)


def test_bad_input(irf):
    with pytest.raises(ValueError, match="has no bkg"):
        ImagingInstrument.from_irf({"aeff": irf["aeff"], "psf": irf["psf"]})
    with pytest.raises(FileNotFoundError, match="set GAMMAPY_DATA"):
        ImagingInstrument.from_irf("nowhere.fits")


@pytest.mark.filterwarnings("ignore:.*did not parse as fits unit")
@pytest.mark.skipif(
    not Path(os.path.expandvars(IRF_FILES["prod5-south"])).is_file(), reason="needs the responses of the CTAO"
)
def test_prod5_background():
    instrument = ImagingInstrument.from_irf("prod5-south")
    counts = instrument.background_counts(np.array([[1.0]]), np.array([41 * 3600]), np.radians(0.02) ** 2)
    assert_allclose(counts[:, 0], [110, 61, 1.3, 0.10], rtol=0.05)
