# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of power laws through counts and of the scale of fluxes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from gammapy_asid.simulation.sky import ResponseBank, source_counts
from gammapy_asid.simulation.spectra import photon_flux
from gammapy_asid.stats.flux_scale import FluxScale, flux_bound, flux_scale
from gammapy_asid.stats.spectral_fit import INDICES, fit_power_laws


def power_law(response, index, flux=3e-8):
    """Spectra with a photon flux above 1 GeV, and their counts."""
    index = torch.tensor(index)
    ones = torch.ones_like(index)
    spectra = {"amplitude": flux * (index - 1), "reference": ones, "index": index}
    spectra |= {"beta": 0 * ones, "lambda_": 0 * ones, "alpha": ones}
    counts = source_counts(ResponseBank([response]), torch.zeros(len(index), dtype=torch.long), spectra)
    return spectra, counts.sum(-1)


def test_photon_flux_of_a_power_law(response):
    spectra, _ = power_law(response, [2.0, 2.5])
    low, high = torch.tensor([1.0, 1.0]), torch.tensor([100.0, 100.0])
    exact = 3e-8 * (1 - 100 ** -np.array([1.0, 1.5]))
    assert_allclose(photon_flux(spectra, low, high), exact, rtol=1e-6)


def test_power_laws_are_recovered(response):
    index = [1.8, 2.3, 2.9]
    spectra, counts = power_law(response, index)
    laws = fit_power_laws(response, counts, torch.sqrt(counts))
    # The prior and the freedom of spectra draw to 2.3.
    assert_allclose(laws.index, index, atol=0.12)
    assert_allclose(laws.counts, counts, rtol=0.15)
    for low, high in ((1.0, 100.0), (0.3, 1000.0), (2.0, 7.0)):
        ends = torch.full((3,), low), torch.full((3,), high)
        scale = flux_scale(response, laws, counts, torch.sqrt(counts), *ends)
        assert_allclose(torch.exp(scale.log_flux), photon_flux(spectra, *ends), rtol=0.12)
        assert_allclose(scale.observed, scale.predicted, rtol=0.15)


def test_bright_spectra_are_as_uncertain_as_spectra_are_curved(response):
    """Without noise the bands scatter by 20 % around a power law, and the index is known no better."""
    trial = INDICES[5:].numpy()
    own = int(np.argmin(np.abs(trial - 2.3)))
    _, counts = power_law(response, trial.tolist())
    share = (counts / counts.sum(1, keepdim=True)).double().numpy()
    # Posterior of the index, with its prior, for the counts of one of 2.3
    ratio = share[own] / share
    chi2 = ((ratio - ratio.mean(1, keepdims=True)) ** 2).sum(1) / 0.2**2 + 2 * np.log(share).sum(1)
    chi2 += ((trial - 2.3) / 0.4) ** 2
    posterior = np.exp(-0.5 * (chi2 - chi2.min()))
    mean, square = (np.average(trial**power, weights=posterior) for power in (1, 2))
    for scale in (1e3, 1e5):
        bright = scale * counts[own : own + 1]
        laws = fit_power_laws(response, bright, torch.sqrt(bright))
        assert float(laws.index) == pytest.approx(mean, abs=1e-3)
        assert float(laws.index_error) == pytest.approx(np.sqrt(square - mean**2), rel=0.03)


def test_unit_is_the_error_of_the_counts(response):
    _, counts = power_law(response, [2.3])
    error = torch.sqrt(counts)
    laws = fit_power_laws(response, counts, error)
    scale = flux_scale(response, laws, counts, error, torch.tensor([2.0]), torch.tensor([7.0]))
    relative = float(torch.exp(scale.log_unit - scale.log_flux))
    assert relative == pytest.approx(float(error[0, 3] / counts[0, 3]), rel=0.1)


@pytest.mark.parametrize(("error", "weight"), [(0.2, 0.5), (0.1, 0.8), (0.6, 0.1)])
def test_flux_is_between_power_law_and_counts(response, error, weight):
    """Bands scatter by 20 % around a power law: the counts of a band weigh as their error is to that."""
    _, counts = power_law(response, [2.3])
    laws = fit_power_laws(response, 1e3 * counts, torch.sqrt(1e3 * counts))
    ends = torch.tensor([2.0]), torch.tensor([7.0])
    laws_alone = flux_scale(response, laws, laws.counts, error * laws.counts, *ends)
    more = flux_scale(response, laws, 1.3 * laws.counts, error * laws.counts, *ends)
    ratio = float(torch.exp(more.log_flux - laws_alone.log_flux))
    assert ratio == pytest.approx(1 + 0.3 * weight, rel=1e-3)


def test_bound_is_that_of_the_bands(response):
    spectra, counts = power_law(response, [2.3])
    ends = torch.tensor([2.0]), torch.tensor([7.0])
    # Nothing but the band of the range itself is seen: the error of its counts.
    only = torch.zeros(1, 6)
    only[:, 3] = 100.0
    alone = flux_bound(only, response, spectra, *ends)
    assert alone == pytest.approx(0.1, rel=0.03)
    # All bands together tell more of it, and less than if the spectrum were known.
    every = flux_bound(torch.full((1, 6), 100.0), response, spectra, *ends)
    assert 1 / np.sqrt(600) < every < alone
    # A range without photons of its own leans on the others and on what spectra are like.
    beyond = flux_bound(only, response, spectra, torch.tensor([20.0]), torch.tensor([1000.0]))
    assert beyond > 3 * alone


def test_no_counts_give_a_flux_near_zero(response):
    counts = torch.zeros(1, 6)
    laws = fit_power_laws(response, counts, torch.full((1, 6), 3.0))
    scale = flux_scale(
        response, laws, counts, torch.full((1, 6), 3.0), torch.tensor([0.3]), torch.tensor([1e3])
    )
    assert torch.isfinite(scale.inputs()).all()
    assert scale.start < 0.2


@settings(deadline=None)
@given(st.floats(-40, -10), st.floats(-8, 8), st.floats(-5, 30))
def test_scale_is_inverted(log_unit, ratio, coordinate):
    one = torch.ones(1)
    scale = FluxScale((log_unit + ratio) * one, log_unit * one, one, one, torch.zeros(1, 2))
    flux = scale.flux(coordinate * one)
    assert flux >= 0
    if flux > 0:
        assert_allclose(scale.coordinate(flux), coordinate, rtol=1e-3, atol=2e-2)
