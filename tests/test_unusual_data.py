# Licensed under a 3-clause BSD style license - see LICENSE
"""Places, models and values that are rare: the right number or one clear error."""

import logging

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from gammapy.maps import Map
from gammapy.modeling.models import (
    ConstantTemporalModel,
    FoVBackgroundModel,
    PointSpatialModel,
    PowerLawSpectralModel,
    SkyModel,
    TemplateSpatialModel,
)

from gammapy_asid import CandidateFitEstimator, Candidates, DLFluxEstimator
from gammapy_asid.inputs import to_band_cube

HERE = SkyCoord(83, 22, unit="deg")
FLUX = 4e-9


def candidates(*positions):
    positions = SkyCoord(positions or [HERE])
    axes = np.full((len(positions), 2), 0.05) * u.deg
    return Candidates.from_positions(positions, np.full(len(positions), 0.9), axes, 2 * axes)


def point(position=HERE, flux=FLUX, **kwargs):
    amplitude = flux / (0.99 * u.GeV) / u.Unit("cm2 s")
    law = PowerLawSpectralModel(index=2, amplitude=amplitude, reference="1 GeV")
    return SkyModel(law, PointSpatialModel.from_position(position), **kwargs)


@pytest.fixture
def observe(lat_field):
    """Function that makes a field with sources."""

    def make(*models, seed=0, **kwargs):
        dataset = lat_field(**kwargs)
        dataset.models = list(models)
        expected = dataset.npred().data
        dataset.models = None
        dataset.counts.data = np.random.default_rng(seed).poisson(expected).astype(float)
        return dataset

    return make


@pytest.mark.parametrize("dec", [90, -89.95, 75])
def test_fit_near_a_pole(observe, dec):
    pole = SkyCoord(10, dec, unit="deg")
    dataset = observe(point(pole), skydir=(10, np.sign(dec) * 90 if abs(dec) > 80 else dec))
    row = CandidateFitEstimator(test_extension=True).run(dataset, candidates(pole)).table[0]
    place = SkyCoord(row["fit_ra"], row["fit_dec"])
    assert row["flags"] == 0 and row["ts_ext"] < 9
    assert abs(row["fit_flux"].value - FLUX) < 3 * row["fit_flux_err"].value
    assert place.separation(pole) < 3 * row["fit_semi_major_68"]
    assert 0.01 < row["fit_semi_minor_68"].value <= row["fit_semi_major_68"].value < 0.03


def test_negative_neighbour(observe):
    # Photons where it takes away all that is expected must not make the fit of the other worthless
    dataset = observe(point())
    dataset.models = [point(SkyCoord(84.5, 22, unit="deg"), -FLUX / 2, name="negative")]
    row = CandidateFitEstimator(refit_position=False).run(dataset, candidates()).table[0]
    assert row["ts"] > 500
    assert row["fit_flux"].value == pytest.approx(FLUX, rel=0.25)


def test_models_that_can_not_be_evaluated(observe):
    dataset = observe(point())
    template = Map.create(skydir=HERE, width=4, binsz=0.1, frame="icrs", unit="sr-1")
    template.data += 1
    template.data[3:6, 3:6] = np.nan
    shape = TemplateSpatialModel(template, filename="template.fits")
    varying = point(name="varying")
    varying.temporal_model = ConstantTemporalModel()
    models = {
        "'varying' that varies in time, and no times": varying,
        "parameters amplitude are not finite": point(flux=np.nan),
        "NaN in its template": SkyModel(PowerLawSpectralModel(), shape),
    }
    for message, model in models.items():
        dataset.models = [model]
        with pytest.raises(ValueError, match=message):
            to_band_cube(dataset)
        with pytest.raises(ValueError, match=message):
            CandidateFitEstimator().run(dataset, candidates())


