# Licensed under a 3-clause BSD style license - see LICENSE
"""Classes of sources as a learned task."""

from pathlib import Path

import numpy as np
import torch

from ...inputs.conditioning import n_conditions
from ...learning.seeds import VALIDATION
from ...learning.task import Task
from ..measurement.features import n_scalars
from .bank import keep_candidates
from .batches import CandidateBatches, target_of
from .calibrate import calibration, range_fields, simulated_outputs
from .card import ClassCard
from .figures import class_figures
from .loss import class_loss
from .model import ClassificationModel, ClassLogits
from .network import ClassConfig, ClassNetwork, ClassOutput, class_inputs
from .recipe import ClassRecipe
from .simulator import build_candidate_simulator

__all__ = ["ClassificationTask"]

#: Candidates on which a training is watched.
N_VALIDATION = 3000


class ClassificationTask(Task):
    """Real or fake, the class of a real source, BL Lac or FSRQ."""

    name = "classification"
    Recipe, Card, Model = ClassRecipe, ClassCard, ClassificationModel
    dataset_recipe, suffix = "classes", "-classes"
    summary_note = "Area and accuracy are those of simulated candidates of the detector with bins of time."

    def simulator(self, recipe, datasets=None, settled=False):
        return build_candidate_simulator(recipe, datasets)

    def kept(self, simulator, recipe, folder):
        return keep_candidates(simulator, recipe, folder)

    def network(self, recipe, bands):
        scalars = n_scalars(bands, n_conditions(bands))
        config = ClassConfig(len(bands), scalars, recipe.widths, recipe.hidden, recipe.members)
        return ClassNetwork(config)

    def batch(self, drawn):
        return class_inputs(drawn.stamps), target_of(drawn, torch.ones(6))

    def batches(self, simulator, recipe, start):
        return CandidateBatches(self, simulator, recipe, start)

    def forward(self, network, inputs):
        return ClassNetwork.split(network.members(*inputs).float())

    def loss(self, output, target, recipe):
        # Each member learns by itself
        members = [class_loss(ClassOutput(*own), target) for own in zip(*output, strict=True)]
        return {name: sum(parts[name] for parts in members) / len(members) for name in members[0]}

    def validation(self, simulator, recipe):
        return [simulator.draw(N_VALIDATION, (VALIDATION, 0))]

    def validate(self, network, drawn, recipe):
        metrics = {}
        for mode, (truth, output) in simulated_outputs(network, drawn).items():
            logits = ClassLogits(*(v.double().numpy() for v in output), outside=np.zeros(0, bool))
            figures = class_figures(truth, logits)
            metrics |= {f"{name}_{mode}": value for name, value in figures.items() if "n" != name}
        return metrics

    def calibrate(self, network, simulator, recipe):
        fields = range_fields(simulator)
        card = self.new_card(network, recipe, simulator.bands, **fields)
        return fields | calibration(card, network, simulator, recipe)

    def folder(self, recipe, output):
        # The folder of the model may hold a detection training
        return Path(output) / recipe.name

    def summary(self, card):
        figures = card.metrics.get("time_detected", {})
        return {
            "Detector": card.recipe["detector"],
            "Real area": f"{figures.get('real_area', float('nan')):.2f}",
            "Accuracy": f"{figures.get('accuracy_ts25', float('nan')):.2f}",
        }
