# Licensed under a 3-clause BSD style license - see LICENSE
"""Gamma-ray source detection with deep learning, as estimators for Gammapy."""

from importlib.metadata import version

from gammapy.estimators import ESTIMATOR_REGISTRY

from .catalog.candidates import Candidates
from .catalog.extensions import SourceExtensions
from .catalog.fluxes import SourceFluxes
from .estimators.detector import DLSourceDetector
from .estimators.extension import DLExtensionClassifier
from .estimators.flux import DLFluxEstimator
from .likelihood.gammapy import CandidateFitEstimator
from .likelihood.search import IterativeSearch
from .survey.sky_fits import SkyFitEstimator
from .survey.survey import DLSkySurvey

__all__ = [
    "CandidateFitEstimator",
    "Candidates",
    "DLExtensionClassifier",
    "DLFluxEstimator",
    "DLSkySurvey",
    "DLSourceDetector",
    "IterativeSearch",
    "SkyFitEstimator",
    "SourceExtensions",
    "SourceFluxes",
    "__version__",
]

__version__ = version("gammapy-asid")

for _estimator in (
    DLSourceDetector,
    DLFluxEstimator,
    DLExtensionClassifier,
    DLSkySurvey,
    CandidateFitEstimator,
    IterativeSearch,
    SkyFitEstimator,
):
    if _estimator not in ESTIMATOR_REGISTRY:
        ESTIMATOR_REGISTRY.append(_estimator)
