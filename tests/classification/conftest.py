# Licensed under a 3-clause BSD style license - see LICENSE
import pytest


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
def candidate_simulator():
    """Candidates of the model ``lat`` in skies of one instrument."""
    from gammapy_asid.simulation.faulty_patches import FaultyLatSimulator
    from gammapy_asid.simulation.instruments import lat_response
    from gammapy_asid.tasks.classification.simulator import CandidateSimulator
    from gammapy_asid.tasks.detection.model import DetectionModel
    from gammapy_asid.tasks.detection.recipe import DetectionRecipe
    from gammapy_asid.tasks.detection.simulator import build_simulator

    response = lat_response("P8R3_SOURCE_V2", "FRONT+BACK", 0.3, 1000.0, livetime=10.0)
    patches = build_simulator(DetectionRecipe(name="x"), [response], [1.0])
    return CandidateSimulator(DetectionModel.load("lat"), FaultyLatSimulator.like(patches, 0.5))


@pytest.fixture(scope="session")
def candidates(candidate_simulator):
    """Some hundred of them with ten bins of time."""
    return candidate_simulator.draw(300, 1)
