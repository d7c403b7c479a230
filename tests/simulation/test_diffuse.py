# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of the models of diffuse emission."""

import os
from pathlib import Path

import astropy.units as u
import healpy
import numpy as np
import pytest
import torch
from gammapy.maps import HpxGeom, Map, MapAxis, WcsGeom
from numpy.testing import assert_allclose

from gammapy_asid.simulation.diffuse import EmissionBank, EmissionModel, analytic_emission
from gammapy_asid.simulation.lat_bank import _deconvolve, coarse_v07, fine_v07, fit_gas, fit_templates
from gammapy_asid.simulation.sky_grid import INTERVALS, fill_healpix, integrate_intervals, sky_grid

DATA = Path(os.environ.get("GAMMAPY_ASID_DATA", "missing"))
requires_data = pytest.mark.skipif(not (DATA / "lat/iem").exists(), reason="needs GAMMAPY_ASID_DATA")

#: Integral of (E / GeV)**-2.4 over each interval.
POWER_LAW = -np.diff(np.array(INTERVALS) ** -1.4) / 1.4


@pytest.fixture(scope="module")
def analytic():
    return analytic_emission(seed=3)


def write_cube(path, geom, image):
    """Write a cube of a power law of index 2.4 times an image in cm-2 s-1 GeV-1 sr-1 at 1 GeV."""
    energy = geom.axes[0].center.to_value("GeV")
    dnde = (image[None] * energy.reshape(-1, *[1] * image.ndim) ** -2.4) * 1e-3
    Map.from_geom(geom, data=dnde, unit="cm-2 s-1 MeV-1 sr-1").write(path)
    return path


def energy_nodes(n=20):
    return MapAxis.from_nodes(np.geomspace(50, 8e5, n) * u.MeV, interp="log", name="energy_true")


def test_integrate_intervals():
    energy = np.geomspace(0.06, 700, 30)
    assert_allclose(integrate_intervals(energy, energy**-2.4), POWER_LAW, rtol=1e-9)
    # The slope at which the power-law formula is 0/0
    assert_allclose(integrate_intervals(energy, energy**-1.0), np.diff(np.log(INTERVALS)), rtol=1e-6)


def test_interpolate_is_exact_for_planes():
    lon, lat = np.meshgrid(*sky_grid())
    image = 2 + lat / 90 + np.abs(lon) / 180
    model = EmissionModel("test", np.broadcast_to(image, (9, *image.shape)).astype(np.float32))
    lon, lat = np.array([0.1, 100.33, 179.9, 180.0, 200.0, 359.8]), np.array([-90, -20.2, 0.07, 45, 60, 90])
    expected = 2 + lat / 90 + np.array([0.125, 100.33, 179.9, 180, 160, 0.2]) / 180
    assert_allclose(model.interpolate(lon, lat)[:, 4], expected, atol=0.0005)
    assert model.interpolate(10, 20).shape == (9,)


def test_torch_mapping(analytic):
    lon, lat = np.array([-170.3, -30.2, 0, 12.7, 179.99]), np.array([-70, -1.3, 0, 33.1, 89.9])
    images = EmissionBank.from_models([analytic]).to_torch()
    grid = torch.tensor(np.stack([-lon / 180, lat / 90], axis=-1), dtype=torch.float32)[None, None]
    sampled = torch.nn.functional.grid_sample(images, grid, align_corners=True)
    assert_allclose(sampled[0, :, 0].T, analytic.interpolate(lon, lat), rtol=1e-3)


@pytest.mark.parametrize("kind", ["car", "car-no-poles", "hpx"])
def test_from_cube(tmp_path, kind):
    axes = [energy_nodes()]
    if kind == "hpx":
        geom = HpxGeom.create(nside=64, frame="galactic", axes=axes)
    else:
        binsz = (1.5, 1.375) if kind == "car-no-poles" else 1.0
        geom = WcsGeom.create(binsz=binsz, frame="galactic", proj="CAR", axes=axes)
    position = geom.to_image().get_coord().skycoord.galactic
    image = 1e-6 * (2 + np.nan_to_num(position.cartesian.y.value))
    path = write_cube(tmp_path / "sky_v1.fits", geom, image)
    model = EmissionModel.from_cube(path)
    assert model.name == "sky_v1"
    assert np.isfinite(model.intensity).all()
    lon, lat = np.array([0, 90, 179.7, 180.3, 270]), np.array([0, 20, -3, 3, -60])
    expected = 1e-6 * (2 + np.cos(np.radians(lat)) * np.sin(np.radians(lon)))
    assert_allclose(model.interpolate(lon, lat), expected[:, None] * POWER_LAW, rtol=0.01)


