# Licensed under a 3-clause BSD style license - see LICENSE
"""Detection in images as a learned task."""

import torch

from ...learning.io import load_card, load_state
from ...learning.seeds import PATCHES, VALIDATION
from ...learning.stream import SimulatedBatches
from ...learning.targets import turned_targets
from ...learning.task import Task
from ...simulation.patch_images import turned
from ..channels import ELLIPTICITY, channels, conditions
from ..simulator import OpticalSimulator
from .calibrate import card_fields, figures, mask_figures
from .candidates import simulated_candidates
from .card import OpticalCard
from .hidden_score import hidden_weights
from .loss import optical_loss, optical_targets
from .model import OpticalDetectionModel
from .network import BRIGHTNESS, build_network
from .recipe import OpticalRecipe

__all__ = ["OpticalTask"]


class OpticalTask(Task):
    """Maps of source centres, of cosmic rays and of trails."""

    name = "optical"
    Recipe, Card, Model = OpticalRecipe, OpticalCard, OpticalDetectionModel
    dataset_recipe, suffix = "optical", "-optical"
    summary_note = "Purity and completeness are those expected at a threshold of 0.5 on simulated images."

    def simulator(self, recipe, datasets=None, settled=False):
        if datasets is not None:
            raise ValueError("Images are no datasets: give --image, or leave out --dataset")
        return OpticalSimulator(
            recipe.patch_size, recipe.fwhm, recipe.cameras, kinds=recipe.kinds, seed=recipe.seed
        )

    def network(self, recipe, bands):
        return build_network(recipe.widths)

    def batch(self, drawn):
        batch = drawn.batch
        return (channels(batch), conditions(batch)), (optical_targets(drawn), batch.valid)

    def forward(self, network, inputs):
        images, described = inputs
        return network({0: images.to(memory_format=torch.channels_last)}, described).float()

    def turned(self, batch, turn):
        (images, described), (target, valid) = batch
        maps, masks = (turned(v, turn) for v in target)
        target = torch.cat([turned_targets(maps[:, :BRIGHTNESS], turn), maps[:, BRIGHTNESS:]], 1), masks
        # An ellipse turned by 90 deg has the opposite ellipticity; exchanged axes change the first part only
        sign = torch.ones_like(described)
        sign[:, ELLIPTICITY] = (-1.0) ** (turn % 4)
        sign[:, ELLIPTICITY.start] *= -1 if turn > 3 else 1
        return (turned(images, turn), described * sign), (target, turned(valid, turn))

    def batches(self, simulator, recipe, start):
        size, stop = recipe.optimiser.batch_size, start + recipe.optimiser.batches_per_epoch
        return SimulatedBatches(self, simulator, size, stop, recipe.seed, start, recipe.reuse)

    def loss(self, output, target, recipe):
        return optical_loss(output, *target)

    def validation(self, simulator, recipe):
        size = recipe.optimiser.batch_size
        return [simulator.draw(size, (VALIDATION, i)) for i in range(-(-recipe.validation_patches // size))]

    def validate(self, network, drawn, recipe):
        found, truth, masks = simulated_candidates(network, drawn)
        values = figures(found["score"], found, truth)
        crowds = values.pop("by_crowd")
        for crowd, own in crowds.items():
            values |= {f"{name}_{crowd}": own[name] for name in ("purity", "completeness")}
        return {name: float(value) for name, value in (values | mask_figures(masks)).items()}

    def calibrate(self, network, simulator, recipe):
        fields = card_fields(network, simulator, recipe.calibration_patches)
        card = self.new_card(network, recipe, simulator.bands, **fields)
        weights = hidden_weights(network, simulator, recipe.calibration_patches, PATCHES.calibration, card)
        return fields | {"hidden_weights": weights}

    def start(self, network, bands, model):
        card = load_card(model, OpticalCard)
        if list(card.architecture["widths"]) != list(network.config.widths):
            raise ValueError(
                f"The training starts from a network of widths {tuple(card.architecture['widths'])}, the "
                f"recipe wants {network.config.widths}: give it those"
            )
        network.load_state_dict(load_state(model, OpticalCard))

    def summary(self, card):
        point = min(card.operating_points, key=lambda point: abs(point.threshold - 0.5))
        return {
            "FWHM (pix)": f"{card.fwhm[0]:.2g}-{card.fwhm[1]:.2g}",
            "Purity": f"{point.purity:.2f}",
            "Completeness": f"{point.completeness:.2f}",
        }
