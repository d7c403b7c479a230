# Licensed under a 3-clause BSD style license - see LICENSE
"""Candidates with classes: their columns in files, and the spectra that fits start from."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from gammapy.datasets import Datasets
from gammapy.maps import WcsGeom
from gammapy.modeling import Fit
from gammapy.modeling.models import Models, PowerLawSpectralModel, SkyModel
from numpy.testing import assert_allclose

from gammapy_asid import Candidates, SourceClasses
from gammapy_asid.catalog import CLASS_COLUMNS, CLASSES, write_catalog
from gammapy_asid.catalog.class_spectra import class_spectrum, curved_spectrum
from gammapy_asid.catalog.fluxes import integral_flux
from gammapy_asid.catalog.source_catalog import SourceCatalogASID

POSITIONS = SkyCoord([83.0, 83.5, 82.5, 84.5], [22.0, 22.6, 21.6, 23.0], unit="deg")
FLUX = np.array([2e-8, 1e-8, 5e-9, 3e-9])
UNIT = u.Unit("cm-2 s-1")

#: Astropy's writer of the form with text damages the memory
VOTABLE = {"format": "votable", "tabledata_format": "binary2"}


@pytest.fixture(scope="module")
def candidates():
    """A pulsar, an active galaxy, a nebula and one without a class, with fluxes of 1 to 100 GeV."""
    axes = np.array([[0.05, 0.04]] * 4) * u.deg
    found = Candidates.from_positions(POSITIONS, [0.99, 0.9, 0.8, 0.7], axes, 1.6 * axes)
    columns = dict.fromkeys(("flux", "flux_err", "flux_errn", "flux_errp", "flux_ul"), FLUX * UNIT)
    energies = {"e_min": np.ones(4) * u.GeV, "e_max": np.full(4, 100) * u.GeV}
    found = found.with_columns(QTable(energies | columns))
    probability = np.array([[0.1, 0.8, 0.1, 0.3, 0.9], [0.7, 0.2, 0.1, 0.4, 0.8], [0.1, 0.3, 0.6, 0.5, 0.2]])
    valid = np.arange(4) < 3
    names, flags = list(found.table["name"]), np.array([0, 512, 0, 4])
    meta = {"model": "toy", "prior": "4FGL-DR4"}
    return found.with_classes(
        SourceClasses.from_probabilities(names, found.positions, probability, valid, flags, meta)
    )


def photon_flux(law):
    return integral_flux(law, 1 * u.GeV, 100 * u.GeV).to_value(UNIT)


def assert_same_classes(table, candidates):
    for column in CLASS_COLUMNS:
        own, other = np.asarray(table[column.name]), np.asarray(candidates.table[column.name])
        assert np.array_equal(own, other, equal_nan=column.dtype == "f8"), column.name
    assert np.asarray(table["flags"]).tolist() == candidates.table["flags"].tolist()


def test_columns(candidates):
    table = candidates.table
    assert table["source_class"].tolist() == ["PSR", "AGN", "PWN-SNR", ""]
    assert table["prob_fsrq"][0] == 0.3 and table["real_prob"][2] == 0.2
    assert np.isnan(table["prob_agn"][3])
    assert table["flags"].tolist() == [0, 512, 0, 4]
    bad = table.copy()
    bad.remove_column("prob_fsrq")
    with pytest.raises(ValueError, match="no column prob_fsrq"):
        Candidates(bad)


def test_candidate_files(candidates, tmp_path):
    candidates.write(tmp_path / "own.fits")
    again = Candidates.read(tmp_path / "own.fits")
    assert_same_classes(again.table, candidates)
    assert again.meta == candidates.meta
    for name, options in (("a.ecsv", {}), ("a.vot", VOTABLE)):
        Table(candidates.table).write(tmp_path / name, **options)
        assert_same_classes(Candidates.read(tmp_path / name).table, candidates)
    empty = candidates[:0]
    empty.write(tmp_path / "empty.fits")
    assert Candidates.read(tmp_path / "empty.fits").table.colnames == candidates.table.colnames
    one = candidates[:1]
    one.write(tmp_path / "one.fits")
    assert_same_classes(Candidates.read(tmp_path / "one.fits").table, one)


def test_catalogue(candidates, tmp_path):
    write_catalog(candidates, tmp_path / "catalog.fits")
    catalog = SourceCatalogASID(tmp_path / "catalog.fits")
    assert catalog.table["Source_Class"].tolist() == ["PSR", "AGN", "PWN-SNR", ""]
    assert catalog[0].data["Prob_PSR"] == 0.8 and catalog[2].data["Real_Prob"] == 0.2
    assert_same_classes(Candidates.read(tmp_path / "catalog.fits").table, candidates)
    assert candidates.to_catalog()[1].data["Source_Class"] == "AGN"
    # A list without classes has none
    plain = [name for name in candidates.table.colnames if name not in {c.name for c in CLASS_COLUMNS}]
    assert "Source_Class" not in Candidates(candidates.table[plain]).to_catalog().table.colnames


@pytest.mark.parametrize("source_class", CLASSES)
@pytest.mark.parametrize("reference", [0.5, 3.0, 6.0])
def test_one_spectrum_in_terms_of_any_energy(source_class, reference):
    """Ratios of fluxes do not depend on the energy in whose terms the spectrum is written."""
    energy = np.geomspace(0.5, 30, 9) * u.GeV
    law, same = (class_spectrum(source_class, e * u.GeV) for e in (1.0, reference))
    assert_allclose(same(energy) / same(1 * u.GeV), law(energy) / law(1 * u.GeV), rtol=1e-6)


def test_curvature_means_the_same():
    """Half of the growth of the index with the logarithm of the energy, at the reference energy."""
    step = 1e-3
    energy = np.exp(np.array([-step, 0, step])) * 2 * u.GeV
    for source_class in ("AGN", "PSR"):
        law = curved_spectrum(source_class, 2.2, 0.4, "1e-9 cm-2 s-1 GeV-1", 2 * u.GeV)
        low, middle, high = np.log(law(energy).value)
        assert (low - high) / (2 * step) == pytest.approx(2.2, rel=1e-4)
        assert -(low - 2 * middle + high) / step**2 / 2 == pytest.approx(0.4, rel=1e-3)


def test_models(candidates, tmp_path):
    models = candidates.to_models()
    tags = [model.spectral_model.tag[1] for model in models]
    assert tags == ["secpl-4fgl-dr3", "lp", "lp", "pl"]
    for model, flux in zip(models, FLUX, strict=True):
        assert integral_flux(model.spectral_model, 1 * u.GeV, 100 * u.GeV).to_value(UNIT) == pytest.approx(
            flux
        )
    law = models[0].spectral_model
    assert law.reference.quantity == 3 * u.GeV and law.index_2.frozen and not law.expfactor.frozen
    assert law.expfactor.min == 0 and law.index_1.max == 6
    models.write(tmp_path / "models.yaml", write_covariance=False)
    assert [m.spectral_model.tag[1] for m in Models.read(tmp_path / "models.yaml")] == tags
    # Any other spectrum is that of the user
    own = candidates.to_models(PowerLawSpectralModel(index=3))
    assert {model.spectral_model.tag[1] for model in own} == {"pl"}


def test_far_from_1_gev():
    """Where pulsars are not seen any more their spectrum stays one that a fit can start from."""
    law = class_spectrum("PSR", 150 * u.GeV)
    assert law.index_1.value == 4 and law.expfactor.value == 2
    assert np.all(law(np.geomspace(50, 2000, 5) * u.GeV).value > 0)


@pytest.mark.parametrize(("row", "index", "beta"), [(0, 2.3, 0.45), (1, 2.0, 0.1)])
def test_gammapy_fits_converge(candidates, lat_field, row, index, beta):
    """A fit that starts from the class and the estimated flux finds the spectrum that was simulated."""
    name = candidates.table["source_class"][row]
    true = curved_spectrum(name, index, beta, "1e-9 cm-2 s-1 GeV-1", 3 * u.GeV)
    true.amplitude.value *= (1.3 * FLUX[row] * UNIT / integral_flux(true, 1 * u.GeV, 100 * u.GeV)).to_value(
        ""
    )
    place = candidates.to_models()[row].spatial_model.copy()
    field = lat_field(WcsGeom.create(skydir=POSITIONS[row], npix=(40, 40), binsz=0.1, proj="TAN"))
    field.models = [SkyModel(true, place, name="true")]
    field.fake(random_state=5)
    model = candidates.to_models()[row]
    field.models = [model]
    result = Fit().run(Datasets([field]))
    assert result.success
    law = model.spectral_model
    for parameter in law.parameters.free_parameters:
        assert abs(parameter.value - true.parameters[parameter.name].value) < 4 * parameter.error
    assert law.parameters["expfactor" if name == "PSR" else "beta"].error < 0.3
    assert photon_flux(law) == pytest.approx(1.3 * FLUX[row], rel=0.1)