def test_from_cutout(tmp_path):
    geom = WcsGeom.create(
        skydir=(263, -3), width=(10, 8), binsz=0.125, frame="galactic", proj="CAR", axes=[energy_nodes()]
    )
    path = write_cube(tmp_path / "cutout.fits", geom, np.full(geom.data_shape[1:], 1e-6))
    model = EmissionModel.from_cube(path)
    inside = np.isfinite(model.intensity[0])
    assert_allclose(inside.sum() * 0.25**2, 80, rtol=0.03)
    assert_allclose(model.interpolate(263, -3), 1e-6 * POWER_LAW, rtol=1e-5)
    assert np.isnan(model.interpolate(270, -3)).all()


def test_from_cube_of_another_quantity(tmp_path):
    geom = WcsGeom.create(binsz=5, frame="galactic", proj="CAR", axes=[energy_nodes()])
    Map.from_geom(geom, unit="cm2 s").write(tmp_path / "exposure.fits")
    with pytest.raises(ValueError, match="is in cm2 s: give differential intensity"):
        EmissionModel.from_cube(tmp_path / "exposure.fits")
    Map.from_geom(geom.to_image()).write(tmp_path / "image.fits")
    with pytest.raises(ValueError, match="has no energy axis"):
        EmissionModel.from_cube(tmp_path / "image.fits")


def test_from_healpix(analytic):
    lon, lat = healpy.pix2ang(32, np.arange(12 * 32**2), lonlat=True)
    values = np.stack([1 + 0.3 * np.sin(np.radians(lat)), np.full(lon.size, 0.5)])
    values[0, 1000] = np.nan
    model = EmissionModel.from_healpix(values, (1.0, 2.0, 20.0), analytic, "test")
    position = np.array([10.0, 222.0]), np.array([30.0, -60.0])
    intensity = model.interpolate(*position)
    assert_allclose(intensity[:, 2], 1 + 0.3 * np.sin(np.radians(position[1])), rtol=2e-3)
    assert_allclose(intensity[:, 3:6].sum(axis=1), 0.5, rtol=2e-3)
    # Below and above, the spectrum is that of the other model
    spectrum = analytic.interpolate(*position)
    assert_allclose(intensity[:, 0] / intensity[:, 2], spectrum[:, 0] / spectrum[:, 2], rtol=0.02)
    assert_allclose(intensity[:, 8] / intensity[:, 5], spectrum[:, 8] / spectrum[:, 5], rtol=0.02)
    with pytest.raises(ValueError, match="Band 1.0-3.0 GeV: its edges must be among"):
        EmissionModel.from_healpix(values[:1], (1.0, 3.0), analytic, "test")


def test_fill_healpix():
    values = np.arange(768.0)
    hole = np.append(healpy.get_all_neighbours(8, 300), 300)
    damaged = values.copy()
    damaged[hole] = np.nan
    filled = fill_healpix(damaged)
    assert np.isfinite(filled).all()
    assert_allclose(filled[hole], values[hole], atol=50)
    with pytest.raises(ValueError, match="no valid pixel"):
        fill_healpix(np.full(768, np.nan))


def test_isotropic(tmp_path):
    energy = np.geomspace(30, 1e6, 40)
    np.savetxt(tmp_path / "iso.txt", np.stack([energy, 1e-10 * (energy / 1e3) ** -2.4, energy * 0], axis=1))
    model = EmissionModel.isotropic(tmp_path / "iso.txt")
    assert_allclose(model.interpolate([0, 77], [-90, 12]), 1e-7 * np.stack([POWER_LAW] * 2), rtol=1e-4)


def test_analytic_emission(analytic):
    assert analytic.intensity.dtype == np.float32
    assert (analytic.intensity > 0).all()
    assert_allclose(analytic.intensity, analytic_emission(seed=3).intensity)
    assert not np.allclose(analytic.intensity, analytic_emission(seed=4).intensity, rtol=0.1)
    # Plane over poles in 1-2 GeV, and the isotropic background measured there
    pole, plane = analytic.interpolate([0, 0], [88, 0])[:, 2]
    assert 3e-7 < pole < 1.5e-6
    assert plane / pole > 50
    total = analytic.intensity.mean(axis=(1, 2))
    index = 1 - np.log(total[2] / total[1]) / np.log(2)
    assert 2.0 < index < 2.7


