# Licensed under a 3-clause BSD style license - see LICENSE
"""Train a detection model from a recipe."""

from dataclasses import replace

import lightning
import numpy as np
import torch

from ..inputs.response import smear_psf
from ..networks.description import TRIAL_SPECTRA, n_conditions, psf_radius
from ..networks.features import BAND_CHANNELS
from ..networks.unet import MultiResolutionUNet, UNetConfig
from ..simulation.diffuse import EmissionBank, analytic_emission
from ..simulation.instruments import lat_response
from ..simulation.populations import draw_sky
from ..simulation.sky_grid import INTERVALS
from ..weights import load_card
from ..work_folder import WorkFolder
from .fitting import VALIDATION_SEED, EpochData, fit_module, load_averaged
from .module import DetectionModule
from .plane import PlaneSimulator
from .plane_fields import draw_fields
from .stream import PatchSimulator, PatchStream
from .transfer import start_from

__all__ = [
    "averaged_network",
    "build_network",
    "build_simulator",
    "recipe_responses",
    "train",
    "training_folder",
]


def recipe_responses(recipe):
    """Responses of a recipe's instruments and their probabilities.

    Parameters
    ----------
    recipe : `~gammapy_asid.training.Recipe`
        Recipe with at least one instrument.

    Returns
    -------
    responses : list of `~gammapy_asid.inputs.Response`
        Responses.
    weights : `~numpy.ndarray`
        Probability of each.
    """
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
    """
    radius = np.array([psf_radius(response) for response in responses])
    weights = np.where(np.isfinite(radius), np.asarray(weights)[:, None], 0)
    total = weights.sum(axis=0)
    mean = (np.nan_to_num(radius) * weights).sum(axis=0) / np.where(total > 0, total, 1)
    middle = np.sqrt(np.array(INTERVALS[1:]) * np.array(INTERVALS[:-1]))
    band = np.searchsorted(responses[0].bands.edges, middle, side="right") - 1
    # The 68 % radius of a two-dimensional Gaussian is 1.51 of its widths. Bands that no
    # instrument has are not blurred.
    return np.maximum(mean[np.clip(band, 0, len(mean) - 1)] / 1.51, 0.01)


def build_simulator(recipe, responses=None, weights=None, bank=None):
    """Patch simulator of a recipe.

    Parameters
    ----------
    recipe : `~gammapy_asid.training.Recipe`
        Recipe.
    responses, weights : list, optional
        Instruments, by default those of the recipe.
    bank : `~gammapy_asid.simulation.EmissionBank`, optional
        Emission, by default that of the recipe.

    Returns
    -------
    simulator : `~gammapy_asid.training.patches.Simulator`
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
    return PatchSimulator(
        responses,
        weights,
        torch.from_numpy(bank.smooth(emission_blur(responses, weights)).intensity),
        draw_sky,
        size=recipe.patch_size,
        background_share=recipe.background_share,
    )


def build_network(bands, widths):
    """Untrained network for bands.

    Parameters
    ----------
    bands : `~gammapy_asid.inputs.Bands`
        Bands.
    widths : tuple of int
        Feature channels on every level.
    """
    n_levels = len(widths)
    inputs = [BAND_CHANNELS * sum(level == depth for level in bands.levels) for depth in range(n_levels)]
    inputs[0] += 2 * len(TRIAL_SPECTRA) + 1
    for level in bands.extent_levels:
        inputs[level] += 2 * len(TRIAL_SPECTRA)
    config = UNetConfig(inputs=tuple(inputs), conditions=n_conditions(bands), widths=tuple(widths))
    return MultiResolutionUNet(config)


def training_folder(recipe, output, simulator, overwrite=False, resume=True):
    """Folder of a training, see `~gammapy_asid.work_folder.WorkFolder`.

    Parameters
    ----------
    recipe, output, simulator, overwrite, resume
        See `train`.
    """
    record = {"recipe": recipe, "simulator": simulator, "start": None}
    if recipe.start is not None:
        record["start"] = load_card(recipe.start)
    return WorkFolder(output, "training", record, overwrite, resume)


def train(recipe, output, simulator=None, resume=True, num_workers=1, progress=True, overwrite=False):
    """Train a detection model, or go on with an interrupted training.

    Parameters
    ----------
    recipe : `~gammapy_asid.training.Recipe`
        Recipe.
    output : path
        Folder of the checkpoints and of the history (``metrics.csv``).
    simulator : `~gammapy_asid.training.patches.Simulator`, optional
        What makes the patches, by default that of the recipe's instruments.
    resume : bool
        Go on from the last checkpoint in the folder, if there is one.
    num_workers : int
        Processes that simulate beside the training.
    progress : bool
        Show a progress bar.
    overwrite : bool
        Replace another training in the folder.

    Returns
    -------
    network : `~gammapy_asid.networks.MultiResolutionUNet`
        Network with the running mean of the weights, in evaluation mode.

    Raises
    ------
    ValueError
        If the folder holds another training, or a checkpoint that this one did not write.
    """
    lightning.seed_everything(recipe.seed, verbose=False)
    simulator = build_simulator(recipe) if simulator is None else simulator
    work = training_folder(recipe, output, simulator, overwrite, resume)
    size = recipe.optimiser.batch_size
    n_batches = -(-recipe.validation_patches // size)
    validation = [simulator.draw(size, (VALIDATION_SEED, i)) for i in range(n_batches)]
    bands = simulator.bank.bands
    network = build_network(bands, recipe.widths)
    if recipe.start is not None:
        start_from(network, bands, recipe.start)
    network = network.to(memory_format=torch.channels_last)
    module = DetectionModule(network, recipe.optimiser, validation)

    def batches(start):
        return PatchStream(
            simulator,
            size,
            start + recipe.optimiser.batches_per_epoch,
            seed=recipe.seed,
            start=start,
            reuse=recipe.reuse,
        )

    data = EpochData(batches, recipe.optimiser.batches_per_epoch, num_workers)
    last = fit_module(module, data, recipe.optimiser, work, progress)
    return averaged_network(last, bands, recipe.widths)


def averaged_network(checkpoint, bands, widths):
    """Network with the running mean of the weights from a checkpoint.

    Parameters
    ----------
    checkpoint : path
        Checkpoint.
    bands : `~gammapy_asid.inputs.Bands`
        Bands.
    widths : tuple of int
        Feature channels on every level.
    """
    return load_averaged(build_network(bands, widths), checkpoint)
