# Licensed under a 3-clause BSD style license - see LICENSE
"""Classes of extension as a learned task."""

from pathlib import Path

import torch

from ...learning.seeds import VALIDATION
from ...learning.task import Task
from ...simulation.scenes import SimulatedStamps
from .calibrate import calibration, range_fields
from .card import ExtensionCard
from .loss import classes_of, extension_loss
from .model import ExtensionModel
from .network import build_stamp_network
from .recipe import ExtensionRecipe
from .simulator import build_stamp_simulator, dataset_places, dataset_stamp_simulator
from .transfer import start_extension_from

__all__ = ["ExtensionTask"]

#: Stamps that are drawn and seen at once.
CHUNK = 256


class ExtensionTask(Task):
    """Class of the size of a source, probability to be extended, and size."""

    name = "extension"
    Recipe, Card, Model = ExtensionRecipe, ExtensionCard, ExtensionModel
    dataset_recipe, suffix = "extension", "-extension"
    summary_note = "Accuracy is that of isolated sources of all fluxes."

    def simulator(self, recipe, datasets=None, settled=False):
        if datasets is None:
            return build_stamp_simulator(recipe)
        if settled:
            return build_stamp_simulator(recipe, dataset_places(datasets, recipe))
        return dataset_stamp_simulator(datasets, recipe)[0]

    def settled(self, recipe, simulator):
        return recipe.model_copy(update={"scenes": tuple(simulator.scenes)})

    def network(self, recipe, bands):
        return build_stamp_network(recipe, len(bands))

    def batch(self, drawn):
        return drawn.stamps.tensors, drawn.size

    def forward(self, network, inputs):
        return network.split(network(*inputs).float())

    def loss(self, output, target, recipe):
        return extension_loss(output, target, recipe.edges)

    def validation(self, simulator, recipe):
        n_chunks = -(-recipe.validation_stamps // CHUNK)
        return [
            SimulatedStamps.cat(
                [
                    simulator.draw(min(CHUNK, recipe.validation_stamps), (VALIDATION, k, i), scene)
                    for i in range(n_chunks)
                ]
            )
            for k, scene in enumerate(recipe.scenes)
        ]

    def validate(self, network, drawn, recipe):
        device = next(network.parameters()).device
        metrics = {}
        for i, simulated in enumerate(drawn):
            parts = [
                network(*(v.to(device) for v in simulated.stamps[first : first + CHUNK].tensors))
                for first in range(0, len(simulated), CHUNK)
            ]
            output = network.split(torch.cat(parts).float().cpu())
            losses = extension_loss(output, simulated.size, recipe.edges)
            right = output.classes.argmax(1) == classes_of(simulated.size, recipe.edges)
            metrics |= {f"{name}_{i}": value for name, value in losses.items()}
            metrics[f"accuracy_{i}"] = right.float().mean()
        return metrics

    def calibrate(self, network, simulator, recipe):
        fields = range_fields(simulator, recipe)
        card = self.new_card(network, recipe, simulator.bands, **fields)
        return fields | calibration(card, network, simulator, recipe)

    def start(self, network, bands, model):
        start_extension_from(network, model)

    def folder(self, recipe, output):
        # The folder of the model may hold a detection training
        return Path(output) / recipe.name

    def summary(self, card):
        figures = next(iter(card.metrics.values()), {})
        return {
            "Edges (deg)": ", ".join(f"{edge:g}" for edge in card.edges),
            "Accuracy": f"{figures.get('accuracy', float('nan')):.2f}",
        }
