# Licensed under a 3-clause BSD style license - see LICENSE
"""Star, galaxy or artefact as a learned task."""

from pathlib import Path

import torch

from ...learning.seeds import VALIDATION
from ...learning.task import Task
from ...simulation.patch_images import turned
from ..simulator import OpticalSimulator
from .batches import KeptBatches
from .calibrate import calibration, range_fields, source_figures
from .candidates import CandidateSimulator
from .card import OpticalClassCard
from .loss import ClassTarget, optical_class_loss
from .model import OpticalClassModel
from .network import OpticalClassConfig, OpticalClassNetwork
from .recipe import OpticalClassRecipe

__all__ = ["OpticalClassTask"]

#: Times a batch of images on which a training is watched.
N_VALIDATION = 4


class OpticalClassTask(Task):
    """Star, galaxy or artefact."""

    name = "optical-classification"
    Recipe, Card, Model = OpticalClassRecipe, OpticalClassCard, OpticalClassModel
    dataset_recipe, suffix = "optical-classes", "-optical-classes"
    summary_note = "Area under the curve of star against galaxy, simulated sources of significance 10 to 30."

    def simulator(self, recipe, datasets=None, settled=False):
        if datasets is not None:
            raise ValueError("Images are no datasets: leave out --dataset")
        images = OpticalSimulator(
            recipe.patch_size, recipe.fwhm, recipe.cameras, recipe.psf_error, recipe.kinds, seed=recipe.seed
        )
        return CandidateSimulator(images, recipe.lowest_snr)

    def network(self, recipe, bands):
        return OpticalClassNetwork(OpticalClassConfig(recipe.widths, recipe.hidden, recipe.members))

    def batch(self, drawn):
        stamps = drawn.stamps
        return (stamps.pixels, stamps.numbers), ClassTarget(drawn.subclass, drawn.log_shares)

    def turned(self, batch, turn):
        (pixels, numbers), target = batch
        return (turned(pixels, turn), numbers), target

    def kept(self, simulator, recipe, folder):
        return KeptBatches(self, simulator, recipe)

    def batches(self, simulator, recipe, start):
        return simulator.part(start, start + recipe.optimiser.batches_per_epoch)

    def forward(self, network, inputs):
        return network.members(*inputs).float()

    def loss(self, output, target, recipe):
        return optical_class_loss(output, target)

    def validation(self, simulator, recipe):
        return [simulator.draw(recipe.optimiser.batch_size, (VALIDATION, i)) for i in range(N_VALIDATION)]

    def validate(self, network, drawn, recipe):
        device = next(network.parameters()).device
        logits = [network(d.stamps.pixels.to(device), d.stamps.numbers.to(device)).cpu() for d in drawn]
        return source_figures(torch.cat(logits).double(), drawn)

    def calibrate(self, network, simulator, recipe):
        fields = range_fields(recipe)
        card = self.new_card(network, recipe, simulator.bands, **fields)
        return fields | calibration(card, network, simulator, recipe)

    def folder(self, recipe, output):
        # The folder of the model may hold a detection training
        return Path(output) / recipe.name

    def summary(self, card):
        return {
            "Star against galaxy": f"{card.metrics.get('area_10_30', float('nan')):.2f}",
            "Artefact": f"{card.metrics.get('area_artefact', float('nan')):.2f}",
        }
