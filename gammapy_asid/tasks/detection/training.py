# Licensed under a 3-clause BSD style license - see LICENSE
"""The detection network as a Lightning module."""

import lightning
import numpy as np
import torch

from ...evaluation.metrics import purity_recall
from ...learning.trainer import cosine_cycles
from .simulated_candidates import simulated_candidates
from .targets import detection_loss

__all__ = ["DetectionModule"]


class DetectionModule(lightning.LightningModule):
    """Training of the detection network.

    Parameters
    ----------
    network : `~gammapy_asid.learning.unet.MultiResolutionUNet`
        Network.
    optimiser : `~gammapy_asid.learning.recipe.OptimiserRecipe`
        Length and step size.
    validation : list of `~gammapy_asid.simulation.patches.SimulatedPatches`
        The fixed simulated sky.
    """

    def __init__(self, network, optimiser, validation):
        super().__init__()
        self.network = network
        self.optimiser = optimiser
        self.validation = validation

    def training_step(self, batch, batch_idx):
        """Loss of one batch."""
        inputs = {k: v.to(memory_format=torch.channels_last) for k, v in batch["inputs"].items()}
        output = self.network(inputs, batch["conditions"]).float()
        parts = detection_loss(output, batch["targets"], batch["mask"])
        self.log_dict(parts, on_step=False, on_epoch=True, batch_size=len(output))
        self.log("last_loss", parts["loss"], prog_bar=True)
        return parts["loss"]

    def validation_step(self, batch, batch_idx):
        """Purity and recall on the fixed sky, with and without a background."""
        # Significances and centres need full precision, also where the training runs in half.
        with torch.autocast(self.device.type, enabled=False):
            candidates, n_true = simulated_candidates(self.network, self.validation)
        metrics = {}
        for known, name in enumerate(("counts", "background")):
            chosen = candidates["has_background"] == known
            if n_true[known] == 0:
                continue
            found = np.isfinite(candidates["offset"][chosen])
            curve = purity_recall(candidates["score"][chosen], found, n_true[known])
            above = candidates["score"][chosen] > 0.5
            metrics[f"precision_{name}"] = float(found[above].mean()) if above.any() else 0.0
            metrics[f"recall_{name}"] = float(found[above].sum() / n_true[known])
            metrics[f"recall95_{name}"] = float(max(curve.recall[curve.purity >= 0.95], default=0.0))
        self.log_dict(metrics, prog_bar=True, batch_size=1)

    def configure_optimizers(self):
        """See `cosine_cycles`."""
        return cosine_cycles(self.network.parameters(), self.optimiser)
