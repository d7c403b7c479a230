# Licensed under a 3-clause BSD style license - see LICENSE
"""Counts of patches with their sources as a learned task."""

import numpy as np
import torch
from torch.nn.functional import mse_loss

from ...inputs.psf import psf_radius
from ...learning.denoiser import build_network, noisy_batch
from ...learning.domain import ranges
from ...learning.seeds import PATCHES, VALIDATION
from ...learning.stream import SimulatedBatches
from ...learning.task import Task
from ...simulation.counts_images import stabilised
from ...simulation.patch_images import turned
from ...utils.devices import moved
from .card import CountsCard
from .model import CountsModel
from .recipe import CountsRecipe
from .simulator import build_simulator

__all__ = ["CountsTask"]


class CountsTask(Task):
    """Counts of all bands and the sources that made them, drawn together."""

    name, dataset_recipe = "counts", ""
    Recipe, Card, Model = CountsRecipe, CountsCard, CountsModel
    summary_note = "Figures of generated patches over those of simulated ones."

    def simulator(self, recipe, datasets=None, settled=False):
        if datasets is not None:
            raise ValueError("Counts are learned of the instrument that the recipe names: leave out the data")
        return build_simulator(recipe)

    def network(self, recipe, bands):
        return build_network(len(bands) + 1, 2 * len(bands), recipe.widths)

    def batch(self, drawn):
        return noisy_batch(drawn.schedule, drawn.images, drawn.noise, drawn.level, drawn.known)

    def turned(self, batch, turn):
        (inputs, features), target = batch
        return ({0: turned(inputs[0], turn)}, features), turned(target, turn)

    def batches(self, simulator, recipe, start):
        size, stop = recipe.optimiser.batch_size, start + recipe.optimiser.batches_per_epoch
        return SimulatedBatches(self, simulator, size, stop, recipe.seed, start, recipe.reuse)

    def loss(self, output, target, recipe):
        # Targets have unit variance at every level: none of them counts more
        return {"loss": mse_loss(output, target)}

    def validation(self, simulator, recipe):
        return [self.batch(simulator.draw(recipe.validation_patches, (VALIDATION, 0)))]

    def validate(self, network, drawn, recipe):
        inputs, target = moved(drawn[0], next(network.parameters()).device)
        return {"loss_validation": float(self.loss(self.forward(network, inputs), target, recipe)["loss"])}

    def calibrate(self, network, simulator, recipe):
        response = simulator.response
        fields = {
            "psf_r68": ranges(np.array([psf_radius(response)])),
            "pixel_size": float(response.pixel_size),
            "exposure": tuple(response.exposure.mean(1).tolist()),
            "brightness": tuple(map(tuple, simulator.scaling.brightness.tolist())),
            "marks": simulator.scaling.marks,
        }
        card = self.new_card(network, recipe, simulator.bands, metrics={}, **fields)
        n, seed = recipe.calibration_patches, PATCHES.test
        model = CountsModel(card, network, next(network.parameters()).device)
        made, drawn = model.draw(n, seed), simulator.draw(n, seed)
        counts, sources = simulator.scaling.read(drawn.images, drawn.brightness)
        return fields | {"metrics": _figures(made, counts, sources)}


def _figures(made, counts, sources):
    """Figures of generated patches over those of simulated ones."""
    ratio = made.counts.float().mean((0, 2, 3)) / counts.cpu().mean((0, 2, 3))
    # The few brightest patches would be all that a spread of counts tells
    even = [stabilised(values) for values in (made.counts, counts.cpu())]
    patches = [values.mean((2, 3)).std(0) for values in even]
    pixels = [(values - values.mean((2, 3), keepdim=True)).std((0, 2, 3)) for values in even]
    figures = {
        "Counts": ratio,
        "Spread of patches, stabilised": patches[0] / patches[1],
        "Spread of pixels in a patch, stabilised": pixels[0] / pixels[1],
    }
    figures = {
        f"{name}, {which}": float(getattr(torch, f"a{which}")(values[values.isfinite()]))
        for name, values in figures.items()
        for which in ("min", "max")
    }
    return figures | {"Sources": len(made.x) / max(len(sources[0]), 1)}
