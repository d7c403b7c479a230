# Licensed under a 3-clause BSD style license - see LICENSE
"""Models that a fit tries have the flux and the bounds that they should."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from gammapy.datasets import Datasets, MapDataset
from gammapy.maps import MapAxis, WcsGeom
from gammapy.modeling.models import PowerLawSpectralModel, SkyModel
from numpy.testing import assert_allclose

from gammapy_asid.likelihood.listed_sources import ListedSource
from gammapy_asid.likelihood.trial_models import (
    as_curved,
    as_gaussian,
    free_position,
    neighbour,
    point_source,
)

E_RANGE = (1 * u.GeV, 100 * u.GeV)


@pytest.fixture
def datasets():
    axis = MapAxis.from_energy_bounds(*E_RANGE, nbin=2, name="energy")
    dataset = MapDataset.create(WcsGeom.create(npix=3, axes=[axis]))
    dataset.mask_safe.data[:] = True
    dataset.exposure.data[:] = 1e15
    return Datasets([dataset])


def listed(dec=20.0, spectrum=None, **kwargs):
    return ListedSource(name="a", position=SkyCoord(80, dec, unit="deg"), spectrum=spectrum, **kwargs)


@pytest.mark.parametrize("dec", [20.0, 80.0])
def test_trial_models_pass_the_check_of_gammapy(datasets, dec):
    point = point_source(listed(dec), datasets, E_RANGE, index_free=True)
    assert point.spatial_model.frame == ("icrs" if dec < 60 else "galactic")
    assert point.position.icrs.separation(SkyCoord(80, dec, unit="deg")) < 1e-6 * u.deg
    for model in (point, as_gaussian(point), *(as_curved(point, *E_RANGE, own) for own in ("", "PSR"))):
        # It would refuse parts of wrong units
        SkyModel(model.spectral_model, model.spatial_model)
        assert model.copy().spectral_model is not model.spectral_model


def test_source_without_a_flux_starts_from_some_photons(datasets):
    point = point_source(listed(), datasets, E_RANGE, index_free=False)
    exposure = datasets[0].exposure.quantity.to("cm2 s").max()
    assert_allclose((point.spectral_model.integral(*E_RANGE) * exposure).to_value(""), 20)
    assert point.spectral_model.index.frozen


def test_neighbour_keeps_its_fitted_spectrum(datasets):
    law = PowerLawSpectralModel(index=1.7, amplitude="3e-9 cm-2 s-1 GeV-1", reference="2 GeV")
    model = neighbour(listed(spectrum=law, is_fitted=True), datasets, E_RANGE)
    assert model.spectral_model.index.value == 1.7
    assert model.spectral_model is not law
    assert [p.name for p in model.parameters.free_parameters] == ["amplitude"]
    # One that was only estimated keeps its flux
    model = neighbour(listed(spectrum=law), datasets, E_RANGE)
    assert_allclose(model.spectral_model.integral(*E_RANGE), law.integral(*E_RANGE))


def test_curved_and_extended_keep_the_place(datasets):
    point = point_source(listed(), datasets, E_RANGE, index_free=True)
    free_position(point, 0.5 * u.deg)
    curved, pulsar = (as_curved(point, *E_RANGE, own) for own in ("AGN", "PSR"))
    for own, tag in ((curved, "lp"), (pulsar, "secpl-4fgl-dr3")):
        reference = own.spectral_model.reference.quantity
        assert own.spectral_model.tag[1] == tag
        assert_allclose(own.spectral_model(reference), point.spectral_model(reference))
    for model in (curved, pulsar, as_gaussian(point)):
        for name in ("lon_0", "lat_0"):
            own, other = model.parameters[name], point.parameters[name]
            assert (own.value, own.min, own.max, own.frozen) == (other.value, other.min, other.max, False)
    lon = point.spatial_model.lon_0
    assert_allclose((lon.max - lon.min) / 2 * np.cos(np.radians(20)), 0.5)


def test_fit_of_a_listed_source():
    law = PowerLawSpectralModel()
    assert listed().with_fit(None) == listed()
    assert listed().with_fit(law).is_fitted
    law.amplitude.value = 0
    zero = listed().with_fit(law)
    assert zero.is_zero and not zero.is_fitted
