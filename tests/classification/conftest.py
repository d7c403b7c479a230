# Licensed under a 3-clause BSD style license - see LICENSE
import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table

#: Edges of the energy bands of the first releases of 4FGL, in GeV.
EDGES = np.array([0.05, 0.1, 0.3, 1, 3, 10, 30, 300])


def sources_like_4fgl(numbers, seed=0, years=8):
    """Catalogue like 4FGL: flaring power laws, steady curved ones, and soft ones on much background.

    Parameters
    ----------
    numbers : dict of int
        Sources by their class in 4FGL, empty for none: these are like the others.
    """
    rng = np.random.default_rng(seed)
    kind = np.repeat(list(numbers), list(numbers.values()))
    n = len(kind)
    true = np.where(kind == "", rng.choice(["bll", "fsrq", "psr", "spp"], n), np.char.lower(kind))
    true[true == "msp"], true[true == "snr"] = "psr", "spp"
    index = np.select([true == "bll", true == "fsrq", true == "psr"], [1.9, 2.5, 2.2], 2.6)
    index = index + 0.12 * rng.standard_normal(n)
    beta = np.where(true == "psr", 0.6, 0.1) + 0.07 * rng.standard_normal(n)
    background = np.where(true == "spp", 4.0, 1.0)
    flux = 1e-9 * np.exp(0.7 * rng.standard_normal(n)) * background
    energy = np.sqrt(EDGES[1:] * EDGES[:-1])
    shape = energy ** -(index[:, None] + beta[:, None] * np.log(energy)) * np.diff(EDGES)
    error = 1e-10 * background[:, None] * energy**-1.2
    band = flux[:, None] * shape + error * rng.standard_normal(shape.shape)
    flares = np.select([true == "fsrq", true == "bll"], [0.8, 0.3], 0.0)[:, None]
    history_error = 0.25 * flux[:, None] * np.ones((n, years))
    history = flux[:, None] * np.exp(flares * rng.standard_normal((n, years)))
    history = history + history_error * rng.standard_normal((n, years))
    departure = (history - history.mean(axis=1, keepdims=True)) / history_error
    signif = np.sqrt((np.maximum(band / error, 0) ** 2).sum(axis=1)) + 1
    places = rng.permutation(n)
    per_flux = u.Unit("ph cm-2 s-1")
    table = Table(
        {
            "Source_Name": np.array([f"4FGL J{i:04d}" for i in range(n)], dtype="S18"),
            # Half a degree apart
            "RAJ2000": (places % 600) * 0.6 * u.deg,
            "DEJ2000": (places // 600) * 0.6 * u.deg,
            "Signif_Avg": signif,
            "Energy_Flux100": 3e-3 * flux * u.Unit("erg cm-2 s-1"),
            "Unc_Energy_Flux100": 3e-3 * flux / signif * u.Unit("erg cm-2 s-1"),
            "Pivot_Energy": 1500 * np.exp(0.3 * rng.standard_normal(n)) * u.MeV,
            "Conf_95_SemiMajor": 0.5 / signif * u.deg,
            "PL_Index": index + 0.05 * rng.standard_normal(n),
            "LP_Index": index,
            "LP_beta": beta,
            "Unc_LP_beta": np.full(n, 0.07),
            "LP_SigCurv": np.abs(beta) / 0.07,
            "Variability_Index": (departure**2).sum(axis=1),
            "Flux_Band": band * per_flux,
            "Unc_Flux_Band": np.stack([-error, error], axis=-1) * per_flux,
            "Flux_History": history * per_flux,
            "Unc_Flux_History": np.stack([-history_error, history_error], axis=-1) * per_flux,
            "CLASS1": np.array([name.ljust(5) for name in kind], dtype="S5"),
            "truth": true,
        }
    )
    return table[rng.permutation(n)]


@pytest.fixture(scope="session")
def class_recipe():
    """Recipe of a tiny classifier of the candidates of the model ``lat``."""
    from gammapy_asid.learning.recipe import OptimiserRecipe
    from gammapy_asid.tasks.classification.recipe import ClassRecipe

    return ClassRecipe(
        name="tiny-classes",
        seed=3,
        candidates=300,
        calibration_candidates=300,
        widths=(4, 4, 4),
        hidden=8,
        members=2,
        optimiser=OptimiserRecipe(batch_size=32, batches_per_epoch=3, epochs=2, precision="32-true"),
    )


@pytest.fixture(scope="session")
def candidate_simulator(make_response):
    """Candidates of the model ``lat`` in skies of one instrument."""
    from gammapy_asid.simulation.faulty_patches import FaultyLatSimulator
    from gammapy_asid.tasks.classification.simulator import CandidateSimulator
    from gammapy_asid.tasks.detection.model import DetectionModel
    from gammapy_asid.tasks.detection.recipe import DetectionRecipe
    from gammapy_asid.tasks.detection.simulator import build_simulator

    response = make_response(0.1)
    patches = build_simulator(DetectionRecipe(name="x"), [response], [1.0])
    return CandidateSimulator(DetectionModel.load("lat"), FaultyLatSimulator.like(patches, 0.5))


@pytest.fixture(scope="session")
def candidates(candidate_simulator):
    """Some hundred of them with ten bins of time."""
    return candidate_simulator.draw(300, 1)


@pytest.fixture
def make_catalogue():
    """Function that makes a catalogue with the columns of 4FGL."""
    return sources_like_4fgl


@pytest.fixture
def catalogue():
    """Two hundred sources with and sixty without a class."""
    return sources_like_4fgl({"bll": 60, "fsrq": 50, "psr": 30, "MSP": 20, "spp": 25, "SNR": 15, "": 60})
