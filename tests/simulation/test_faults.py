# Licensed under a 3-clause BSD style license - see LICENSE
"""What faulty patches are made of: gas, wrong predictions, masks, added sources."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from gammapy_asid.simulation import missing_gas, wrong_emission
from gammapy_asid.simulation.added_sources import (
    bright_sources,
    close_pairs,
    extended_profiles,
    extended_sources,
    wrong_model,
)
from gammapy_asid.simulation.extended import BORDER
from gammapy_asid.simulation.patch_images import smoothed
from gammapy_asid.simulation.patches import PatchSources
from gammapy_asid.simulation.sky import ResponseBank, source_counts
from gammapy_asid.simulation.sky_grid import INTERVALS
from gammapy_asid.simulation.spectra import photon_flux
from gammapy_asid.simulation.variations import generators
from gammapy_asid.simulation.wrong_masks import places_outside, ragged_masks

SIZE = 32
PIXEL = torch.tensor([0.1, 0.15])


def intensity(level):
    """Flat emission of two patches."""
    return torch.full((2, len(INTERVALS) - 1, 16, 16), level)


@pytest.fixture(scope="module")
def bank(make_response):
    return ResponseBank([make_response(0.1)])


def sources(bank, n):
    one = torch.ones(n)
    spectra = {"amplitude": 1e-9 * one, "reference": one, "index": 2.2 * one, "beta": 0 * one}
    spectra |= {"lambda_": 0 * one, "alpha": one}
    index = torch.zeros(n, dtype=torch.long)
    counts = source_counts(bank, index, spectra)
    return PatchSources(
        patch=index, x=16 * one, y=16 * one, flux=one, spectra=spectra, counts=counts, latitude=0 * one
    )


def test_clumps_follow_the_gas():
    numbers, fluxes = [], []
    for level in (1e-6, 4e-5):
        gas = missing_gas.gas_intensity(intensity(level), SIZE)
        assert gas.shape == (2, SIZE + 2 * BORDER, SIZE + 2 * BORDER)
        assert_allclose(gas, level - missing_gas.NO_GAS, rtol=1e-5)
        total = number = 0
        for seed in range(4):
            # Wide pixels, on which nearly all clumps are points
            contrast, resolved, points = missing_gas.draw_clumps(*generators(seed), gas, 10 * PIXEL)
            low, high = missing_gas.CONTRAST
            assert ((contrast >= low) & (contrast <= high)).all() and (resolved >= 0).all()
            total, number = total + resolved.sum() + points[3].sum(), number + len(points[0])
        numbers.append(number)
        fluxes.append(float(total))
    # The number grows with the brightness up to a limit, and each clump's flux is proportional to it.
    gas = np.array([1e-6, 4e-5]) - missing_gas.NO_GAS
    assert_allclose(numbers[1] / numbers[0], (gas / (gas + missing_gas.PLANE))[1] / 0.052, rtol=0.2)
    assert fluxes[1] / fluxes[0] > 2 * gas[1] / gas[0]
    # The poles have little gas, and never none.
    assert (missing_gas.gas_intensity(intensity(1e-7), SIZE) > 0.9e-8).all()


def test_filaments_are_thin():
    gas = missing_gas.gas_intensity(intensity(1e-5), SIZE)
    contrast = torch.tensor([0.5, 0.0])
    flux = missing_gas.draw_filaments(*generators(1), gas, PIXEL, contrast)
    assert (flux[1] == 0).all() and (flux >= 0).all()
    # A minor part of the sky holds nearly all of it.
    bright = flux[0].flatten().sort(descending=True)[0]
    assert bright[: len(bright) // 4].sum() > 0.9 * bright.sum()


def test_unit_spectra():
    index = torch.tensor([1.9, 2.4])
    spectra = missing_gas.unit_spectra(index, 0.125)
    assert_allclose(photon_flux(spectra, torch.ones(2), 2 * torch.ones(2)), 1, rtol=1e-5)


def test_errors_of_predictions(monkeypatch):
    rng = np.random.default_rng(1)
    right, other = intensity(1e-6), intensity(3e-6)
    cell = torch.tensor([0.3, 0.5])
    for name in wrong_emission.SHARES:
        shares = {key: float(key == name) for key in wrong_emission.SHARES}
        monkeypatch.setattr(wrong_emission, "SHARES", shares)
        ratio = wrong_emission.wrong_prediction(rng, right, other, cell) / right
        log = torch.log(ratio)[:, :, 0, 0]
        if name == "smooth":
            assert_allclose(ratio, 1, rtol=1e-5)
        elif name == "model":
            assert_allclose(ratio, 3, rtol=1e-5)
        elif name == "level":
            assert ((ratio - 1).abs() > 0.0499).all() and ((ratio - 1).abs() < 0.301).all()
            assert_allclose(log, log[:, :1].expand_as(log), rtol=1e-4)
        else:
            # Nine intervals, half a decade each, about the middle one
            assert_allclose(log[:, 4], 0, atol=1e-6)
            slope = (log[:, 8] - log[:, 0]).abs() / (8 * np.log(10) / 2)
            assert ((slope >= 0.049) & (slope <= 0.301)).all()


def test_smoothing_widens_what_is_narrow():
    narrow = intensity(0.0)
    narrow[:, :, 8, 8] = 1.0
    smooth = smoothed(narrow, torch.tensor([1.5, 0.0])[:, None])
    assert_allclose(smooth[0, 0, 8, 8], 1 / (2 * np.pi * 1.5**2), rtol=0.01)
    assert_allclose(smooth.sum((2, 3)), 1, rtol=0.02)
    assert_allclose(smooth[1], narrow[1], atol=1e-6)


def test_edges_run_through_patches():
    rng = np.random.default_rng(2)
    images = wrong_emission.draw_edges(rng, torch.full((40,), 0.1), SIZE)
    inside = images[:, BORDER:-BORDER, BORDER:-BORDER]
    assert (images >= 0).all() and (images <= 1).all()
    # An arc thinner than its edges are sharp does not reach one.
    assert (inside.amax((1, 2)) - inside.amin((1, 2)) > 0.2).all()


def test_masks_and_places_outside():
    rng = np.random.default_rng(3)
    masks = ragged_masks(rng, 60, SIZE)
    assert masks.shape == (60, SIZE, SIZE) and set(np.unique(masks)) == {0, 1}
    assert masks.mean((1, 2)).min() > 0.05
    full = np.ones((1, SIZE, SIZE), np.float32)
    patch, x, y = places_outside(rng, full, 50, (3.0, 9.0))
    beyond = np.maximum(np.abs(x - 15.5), np.abs(y - 15.5)) - 15.5
    assert (patch == 0).all() and beyond.min() > 1.5 and beyond.max() < 9.5


def test_pairs_keep_the_counts(bank):
    single = sources(bank, 400)
    both = close_pairs(np.random.default_rng(4), single, torch.tensor([4.0]))
    assert 60 < len(both.x) - 400 < 180
    assert_allclose(both.counts.sum(0), single.counts.sum(0), rtol=1e-4)
    distance = torch.hypot(both.x[400:] - 16, both.y[400:] - 16) / 4
    assert distance.min() >= 0.0999 and distance.max() <= 0.5001


def test_added_sources(bank):
    rng, instrument = np.random.default_rng(5), torch.zeros(1, dtype=torch.long)
    like = sources(bank, 8)
    place, flux = torch.linspace(0, 31, 20), torch.logspace(-9, -7, 20)
    patch = torch.zeros(20, dtype=torch.long)
    added = bright_sources(rng, like, bank, instrument, patch, place, place, flux)
    one, hundred = torch.ones(20), 100 * torch.ones(20)
    assert_allclose(photon_flux(added.spectra, one, hundred), flux, rtol=1e-4)
    assert_allclose(added.counts.sum((1, 2)) / flux, (added.counts.sum((1, 2)) / flux)[0], rtol=1e-4)

    model = wrong_model(rng, added, bank, instrument, 0.4)
    assert torch.equal(model.flux, added.flux)
    ratio = model.counts[:, 3].sum(-1) / added.counts[:, 3].sum(-1)
    # Near the pivot the error is that of the flux, up to a fifth.
    assert 0.02 < (ratio - 1).abs().mean() and ((ratio - 1).abs() < 0.25).all()
    shift = torch.hypot(model.x - added.x, model.y - added.y) * 0.1
    assert shift.min() > 0.0079 and shift.max() < 0.201

    wide = extended_sources(rng, bank, instrument, patch, SIZE)
    assert_allclose(photon_flux(wide.spectra, one, hundred), 1, rtol=1e-4)
    assert_allclose(wide.pixel_width, 10 * wide.width, rtol=1e-5)
    profiles = extended_profiles(*generators(6), wide, SIZE)
    assert_allclose(profiles.sum((1, 2)), 1, rtol=1e-4)
    # The root mean square along the axes is the width, but for clumps and what a pixel does.
    grid = torch.arange(SIZE + 2 * BORDER) - BORDER
    near = (wide.pixel_width > 2) & (wide.pixel_width < 6)
    dx = (profiles.sum(1) * (grid - wide.x[:, None]) ** 2).sum(1)
    dy = (profiles.sum(2) * (grid - wide.y[:, None]) ** 2).sum(1)
    assert near.any()
    assert_allclose(torch.sqrt((dx + dy) / 2)[near] / wide.pixel_width[near], 1, atol=0.3)
