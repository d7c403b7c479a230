# Licensed under a 3-clause BSD style license - see LICENSE
"""Fine emission given the coarse one as a learned task."""

import numpy as np
from torch.nn.functional import mse_loss

from ...evaluation.random_fields import spectrum_ratio
from ...learning.denoiser import build_network, noisy_batch
from ...learning.seeds import PATCHES, VALIDATION
from ...learning.task import Task
from ...simulation.variations import generators
from ...utils.devices import moved
from .card import GenerativeCard
from .model import GenerativeModel
from .recipe import GenerativeRecipe
from .simulator import build_simulator
from .sky import PIXEL_SIZE, n_channels

__all__ = ["GenerativeTask"]


class GenerativeTask(Task):
    """Structure of the emission that a coarse map lacks, drawn anew each time."""

    name, dataset_recipe = "generative", ""
    Recipe, Card, Model = GenerativeRecipe, GenerativeCard, GenerativeModel
    summary_note = "Figures of sectors of longitude that trained nothing."

    def simulator(self, recipe, datasets=None, settled=False):
        if datasets is not None:
            raise ValueError(
                "Fine emission is learned from the map that the recipe names: leave out the data"
            )
        return build_simulator(recipe)

    def network(self, recipe, bands):
        return build_network(1, n_channels(len(recipe.tracers)), recipe.widths)

    def batch(self, drawn):
        images, noise = drawn.patches.normalised[:, None], drawn.noise[:, None]
        return noisy_batch(drawn.schedule, images, noise, drawn.level, drawn.patches.channels)

    def loss(self, output, target, recipe):
        # Targets have unit variance at every level: none of them counts more
        return {"loss": mse_loss(output, target)}

    def validation(self, simulator, recipe):
        n = recipe.validation_patches
        return [simulator.draw(n, (VALIDATION, held), held=bool(held)) for held in range(2)]

    def validate(self, network, drawn, recipe):
        device = next(network.parameters()).device
        figures = {}
        for name, part in zip(("known_sky", "held_out_sky"), drawn, strict=True):
            inputs, target = moved(self.batch(part), device)
            figures[f"loss_{name}"] = float(self.loss(self.forward(network, inputs), target, recipe)["loss"])
        return figures

    def calibrate(self, network, simulator, recipe):
        fields = {"psf_r68": ((0.0, 0.0),), "amplitude": simulator.sky.coefficients}
        card = self.new_card(network, recipe, simulator.bands, metrics={}, **fields)
        seed = PATCHES.test
        real = simulator.real(generators(seed)[0], recipe.calibration_patches, held=True)
        model = GenerativeModel(card, network, next(network.parameters()).device)
        made = model.structure(moved(real, model.device), seed).cpu() / real.amplitude.cpu()
        ratio = spectrum_ratio(made.numpy(), real.normalised.cpu().numpy(), PIXEL_SIZE)
        metrics = {
            "Scatter over that of real structure": float(made.std() / real.normalised.std()),
            "Power over that of real structure, lowest": float(np.min(ratio)),
            "Power over that of real structure, highest": float(np.max(ratio)),
        }
        return fields | {"metrics": metrics}
