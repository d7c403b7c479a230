# Licensed under a 3-clause BSD style license - see LICENSE
"""Estimators and catalogue of this package in the registries of Gammapy, loaded when these are read."""

import sys
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder

__all__ = ["install"]

#: Modules of Gammapy, their registry, and the modules of this package that add to it when they are imported.
REGISTRIES = {
    "gammapy.estimators": (
        "ESTIMATOR_REGISTRY",
        (
            "gammapy_asid.estimators.detector",
            "gammapy_asid.estimators.flux",
            "gammapy_asid.estimators.light_curve",
            "gammapy_asid.estimators.extension",
            "gammapy_asid.estimators.classes",
            "gammapy_asid.survey.survey",
            "gammapy_asid.likelihood.gammapy",
            "gammapy_asid.likelihood.search",
            "gammapy_asid.survey.sky_fits",
            "gammapy_asid.optical.detector",
            "gammapy_asid.optical.classifier",
            "gammapy_asid.optical.flux_estimator",
        ),
    ),
    "gammapy.catalog": ("CATALOG_REGISTRY", ("gammapy_asid.catalog.source_catalog",)),
}


def fill_when_read(module):
    """Let the registry of a module of Gammapy load the classes of this package when it is first read.

    Parameters
    ----------
    module : module
        ``gammapy.estimators`` or ``gammapy.catalog``, imported.
    """
    name, places = REGISTRIES[module.__name__]
    registry = getattr(module, name)
    plain = type(registry)

    class Unread(plain):
        def __iter__(self):
            # From now on a registry as any other, also while the modules add to it
            self.__class__ = plain
            for place in places:
                import_module(place)
            return iter(self)

    registry.__class__ = Unread


class _AfterGammapy(MetaPathFinder):
    """Sees to the registries of Gammapy's modules that are imported after this package."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname not in REGISTRIES:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None:
            run = spec.loader.exec_module

            def exec_module(module):
                run(module)
                fill_when_read(module)

            spec.loader.exec_module = exec_module
        return spec


def install():
    """Add to the registries of Gammapy, whether it is imported already or will be."""
    if any(isinstance(finder, _AfterGammapy) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, _AfterGammapy())
    for name in REGISTRIES:
        if name in sys.modules:
            fill_when_read(sys.modules[name])
