# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of search and fits in turn."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from numpy.testing import assert_allclose, assert_array_equal

from gammapy_asid import CandidateFitEstimator, DLSourceDetector, IterativeSearch
from gammapy_asid.catalog.columns import CandidateFlag
from gammapy_asid.likelihood import source_field


@pytest.fixture
def crowd(gev_sky):
    """Four sources near each other, and candidates whose fluxes are far off."""
    positions = SkyCoord([10.0, 10.3, 9.8, 10.1], [0.0, 0.2, 0.25, -0.3], unit="deg", frame="galactic")
    flux = np.array([20, 8, 6, 4]) * 1e-9
    indices = [2.0, 3.2, 1.8, 2.6]
    models = [gev_sky.source(*pair, index=i) for *pair, i in zip(positions, flux, indices, strict=True)]
    return gev_sky.dataset(models), gev_sky.candidates(positions, flux * [0.3, 3, 0.3, 3])


@pytest.fixture
def search(toy_model, crowd, monkeypatch):
    """A search that finds the crowd at once, and nothing more."""
    looks = iter([crowd[1], crowd[1][:0]])
    monkeypatch.setattr(IterativeSearch, "_look", lambda *_: next(looks))
    return IterativeSearch(DLSourceDetector(toy_model), fits=CandidateFitEstimator(width=3 * u.deg))


def test_test_statistics_are_those_beside_the_others_as_fitted(search, crowd):
    dataset, listed = crowd
    once = search.fits.run(dataset, listed)
    found = search.run(dataset)
    again = search.fits.run(dataset, found)
    # Neighbours with other spectra than their own change a test statistic by more
    assert np.abs(once.table["ts"] / again.table["ts"] - 1).max() > 0.02
    assert np.all(np.abs(found.table["ts"] - again.table["ts"]) < np.maximum(0.3, 0.01 * again.table["ts"]))
    assert_allclose(found.table["fit_flux"].value, again.table["fit_flux"].value, rtol=0.02)
    assert found.meta["search"]["rounds"] == [{"new": 4, "significant": 4}]


def test_fits_end_where_nothing_changes(search, gev_sky, monkeypatch):
    positions = SkyCoord([10.0, 11.9], [0.0, 1.9], unit="deg", frame="galactic")
    flux = np.array([8e-9, 8e-9])
    dataset = gev_sky.dataset([gev_sky.source(*pair) for pair in zip(positions, flux, strict=True)])
    listed = gev_sky.candidates(positions, flux)
    looks, numbers, fit = iter([listed, listed[:0]]), [], CandidateFitEstimator.run
    monkeypatch.setattr(IterativeSearch, "_look", lambda *_: next(looks))

    def counted(self, datasets, candidates, neighbours=None):
        numbers.append(len(candidates))
        return fit(self, datasets, candidates, neighbours)

    monkeypatch.setattr(CandidateFitEstimator, "run", counted)
    search.run(dataset)
    assert numbers == [2, 2]


def test_a_fit_that_works_at_last_is_not_flagged(search, crowd, monkeypatch):
    failed = []

    def fit_once(region, options, fit=source_field.fit_region):
        if len(failed) < 2:
            failed.append(region.source.name)
            raise RuntimeError("no minimum")
        return fit(region, options)

    monkeypatch.setattr(source_field, "fit_region", fit_once)
    found = search.run(crowd[0])
    assert len(failed) == 2
    assert np.all(np.isfinite(found.table["ts"]))
    assert_array_equal(found.table["flags"] & CandidateFlag.FIT_FAILED, 0)
