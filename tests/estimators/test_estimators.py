# Licensed under a 3-clause BSD style license - see LICENSE
"""All estimators are used alike."""

import inspect

import pytest

import gammapy_asid
from gammapy_asid import DLExtensionClassifier, DLFluxEstimator, DLSourceClassifier, DLSourceDetector

TRAINED = {
    DLSourceDetector: "lat",
    DLFluxEstimator: "cta-gps",
    DLExtensionClassifier: "cta-extension",
    DLSourceClassifier: "lat-classes",
}
ESTIMATORS = [
    cls
    for cls in (getattr(gammapy_asid, name) for name in gammapy_asid.__all__)
    if callable(getattr(cls, "run", None))
]


@pytest.mark.parametrize("cls", list(TRAINED))
def test_trained_estimators(cls):
    estimator = cls(model=TRAINED[cls], device="cpu")
    assert list(inspect.signature(cls).parameters)[0] == "model"
    assert estimator.card is estimator.trained.card
    assert estimator.bands.edges == estimator.card.bands.edges
    assert str(estimator.device) == estimator.config_parameters["device"] == "cpu"
    assert TRAINED[cls] in repr(estimator.trained)
    with pytest.raises(ValueError, match="no device 'nowhere'"):
        cls(model=TRAINED[cls], device="nowhere")


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_estimators_are_printed_with_their_configuration(cls):
    estimator = cls()
    lines = str(estimator).splitlines()
    assert lines[0] == cls.__name__ == cls.tag
    printed = {line.partition(":")[0].strip() for line in lines[3:]}
    assert printed == set(estimator.config_parameters)
    # The device of a search is told by its parts
    assert set(inspect.signature(cls).parameters) <= printed | (
        {"device"} if "detector" in printed else set()
    )


def test_models_of_ones_own_folder(toy_model, monkeypatch):
    with pytest.raises(ValueError, match="Unknown model 'toy'"):
        DLSourceDetector("toy")
    monkeypatch.setenv("GAMMAPY_ASID_MODELS", str(toy_model.parent))
    detector, fluxes = DLSourceDetector("toy"), DLFluxEstimator("toy")
    # The ensembles are those beside the weights
    assert detector.trained.card.name == detector.refining.card.name == fluxes.trained.card.name == "toy"
    assert detector.refining.card.detection_sha256 == detector.trained.card.weights_sha256
