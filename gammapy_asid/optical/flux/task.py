# Licensed under a 3-clause BSD style license - see LICENSE
"""Fluxes of sources in images as a learned task."""

from pathlib import Path

import numpy as np
import torch

from ...learning.ensembles import Ensemble, EnsembleConfig
from ...learning.seeds import VALIDATION
from ...learning.task import Task
from ..detection.model import OpticalDetectionModel
from ..simulator import OpticalSimulator
from .bank import ExampleBatches, drawn_examples, kept_examples
from .calibrate import card_fields, deviations, tested_figures
from .card import OpticalFluxCard
from .features import N_FEATURES
from .model import OpticalFluxModel
from .recipe import OpticalFluxRecipe
from .simulator import FluxSimulator

__all__ = ["OpticalFluxTask"]

#: Deviations beyond these many units are mostly confused sources: they pull no harder than this, the mean and
#: its error.
CONFUSED, OUTLIER = 1.5, 6.0

#: Relative errors of the point spread functions that are given, as an interval: measured ones have their own.
PSF_ERROR = (0.001, 0.01)

#: Images on which a training is watched.
N_VALIDATION = 16


class OpticalFluxTask(Task):
    """Mean and error of the flux, from what a joint fit of the sources leaves.

    The mean is learned by its squared error alone, the error from what the mean leaves (two-step
    mean-variance estimation: Sluijterman et al. 2024, Neurocomputing 597, 127929; Stoppa et al. 2023,
    A&A 680, A108, for optical images). Both steps run at a time: the second has layers of its own.
    """

    name = "optical-flux"
    Recipe, Card, Model = OpticalFluxRecipe, OpticalFluxCard, OpticalFluxModel
    dataset_recipe, suffix = "optical-flux", "-optical-flux"
    summary_note = "Coverage of the intervals of 68 %, and scatter of flux over truth, of simulated sources."

    def simulator(self, recipe, datasets=None, settled=False):
        if datasets is not None:
            raise ValueError("Images are no datasets: leave out --dataset")
        size, fwhm, cameras = recipe.patch_size, recipe.fwhm, recipe.cameras
        images = OpticalSimulator(
            size, fwhm, cameras, PSF_ERROR, kinds=recipe.kinds, wrong_sky=False, seed=recipe.seed
        )
        detector = recipe.detector and OpticalDetectionModel.load(recipe.detector, "cpu")
        return FluxSimulator(images, detector)

    def kept(self, simulator, recipe, folder):
        return kept_examples(simulator, recipe, folder)

    def network(self, recipe, bands):
        return Ensemble(EnsembleConfig(N_FEATURES, 1, recipe.members, recipe.width))

    def batch(self, drawn):
        return (drawn.features.inputs,), drawn.features.target(drawn.flux)[:, None]

    def batches(self, simulator, recipe, start):
        return ExampleBatches(simulator, recipe, start)

    def loss(self, output, target, recipe):
        mean, factor = output
        error = (mean - target).abs()
        # Squared up to a limit, linear beyond (Huber 1964, Ann. Math. Stat. 35, 73)
        of_mean = torch.where(error < CONFUSED, error**2, 2 * CONFUSED * error - CONFUSED**2).mean()
        inverse = factor[..., 0]
        pull = ((target - mean.detach()) * inverse) ** 2
        # The tail of confused sources must not widen all errors: it counts logarithmically
        tail = OUTLIER**2 * (1 + torch.log(pull.clamp(min=1) / OUTLIER**2))
        of_error = (torch.where(pull < OUTLIER**2, pull, tail) / 2 - torch.log(inverse)).mean()
        return {"loss": of_mean + of_error, "mean": of_mean, "error": of_error}

    def forward(self, network, inputs):
        return network(*inputs)

    def validation(self, simulator, recipe):
        return [drawn_examples(simulator, N_VALIDATION, VALIDATION)]

    def validate(self, network, drawn, recipe):
        pulls = np.concatenate([deviations(network, examples)[0] for examples in drawn])
        low, middle, high = np.percentile(pulls, [15.866, 50, 84.134])
        return {"coverage68": np.mean(np.abs(pulls) < 1), "spread": (high - low) / 2, "median": middle}

    def calibrate(self, network, simulator, recipe):
        fields = card_fields(network, simulator, recipe)
        card = self.new_card(network, recipe, simulator.bands, metrics={}, **fields)
        return fields | {"metrics": tested_figures(card, network, simulator, recipe)}

    def folder(self, recipe, output):
        # The folder of the model may hold a detection training
        return Path(output) / recipe.name

    def summary(self, card):
        figures = card.metrics.get("all", {})
        return {
            "FWHM (pix)": f"{card.fwhm[0]:.2g}-{card.fwhm[1]:.2g}",
            "Coverage": f"{figures.get('coverage68', float('nan')):.2f}",
            "Scatter": f"{figures.get('scatter', float('nan')):.2f}",
        }
