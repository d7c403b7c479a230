# Licensed under a 3-clause BSD style license - see LICENSE
"""Modules of version 0.1 under their old names: ``import gammapy_asid.candidates`` goes on working.

What an old module held is looked up in the new ones when it is used, so that the old names cost nothing.
"""

import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec

__all__ = ["MODULES", "PACKAGES", "RENAMED", "install"]

PACKAGE = __name__.partition(".")[0]

#: Modules of version 0.1 and those that hold now what they held.
MODULES = {
    "arguments": "utils.arguments",
    "association": "catalog.association catalog.counterparts",
    "candidates": "catalog.candidates catalog.columns catalog.names",
    "columns": "utils.table_columns utils.table_files",
    "demo": "simulation.demo",
    "digests": "utils.digests",
    "ellipses": "utils.sky_geometry",
    "estimators.given": "estimators.sources",
    "evaluation.calibration": "learning.score_calibration",
    "evaluation.extension": "evaluation.classification tasks.extension.truth",
    "evaluation.extension_plots": "evaluation.classification_plots evaluation.measurement_plots",
    "evaluation.inside": "evaluation.interpretation",
    "evaluation.limits": "stats.image_bounds",
    "evaluation.rows": "evaluation.sky_rows",
    "evaluation.source_limits": "stats.bounds",
    "evaluation.suite": "evaluation.judge",
    "evaluation.uncertainty": "learning.interval_calibration",
    "extensions": "catalog.extensions catalog.source_models",
    "files": "utils.files",
    "fits_files": "utils.fits_files",
    "fits_tables": "utils.fits_tables",
    "fluxes": "catalog.fluxes",
    "inputs.field": "inputs.pixel_grid inputs.field_pixels",
    "inputs.known_sky": "inputs.expected_counts inputs.datasets inputs.impossible inputs.changed_maps",
    "inputs.regular": "inputs.square_pixels",
    "likelihood.neighbours": "likelihood.listed_sources",
    "networks": "tasks.detection.model learning.peaks inputs.batch learning.unet stats.known_sky "
    "stats.significance",
    "networks.blends": "stats.blends tasks.detection.doubles",
    "networks.description": "inputs.conditioning inputs.psf",
    "networks.domain": "learning.domain",
    "networks.ensembles": "learning.ensembles",
    "networks.extension": "tasks.extension.network inputs.stamps",
    "networks.extension_model": "tasks.extension.model",
    "networks.features": "stats.significance stats.known_sky inputs.batch",
    "networks.fields": "inputs.batch",
    "networks.loading": "learning.trained utils.devices",
    "networks.model": "tasks.detection.model",
    "networks.peaks": "learning.peaks",
    "networks.rows": "utils.tensor_rows",
    "networks.source_features": "tasks.measurement.features",
    "networks.source_fit": "stats.point_fit stats.source_stamps stats.source_images",
    "networks.source_model": "tasks.measurement.model tasks.measurement.calibration "
    "tasks.measurement.fitted_sources learning.peaks",
    "networks.spectral_fit": "stats.spectral_fit stats.flux_scale",
    "networks.unet": "learning.unet",
    "plain_yaml": "utils.plain_yaml",
    "simulation.catalog": "simulation.mock_catalog",
    "simulation.dataset": "simulation.lat_dataset simulation.analytic_lat simulation.sky_grid",
    "simulation.extension_stamps": "simulation.stamp_simulator simulation.scenes",
    "simulation.field": "simulation.cube",
    "simulation.kernels": "inputs.psf",
    "source_lists": "catalog.source_lists",
    "sphere": "utils.sky_geometry",
    "training": "learning.recipe learning.run tasks.detection.recipe tasks.detection.network "
    "tasks.detection.simulator tasks.detection.calibrate simulation.lat_patches",
    "training.checkpoints": "learning.checkpoints",
    "training.dataset": "tasks.detection.simulator simulation.dataset_patches",
    "training.ensembles": "tasks.measurement.training",
    "training.extension": "learning.run tasks.extension.loss",
    "training.extension_dataset": "tasks.extension.simulator",
    "training.extension_recipe": "tasks.extension.recipe tasks.extension.network tasks.extension.simulator",
    "training.fitting": "learning.trainer",
    "training.history": "learning.history",
    "training.module": "tasks.detection.simulated_candidates learning.trainer",
    "training.patches": "simulation.patch_simulator simulation.patches",
    "training.plane": "simulation.plane_patches",
    "training.plane_fields": "simulation.plane_fields",
    "training.recipe": "learning.recipe tasks.detection.recipe",
    "training.release": "tasks.detection.calibrate",
    "training.release_extension": "tasks.extension.calibrate",
    "training.release_sources": "tasks.measurement.release tasks.measurement.calibrate "
    "tasks.measurement.predictions tasks.measurement.source_sets",
    "training.sources": "tasks.measurement.simulator",
    "training.stream": "simulation.lat_patches",
    "tasks.detection.peaks": "learning.peaks",
    "tasks.detection.targets": "learning.targets",
    "training.targets": "learning.targets",
    "training.train": "learning.run tasks.detection.network tasks.detection.simulator",
    "training.transfer": "tasks.detection.transfer tasks.extension.transfer",
    "weights": "learning.io learning.model_files tasks.detection.card tasks.measurement.card "
    "tasks.extension.card",
    "weights.card": "learning.card tasks.detection.card tasks.measurement.card",
    "weights.extension_card": "tasks.extension.card",
    "weights.io": "learning.io",
    "weights.registry": "learning.model_files",
    "work_folder": "utils.work_folder",
}

