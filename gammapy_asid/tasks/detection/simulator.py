# Licensed under a 3-clause BSD style license - see LICENSE
"""Simulators of patches that a recipe or a dataset describes."""

from dataclasses import replace

import numpy as np

from ...inputs.bands import LAT_BANDS
from ...inputs.bands_of_dataset import bands_for_dataset
from ...inputs.convert import to_band_cube
from ...inputs.psf import psf_radius, psf_width
from ...inputs.response import smear_psf
from ...simulation.dataset_patches import DatasetSimulator
from ...simulation.diffuse import EmissionBank, analytic_emission
from ...simulation.emission_variations import FarLevels, GeneratedStructure
from ...simulation.faulty_patches import FaultyLatSimulator
from ...simulation.instruments import lat_response
from ...simulation.lat_patches import LatSimulator
from ...simulation.plane_fields import draw_fields
from ...simulation.plane_patches import PlaneSimulator
from ...simulation.populations import draw_sky
from ...simulation.sky_grid import INTERVALS
from ...simulation.structure import StructureLibrary

__all__ = ["build_simulator", "dataset_simulator", "recipe_responses"]


def dataset_simulator(datasets, recipe):
    """Simulator of patches for the instrument of a dataset.

    LAT-like data (see `bands_for_dataset`) are simulated as the LAT's sky of known populations
    and emission, any other from the dataset's own background.

    Parameters
    ----------
    datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
        Data of one field.
    recipe : `~gammapy_asid.tasks.detection.recipe.DetectionRecipe`
        Recipe; its instruments are not used.

    Returns
    -------
    simulator : `~gammapy_asid.simulation.patch_simulator.PatchSimulator`
        Simulator.

    Raises
    ------
    ValueError
        If the recipe draws fields of the plane, whose instruments are others.
    """
    if recipe.plane is not None:
        raise ValueError(
            f"Recipe {recipe.name!r} is for fields of the plane of the CTAO (entry plane), not for the "
            "instrument of a dataset: leave out one of them"
        )
    bands = bands_for_dataset(datasets)
    cube = to_band_cube(datasets, bands)
    if bands == LAT_BANDS:
        return build_simulator(recipe, [cube.response], [1.0])
    return DatasetSimulator(cube, size=recipe.patch_size, background_share=recipe.background_share)


def recipe_responses(recipe):
    """Responses of a recipe's instruments and their probabilities.

    Parameters
    ----------
    recipe : `~gammapy_asid.tasks.detection.recipe.DetectionRecipe`
        Recipe with at least one instrument.

    Returns
    -------
    responses : list of `~gammapy_asid.inputs.Response`
        Responses.
    weights : `~numpy.ndarray`
        Probability of each.

    Raises
    ------
    ValueError
        If the recipe has no instrument.
    """
    if not recipe.instruments:
        raise ValueError(
            f"Recipe {recipe.name!r} has no instruments: add the entry instruments, or train for those of "
            "data with --dataset FILE"
        )
    rng = np.random.default_rng((recipe.seed, 1))
    responses, weights = [], []
    for family in recipe.instruments:
        reference = lat_response(
            family.irf, family.event_type, family.e_min, family.e_max, livetime=1.0, exposure=family.exposure
        )
        if family.native_pixel is not None:
            reference = replace(reference, psf=smear_psf(reference.psf, family.native_pixel, reference.rad))
        for _ in range(family.copies):
            pixel_size = np.exp(rng.uniform(*np.log(family.pixel_size)))
            livetime = 1.0 if family.exposure else np.exp(rng.uniform(*np.log(family.livetime)))
            response = replace(
                reference, exposure=reference.exposure * livetime, pixel_size=float(pixel_size)
            )
            responses.append(response)
            weights.append(family.weight / family.copies)
    return responses, np.array(weights) / np.sum(weights)


def emission_blur(responses, weights):
    """Mean width of the point spread function in each standard energy interval in deg.

    Emission varies slowly enough for one Gaussian to stand for all instruments.

    Parameters
    ----------
    responses, weights
        See `recipe_responses`.
    """
    radius = np.array([psf_radius(response) for response in responses])
    weights = np.where(np.isfinite(radius), np.asarray(weights)[:, None], 0)
    total = weights.sum(axis=0)
    mean = (np.nan_to_num(radius) * weights).sum(axis=0) / np.where(total > 0, total, 1)
    middle = np.sqrt(np.array(INTERVALS[1:]) * np.array(INTERVALS[:-1]))
    band = np.searchsorted(responses[0].bands.edges, middle, side="right") - 1
    # Bands that no instrument has are not blurred.
    return np.maximum(psf_width(mean[np.clip(band, 0, len(mean) - 1)]), 0.01)


def build_simulator(recipe, responses=None, weights=None, bank=None):
    """Patch simulator of a recipe.

    Parameters
    ----------
    recipe : `~gammapy_asid.tasks.detection.recipe.DetectionRecipe`
        Recipe.
    responses, weights : list, optional
        Instruments, by default those of the recipe.
    bank : `~gammapy_asid.simulation.EmissionBank`, optional
        Emission, by default that of the recipe.

    Returns
    -------
    simulator : `~gammapy_asid.simulation.patch_simulator.PatchSimulator`
        Simulator.
    """
    if recipe.plane is not None:
        fields = draw_fields((recipe.seed, 2), recipe.plane.fields, recipe.plane.pixel_size)
        return PlaneSimulator(fields, recipe.patch_size, recipe.background_share)
    if responses is None:
        responses, weights = recipe_responses(recipe)
    if bank is None and recipe.emission is None:
        bank = EmissionBank.from_models([analytic_emission(seed) for seed in range(2)])
    elif bank is None:
        bank = EmissionBank.load(recipe.emission_path)
    blur = emission_blur(responses, weights)
    simulator = LatSimulator(
        responses,
        weights,
        bank.smooth(blur).to_torch(),
        draw_sky,
        size=recipe.patch_size,
        background_share=recipe.background_share,
        variations=_variations(recipe, blur),
    )
    return FaultyLatSimulator.like(simulator, recipe.faults) if recipe.faults else simulator


def _variations(recipe, blur):
    """Changes of the emission that a recipe asks for."""
    variations = []
    if recipe.structure is not None:
        library = StructureLibrary.load(recipe.structure)
        variations.append(GeneratedStructure(library, blur, recipe.structure_share))
    return variations + ([FarLevels(recipe.far_levels)] if recipe.far_levels else [])