def test_model_of_wrong_shape():
    with pytest.raises(ValueError, match=r"Intensity of 'x' has shape \(9, 3, 3\)"):
        EmissionModel("x", np.zeros((9, 3, 3)))


def test_sum(analytic):
    both = analytic + analytic
    assert both.name == "analytic"
    assert_allclose(both.intensity, 2 * analytic.intensity)


def test_bank_reads_back_equal(tmp_path, analytic):
    double = EmissionModel("double", 2 * analytic.intensity)
    bank = EmissionBank.from_models([analytic, double])
    bank.save(tmp_path / "bank.safetensors")
    read = EmissionBank.load(tmp_path / "bank.safetensors")
    assert read.names == ("analytic", "double")
    assert len(read) == 2
    assert np.array_equal(read.intensity, bank.intensity)
    assert_allclose(read["double"].intensity, double.intensity)
    assert [p.name for p in tmp_path.iterdir()] == ["bank.safetensors"]
    with pytest.raises(FileExistsError, match=r"exists: choose another name or overwrite it"):
        bank.save(tmp_path / "bank.safetensors")
    with pytest.raises(KeyError, match="No model 'v99' in the bank: it holds analytic, double"):
        bank["v99"]


def test_deconvolution():
    lon, lat = healpy.pix2ang(64, np.arange(12 * 64**2), lonlat=True)
    truth = 1 + 20 * np.exp(-0.5 * (lat / 1.5) ** 2) * (1 + 0.5 * np.cos(np.radians(4 * lon)))
    beam = healpy.gauss_beam(np.radians(5), lmax=191)
    blurred = healpy.smoothing(truth, beam_window=beam)
    restored = _deconvolve(blurred, beam, start=truth**0.8, n_steps=8)
    assert np.abs(blurred / truth - 1).max() > 0.5
    assert np.std(restored / truth) < 0.3 * np.std(blurred / truth)
    assert_allclose(healpy.smoothing(restored, beam_window=beam), blurred, rtol=0.05)


@requires_data
def test_v07_against_the_official_cutout():
    fine = fine_v07(DATA, coarse_v07(DATA), n_steps=2)
    isotropic = EmissionModel.isotropic(DATA / "lat/iem/iso/iso_P8R3_ULTRACLEANVETO_V3_FRONT_v1.txt")
    official = EmissionModel.from_cube(DATA / "lat/iem/gll_iem_v07_gc.fits.gz") + isotropic
    lon, lat = np.meshgrid(np.linspace(-4, 4, 33), np.linspace(-4, 4, 33))
    ratio = fine.interpolate(lon, lat) / official.interpolate(lon, lat)
    # Blurred, the first two would differ by 0.3 and 0.2
    assert_allclose(np.log(ratio[..., 1:]).std(axis=(0, 1)), 0, atol=0.12)
    # The counts belong to exposures stated in two digits
    assert_allclose(ratio[..., 1:6].mean(axis=(0, 1)), 1, atol=0.25)


@requires_data
def test_templates():
    v07 = coarse_v07(DATA)
    for names, name, radius, lon, lat in (
        (("dif", "iso"), "p6v11", 180.0, 120, 10),
        (("Opi", "Oic", "bub", "iso"), "model-o", 25.0, 10, 5),
    ):
        model = fit_templates(DATA, names, v07, name, radius)
        assert_allclose(model.interpolate(lon, lat) / v07.interpolate(lon, lat), 1, atol=0.2)
        assert np.isnan(model.interpolate(30, 0)).all() == (radius < 180)


@requires_data
def test_gas_model():
    v07 = coarse_v07(DATA)
    gas = fit_gas(
        DATA, ("h1_nh_LAB", "dust_ebv_SFD"), [(6, 40)], v07, "gas", fwhm=10.0, small_scale=0.1, seed=0
    )
    ratio = np.log(gas.intensity / v07.intensity)[2]
    assert np.isfinite(ratio).all()
    assert abs(ratio.mean()) < 0.02
    assert 0.03 < ratio.std() < 0.2
