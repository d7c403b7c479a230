# Licensed under a 3-clause BSD style license - see LICENSE
"""Detection of sources as a learned task."""

import torch

from ...learning.seeds import VALIDATION
from ...learning.stream import SimulatedBatches
from ...learning.targets import detection_loss, target_maps, turned_targets
from ...learning.task import Task
from ...simulation.patch_images import turned
from ...stats.significance import network_inputs
from .calibrate import card_fields
from .card import DetectionCard
from .model import DetectionModel
from .network import build_network
from .real_fields import with_real_fields
from .recipe import DetectionRecipe
from .simulated_candidates import validation_figures
from .simulator import build_simulator, dataset_simulator
from .transfer import start_from

__all__ = ["DetectionTask"]


class DetectionTask(Task):
    """Maps of source centres and of matches, with offsets and their error."""

    name = "detection"
    Recipe, Card, Model = DetectionRecipe, DetectionCard, DetectionModel
    #: Whether batches hold the profiled significance, which the recipe tells.
    profiled = False
    summary_note = "Purity and completeness are those expected at a threshold of 0.5 with a background."

    def simulator(self, recipe, datasets=None, settled=False):
        return build_simulator(recipe) if datasets is None else dataset_simulator(datasets, recipe)

    def network(self, recipe, bands):
        return build_network(bands, recipe.widths, recipe.profiled)

    def batch(self, drawn):
        field = drawn.batch
        mask = field.field_mask
        targets = target_maps(
            drawn.patch,
            drawn.x,
            drawn.y,
            field.pixel_size,
            len(field),
            mask.shape[-2:],
            bands=drawn.bands,
            width=drawn.width,
        )
        return (network_inputs(field, self.profiled), field.conditions), (targets, mask)

    def turned(self, batch, turn):
        (inputs, conditions), (targets, mask) = batch
        inputs = {level: turned(images, turn) for level, images in inputs.items()}
        return (inputs, conditions), (turned_targets(turned(targets, turn), turn), turned(mask, turn))

    def batches(self, simulator, recipe, start):
        size, stop = recipe.optimiser.batch_size, start + recipe.optimiser.batches_per_epoch
        simulator = with_real_fields(simulator, recipe)
        task = type(self)()
        task.profiled = recipe.profiled
        return SimulatedBatches(task, simulator, size, stop, recipe.seed, start, recipe.reuse)

    def forward(self, network, inputs):
        images, conditions = inputs
        images = {k: v.to(memory_format=torch.channels_last) for k, v in images.items()}
        return network(images, conditions).float()

    def loss(self, output, target, recipe):
        return detection_loss(output, *target)

    def validation(self, simulator, recipe):
        size = recipe.optimiser.batch_size
        n_batches = -(-recipe.validation_patches // size)
        return [simulator.draw(size, (VALIDATION, i)) for i in range(n_batches)]

    def validate(self, network, drawn, recipe):
        return validation_figures(network, drawn)

    def calibrate(self, network, simulator, recipe):
        return card_fields(network, simulator, recipe.calibration_patches)

    def start(self, network, bands, model):
        start_from(network, bands, model)

    def summary(self, card):
        purity, completeness = card.expected(0.5, has_background=True)
        low, high = card.pixel_size
        return {
            "Pixels (deg)": f"{low:.2g}-{high:.2g}",
            "Purity": f"{purity:.2f}",
            "Completeness": f"{completeness:.2f}",
        }
