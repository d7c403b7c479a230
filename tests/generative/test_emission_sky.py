# Licensed under a 3-clause BSD style license - see LICENSE
"""What is learned from: coarse emission, its fine structure, and sectors that are kept out."""

import healpy
import numpy as np
import pytest
import torch
from gammapy.maps import Map, MapAxis
from numpy.testing import assert_allclose

from gammapy_asid.simulation.diffuse import EmissionBank, EmissionModel
from gammapy_asid.simulation.sky_grid import sky_grid
from gammapy_asid.simulation.variations import generators, patch_grid
from gammapy_asid.tasks.generative.simulator import draw_places
from gammapy_asid.tasks.generative.sky import EmissionSky, held_out, n_channels, read_intensity


def direction(lon, lat):
    lon, lat = np.radians(lon), np.radians(lat)
    vector = [np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)]
    return torch.tensor(np.stack(np.broadcast_arrays(*vector), -1), dtype=torch.float32)


def place(lon, lat):
    return torch.deg2rad(torch.tensor([[lon, lat]])), torch.zeros(1)


@pytest.mark.parametrize(
    "lon, lat, kept",
    [(37, 0, True), (71, 70, True), (-110, -70, True), (35, 0, False), (73, 5, False), (50, 76, False)],
)
def test_sectors(lon, lat, kept):
    assert bool(held_out(direction(lon, lat))) is kept


def test_a_fifth_is_kept_out():
    rng = np.random.default_rng(0)
    lon, lat = rng.uniform(-180, 180, 100_000), np.degrees(np.arcsin(rng.uniform(-1, 1, 100_000)))
    assert_allclose(held_out(direction(lon, lat)).float().mean(), 0.2 * np.sin(np.radians(75)), atol=0.004)


@pytest.mark.parametrize("held", [False, True])
def test_patches_lie_wholly_inside_or_outside(held):
    centres, roll = draw_places(np.random.default_rng(1), 200, 48, 0.3, held)
    assert centres.shape == (200, 2)
    inside = held_out(patch_grid(centres, roll, torch.full((200,), 12.0), 48))
    assert bool((inside == held).all())


def test_patches_anywhere_cover_sky_and_plane():
    centres, _ = draw_places(np.random.default_rng(1), 4000, 48, 0.3)
    # Isotropic ones are within 10 deg of the plane in 17 % of all cases
    assert_allclose((centres[:, 1].abs() < np.radians(10)).float().mean(), 0.3 + 0.7 * 0.174, atol=0.025)
    assert centres[:, 0].max() > 6.2


def test_a_smooth_sky_has_no_structure():
    lon, lat = np.meshgrid(*sky_grid())
    smooth = np.exp(0.3 * np.sin(np.radians(lat)))
    patches = EmissionSky(smooth, (), amplitude=(0, 0, 0)).patches(*place(30.0, 20.0), 32)
    assert patches.structure.abs().max() < 1e-3
    # Without tracers: latitude, its absolute value, and the emission over its median
    assert patches.channels.shape == (1, n_channels(0), 32, 32)
    assert_allclose(patches.channels[0, 0].mean(), np.sin(np.radians(20)), atol=0.01)
    assert_allclose(patches.channels[0, 2], 0.3 * patches.channels[0, 0], atol=2e-3)


def test_a_bright_spot_lies_where_the_patch_shows_it():
    lon, lat = np.meshgrid(*sky_grid())
    spot = 1 + np.exp(-0.5 * ((lat - 2.0) ** 2 + (lon - 31.0) ** 2) / 0.25**2)
    patches = EmissionSky(spot, (), amplitude=(0, 0, 0)).patches(*place(30.0, 0.0), 32)
    row, column = np.unravel_index(int(patches.structure[0].argmax()), (32, 32))
    # Pixels of 0.25 deg; longitude grows with x
    assert_allclose([(column - 15.5) / 4, (row - 15.5) / 4], [1, 2], atol=0.15)
    # The nearest pixel is half of one away in either direction, where exp(-1 / 4) of the spot is left; the
    # Gaussian of 0.75 deg leaves a tenth of it
    assert_allclose(patches.structure.max(), np.log((1 + np.exp(-0.25)) / 1.1), atol=0.02)


def test_strength_is_expected_right(simulator):
    patches = simulator.real(np.random.default_rng(0), 200, held=False)
    assert_allclose(patches.normalised.std(), 1, atol=0.15)
    # The coarse emission is the mean of the fine
    assert_allclose(torch.exp(patches.structure).mean(), 1, atol=0.01)
    assert patches.channels.shape == (200, n_channels(1), 16, 16)
    assert torch.isfinite(patches.channels).all()


def test_level_of_the_emission_does_not_matter(recipe):
    intensity = read_intensity(recipe)
    one, other = (
        EmissionSky(factor * intensity, recipe.tracers).patches(*place(120.0, 5.0), 16) for factor in (1, 50)
    )
    assert_allclose(one.channels, other.channels, atol=1e-5)
    assert_allclose(one.normalised, other.normalised, atol=1e-4)