#: Old modules that were packages.
PACKAGES = ("networks", "training", "weights")

#: What has another name now.
RENAMED = {
    "ModelCard": "tasks.detection.card.DetectionCard",
    "PatchSimulator": "simulation.lat_patches.LatSimulator",
    "Recipe": "tasks.detection.recipe.DetectionRecipe",
    "Simulator": "simulation.patch_simulator.PatchSimulator",
    "regular_dataset": "inputs.square_pixels.on_square_pixels",
    "release": "utils.old_names.release",
    "release_extension": "learning.run.release",
    "train_extension": "learning.run.train",
}


def release(network, recipe, simulator, responses, path, n_patches=4096, overwrite=False):
    """Calibrate a detection network and write it with its card, as version 0.1 was asked to.

    Parameters
    ----------
    network, recipe, simulator, path, overwrite
        See `gammapy_asid.learning.run.release`.
    responses : list
        Instruments of the training, which the simulator has.
    n_patches : int
        Patches for the calibration, and as many for the test.

    Returns
    -------
    card : `~gammapy_asid.tasks.detection.card.DetectionCard`
        Card as written.
    """
    new = import_module(f"{PACKAGE}.learning.run")
    recipe = recipe.model_copy(update={"calibration_patches": n_patches})
    return new.release(network, recipe, simulator, path, overwrite)


class _OldModules(MetaPathFinder, Loader):
    """Finds the modules of version 0.1, and makes them: a module that looks up what it is asked for."""

    def find_spec(self, fullname, path=None, target=None):
        package, _, name = fullname.partition(".")
        if package == PACKAGE and name in MODULES:
            return ModuleSpec(fullname, self, is_package=name in PACKAGES)
        return None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        places = [f"{PACKAGE}.{place}" for place in MODULES[module.__name__.partition(".")[2]].split()]

        def look_up(name):
            if name == "__all__":
                return sorted({n for place in places for n in import_module(place).__all__})
            if name in RENAMED:
                place, _, new = RENAMED[name].rpartition(".")
                return getattr(import_module(f"{PACKAGE}.{place}"), new)
            if not name.startswith("__"):
                for new in map(import_module, places):
                    if hasattr(new, name):
                        return getattr(new, name)
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

        module.__getattr__ = look_up


def install():
    """Let Python find the old modules, before a folder of the same name, such as ``weights``."""
    if not any(isinstance(finder, _OldModules) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OldModules())
