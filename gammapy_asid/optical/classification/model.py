# Licensed under a 3-clause BSD style license - see LICENSE
"""A trained classifier of optical sources: card, network, and calibrated probabilities."""

from dataclasses import dataclass

import numpy as np
import torch

from ...learning.trained import TrainedModel
from ...utils.devices import inference
from .card import OpticalClassCard
from .network import OpticalClassConfig, OpticalClassNetwork
from .prior import checked_prior, class_probabilities
from .stamps import cut_sources

__all__ = ["ClassEvidence", "OpticalClassModel"]

#: Stamps that the network sees at once: they fit into the cache of a processor.
BATCH = 256


@dataclass
class ClassEvidence:
    """What an image says of ``k`` sources, before any knowledge of the shares of the classes.

    Parameters
    ----------
    logits : `~numpy.ndarray`
        Of `~gammapy_asid.optical.classification.prior.SUBCLASSES` at equal shares, calibrated; shape
        ``(k, n_subclasses)``, NaN where no pixel tells.
    magnitude : `~numpy.ndarray`
        Magnitudes of a zero point that is the same for all, by which shares change, shape ``(k,)``.
    """

    logits: np.ndarray
    magnitude: np.ndarray

    def __len__(self):
        return len(self.logits)

    @classmethod
    def cat(cls, parts):
        """That of several parts of an image as one.

        Parameters
        ----------
        parts : list of `ClassEvidence`
            At least one.
        """
        return cls(np.concatenate([p.logits for p in parts]), np.concatenate([p.magnitude for p in parts]))

    def probabilities(self, prior="image"):
        """Probabilities of star, galaxy and artefact, shape ``(k, 3)``.

        Parameters
        ----------
        prior : "image", "equal", dict or float
            See `~gammapy_asid.optical.classification.prior.checked_prior`.
        """
        return class_probabilities(self.logits, self.magnitude, prior)


class OpticalClassModel(TrainedModel):
    """Network with its card, ready to run.

    Parameters
    ----------
    card : `~gammapy_asid.optical.classification.card.OpticalClassCard`
        Card.
    network : `~gammapy_asid.optical.classification.network.OpticalClassNetwork`
        Network.
    device : str or `~torch.device`, optional
        Where it runs; by default the accelerator if there is one.
    """

    Card, Network, Config = OpticalClassCard, OpticalClassNetwork, OpticalClassConfig

    @inference()
    def logits(self, stamps):
        """Raw logits on the CPU, shape ``(k, n_subclasses)``.

        Parameters
        ----------
        stamps : `~gammapy_asid.optical.classification.stamps.ClassStamps`
            Stamps.
        """
        parts = [
            self.network(
                stamps.pixels[i : i + BATCH].to(self.device), stamps.numbers[i : i + BATCH].to(self.device)
            )
            for i in range(0, len(stamps), BATCH)
        ]
        return (
            torch.cat([part.float().cpu() for part in parts])
            if parts
            else torch.zeros(0, len(self.card.bias))
        )

    def calibrated(self, stamps):
        """What stamps say.

        Parameters
        ----------
        stamps : `~gammapy_asid.optical.classification.stamps.ClassStamps`
            Stamps.

        Returns
        -------
        evidence : `ClassEvidence`
            One row a stamp.
        """
        logits = self.logits(stamps).double() / self.card.temperature + torch.tensor(self.card.bias)
        # Without a usable pixel in the core nothing is known
        logits[~stamps.seen] = torch.nan
        return ClassEvidence(logits.numpy(), stamps.magnitude.double().numpy())

    def evidence(self, batch, x, y, image=None, rows=None, fit=None):
        """What images say of sources.

        Parameters
        ----------
        batch : `~gammapy_asid.optical.batch.ImageBatch`
            Images, or parts of one.
        x, y : array-like
            Positions of all sources in pixels, shape ``(k,)``: those beside the wanted ones count as well.
        image, rows, fit
            See `~gammapy_asid.optical.classification.stamps.cut_sources`.

        Returns
        -------
        evidence : `ClassEvidence`
            One row for each source that is wanted; magnitudes are relative to the noise of the sky.
        """
        return self.calibrated(cut_sources(batch.to("cpu"), x, y, image, rows, fit))

    def predict(self, batch, x, y, image=None, prior="image"):
        """Probabilities of star, galaxy and artefact, shape ``(k, 3)``, NaN where no pixel tells.

        Parameters
        ----------
        batch, x, y, image
            See `evidence`.
        prior : "image", "equal", dict or float
            Shares of the classes, see `~gammapy_asid.optical.classification.prior.checked_prior`.
        """
        checked_prior(prior)
        return self.evidence(batch, x, y, image).probabilities(prior)