def test_drawn_noise(simulator):
    drawn, again = simulator.draw(64, (3, 4)), simulator.draw(64, (3, 4))
    assert torch.equal(drawn.patches.structure, again.patches.structure)
    assert torch.equal(drawn.level, again.level)
    assert_allclose(drawn.noise.std(), 1, atol=0.03)
    places = simulator.real(generators((3, 4))[0], 64, held=False)
    # Every second one is mirrored, with what is known of it
    for name in ("structure", "amplitude", "channels"):
        images, unturned = getattr(drawn.patches, name), getattr(places, name)
        assert torch.equal(images[1::2], unturned[1::2])
        assert torch.equal(images[::2], unturned[::2].flip(-1))


def test_cube_and_isotropic_spectrum_of_the_user(recipe, tmp_path):
    axis = MapAxis.from_energy_bounds("0.1 GeV", "1 TeV", 40, name="energy_true")
    cube = Map.create(
        npix=(90, 45), binsz=4, frame="galactic", proj="CAR", axes=[axis], unit="cm-2 s-1 MeV-1 sr-1"
    )
    cube.data += 1e-9 * (axis.center.to_value("GeV") ** -2)[:, None, None]
    cube.write(tmp_path / "cube.fits")
    energy = np.geomspace(50, 1e6, 50)
    np.savetxt(tmp_path / "isotropic.txt", np.stack([energy, 3e-9 * (energy / 1e3) ** -2], 1))
    changed = {"emission": str(tmp_path / "cube.fits"), "isotropic": str(tmp_path / "isotropic.txt")}
    intensity = read_intensity(recipe.model_copy(update=changed))
    # Of E^-2 half lies between 1 and 2 GeV; 1000 MeV in a GeV
    assert_allclose(intensity, 4e-9 * 1000 / 2, rtol=0.01)


def test_an_isotropic_spectrum_in_any_order(tmp_path):
    energy = np.geomspace(50, 1e6, 50)
    for name, order in (("up", slice(None)), ("down", slice(None, None, -1))):
        np.savetxt(tmp_path / name, np.stack([energy, energy**-2.0], 1)[order])
    up, down = (EmissionModel.isotropic(tmp_path / name).intensity[:, 0, 0] for name in ("up", "down"))
    assert_allclose(down, up)


@pytest.mark.parametrize(
    "text, message",
    [
        ("energy intensity\n", "no table of energy and intensity"),
        ("100 1e-9\n", "two or more energies"),
        ("100 1e-9\n100 2e-9\n", "two or more energies, all different"),
        ("100 1e-9\n200 nan\n", "intensities from 0"),
    ],
)
def test_what_is_no_isotropic_spectrum(tmp_path, text, message):
    (tmp_path / "iso.txt").write_text(text)
    with pytest.raises(ValueError, match=message):
        EmissionModel.isotropic(tmp_path / "iso.txt")
    with pytest.raises(FileNotFoundError, match="No such isotropic spectrum"):
        EmissionModel.isotropic(tmp_path / "none.txt")


def test_emission_on_another_grid_or_with_gaps(recipe):
    intensity = EmissionBank.load(recipe.emission)["analytic"].intensity
    with pytest.raises(ValueError, match="give one plane of EmissionModel.intensity"):
        EmissionSky(intensity, ())
    cut = intensity[2].copy()
    cut[0, 0] = np.nan
    with pytest.raises(ValueError, match="not positive over the whole sky"):
        EmissionSky(cut, ())


def test_a_tracer_in_another_frame(recipe, tmp_path):
    path = tmp_path / "gas.fits"
    healpy.write_map(str(path), np.ones(12 * 8**2), coord="C", dtype=np.float64)
    intensity = EmissionBank.load(recipe.emission)["analytic"].intensity[2]
    with pytest.raises(ValueError, match="gas.fits has COORDSYS 'C': tracers are maps in Galactic"):
        EmissionSky(intensity, (str(path),))


def test_emission_must_be_there(recipe, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No such cube of emission: \$NOT_SET"):
        read_intensity(recipe.model_copy(update={"emission": "$NOT_SET"}))
    with pytest.raises(ValueError, match="No model 'v09' in .*: it holds analytic"):
        read_intensity(recipe.model_copy(update={"model": "v09"}))
    model = EmissionBank.load(recipe.emission)["analytic"]
    model.intensity[:, :100] = np.nan
    EmissionBank.from_models([EmissionModel("cut", model.intensity)]).save(tmp_path / "cut.safetensors")
    changed = {"model": "cut", "emission": str(tmp_path / "cut.safetensors")}
    with pytest.raises(ValueError, match="not positive over the whole sky"):
        read_intensity(recipe.model_copy(update=changed))