def test_flux_of_a_source_brighter_than_any_of_the_training(observe, caplog):
    # As bright as the Vela pulsar: the networks have never seen the like
    other = SkyCoord(85.5, 22, unit="deg")
    dataset = observe(point(flux=3e-6), point(other))
    with caplog.at_level(logging.WARNING):
        table = DLFluxEstimator("lat").run(dataset, SkyCoord([HERE, other])).table
    assert table["flags"][0] & 128
    assert "1 sources are brighter than those for which model 'lat' was trained" in caplog.text
    row = CandidateFitEstimator(refit_position=False).run(dataset, candidates(HERE, other)).table[0]
    assert row["fit_flux"].value == pytest.approx(3e-6, rel=0.01)


@pytest.mark.parametrize("value", [0, np.nan])
def test_psf_without_data_at_some_energies(observe, caplog, value):
    dataset = observe(point(), exposure=None)
    # The PSF of the model is that of the fourth energy at the three below, too
    data = dataset.psf.psf_map.data
    whole, holes = dataset.copy(name="whole"), dataset.copy(name="holes")
    whole.psf.psf_map.data[:3] = data[3]
    holes.psf.psf_map.data[:3] = value
    fits = CandidateFitEstimator(refit_position=False)
    expected = fits.run(whole, candidates()).table["fit_flux", "ts"][0]
    assert not caplog.text
    row = fits.run(holes, candidates()).table["fit_flux", "ts"][0]
    assert "PSF without data at" in caplog.text and "nearest energy is taken" in caplog.text
    np.testing.assert_allclose(
        [row["fit_flux"].value, row["ts"]], [expected["fit_flux"].value, expected["ts"]]
    )
    np.testing.assert_allclose(to_band_cube(holes).response.psf, to_band_cube(whole).response.psf)
    assert not np.nan_to_num(holes.psf.psf_map.data[:3]).any()


def test_one_valid_energy_bin(observe):
    # What one bin can't tell is not fitted
    dataset = observe(point())
    mask = np.zeros(dataset.counts.data.shape, dtype=bool)
    mask[1] = True
    dataset.mask_fit = Map.from_geom(dataset.counts.geom, data=mask)
    row = CandidateFitEstimator(refit_position=False).run(dataset, candidates()).table[0]
    edges = dataset.counts.geom.axes["energy"].edges
    flux = point().spectral_model.integral(edges[1], edges[2]).to_value("cm-2 s-1")
    assert row["flags"] == 0 and np.isnan(row["fit_index_err"])
    assert u.isclose(row["fit_e_min"], edges[1]) and u.isclose(row["fit_e_max"], edges[2])
    assert abs(row["fit_flux"].value - flux) < 3 * row["fit_flux_err"].value


def test_nan_where_data_are_masked(observe, caplog):
    dataset = observe(point())
    mask = np.ones(dataset.counts.data.shape, dtype=bool)
    mask[:, :6, :6] = False
    dataset.mask_safe = Map.from_geom(dataset.counts.geom, data=mask)
    fits = CandidateFitEstimator(refit_position=False)
    expected = fits.run(dataset, candidates()).table["fit_flux", "ts"]
    dataset.counts.data[~mask] = dataset.background.data[~mask] = np.nan
    found = fits.run(dataset, candidates()).table["fit_flux", "ts"]
    np.testing.assert_allclose(found["fit_flux"].value, expected["fit_flux"].value, rtol=1e-6)
    assert np.isfinite(sum(image.sum() for image in to_band_cube(dataset).counts))
    assert np.isnan(dataset.counts.data).any() and not caplog.text


@pytest.mark.parametrize("level", [0, 1e-9])
def test_energy_bins_without_counts_and_background(observe, level):
    # As the highest ones of Cherenkov telescopes often are
    dataset = observe(point())
    dataset.counts.data[3:], dataset.background.data[3:] = 0, level
    row = CandidateFitEstimator(refit_position=False).run(dataset, candidates()).table[0]
    assert row["ts"] > 500
    assert abs(row["fit_flux"].value - FLUX) < 3 * row["fit_flux_err"].value


def test_background_model_of_zero(observe):
    dataset = observe(point())
    model = FoVBackgroundModel(dataset_name=dataset.name)
    model.spectral_model.norm.value = 0
    dataset.models = [model]
    with pytest.raises(ValueError, match="has no background and no models"):
        CandidateFitEstimator().run(dataset, candidates())
