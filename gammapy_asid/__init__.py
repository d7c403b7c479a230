# Licensed under a 3-clause BSD style license - see LICENSE
"""Gamma-ray source detection with deep learning, as estimators for Gammapy.

What lies here is imported when it is used: the command line and ``import gammapy_asid`` start at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .utils import gammapy_registries, old_names

if TYPE_CHECKING:
    from .catalog.candidates import Candidates as Candidates
    from .catalog.classes import SourceClasses as SourceClasses
    from .catalog.extensions import SourceExtensions as SourceExtensions
    from .catalog.fluxes import SourceFluxes as SourceFluxes
    from .catalog.light_curves import SourceLightCurves as SourceLightCurves
    from .estimators.classes import DLSourceClassifier as DLSourceClassifier
    from .estimators.detector import DLSourceDetector as DLSourceDetector
    from .estimators.extension import DLExtensionClassifier as DLExtensionClassifier
    from .estimators.flux import DLFluxEstimator as DLFluxEstimator
    from .estimators.light_curve import DLLightCurveEstimator as DLLightCurveEstimator
    from .likelihood.gammapy import CandidateFitEstimator as CandidateFitEstimator
    from .likelihood.search import IterativeSearch as IterativeSearch
    from .optical.classifier import OpticalSourceClassifier as OpticalSourceClassifier
    from .optical.detector import OpticalSourceDetector as OpticalSourceDetector
    from .optical.flux_estimator import OpticalFluxEstimator as OpticalFluxEstimator
    from .optical.sources import OpticalSources as OpticalSources
    from .survey.sky_fits import SkyFitEstimator as SkyFitEstimator
    from .survey.survey import DLSkySurvey as DLSkySurvey
    from .tasks.classification.tables.classify import classify_table as classify_table

#: Public names and the modules that hold them.
PLACES = {
    "CandidateFitEstimator": "likelihood.gammapy",
    "Candidates": "catalog.candidates",
    "DLExtensionClassifier": "estimators.extension",
    "DLFluxEstimator": "estimators.flux",
    "DLLightCurveEstimator": "estimators.light_curve",
    "DLSkySurvey": "survey.survey",
    "DLSourceClassifier": "estimators.classes",
    "DLSourceDetector": "estimators.detector",
    "IterativeSearch": "likelihood.search",
    "OpticalFluxEstimator": "optical.flux_estimator",
    "OpticalSourceClassifier": "optical.classifier",
    "OpticalSourceDetector": "optical.detector",
    "OpticalSources": "optical.sources",
    "SkyFitEstimator": "survey.sky_fits",
    "SourceClasses": "catalog.classes",
    "SourceExtensions": "catalog.extensions",
    "SourceFluxes": "catalog.fluxes",
    "SourceLightCurves": "catalog.light_curves",
    "classify_table": "tasks.classification.tables.classify",
}

__all__ = [*PLACES, "__version__"]

old_names.install()
gammapy_registries.install()


def __getattr__(name: str) -> Any:
    if name in PLACES:
        value = getattr(import_module(f"{__name__}.{PLACES[name]}"), name)
    elif name == "__version__":
        from importlib.metadata import version

        value = version("gammapy-asid")
    elif name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    else:
        try:
            return import_module(f"{__name__}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
