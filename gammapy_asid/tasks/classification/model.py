# Licensed under a 3-clause BSD style license - see LICENSE
"""A trained classifier of sources: card, network, and calibrated predictions."""

from dataclasses import dataclass

import numpy as np

from ...learning.card import Card
from ...learning.trained import TrainedModel

__all__ = ["ClassLogits", "ClassificationModel"]


@dataclass
class ClassLogits:
    """Predictions for ``n`` sources.

    Parameters
    ----------
    real : `~numpy.ndarray`
        Of real against fake, shape ``(n,)``.
    classes : `~numpy.ndarray`
        Of `~gammapy_asid.catalog.CLASSES` at equal shares, shape ``(n, 3)``.
    fsrq : `~numpy.ndarray`
        Of FSRQ against BL Lac at equal shares, shape ``(n,)``.
    outside : `~numpy.ndarray`
        Whether a source lies beyond what training covered, bool of shape ``(n,)``.
    """

    real: np.ndarray
    classes: np.ndarray
    fsrq: np.ndarray
    outside: np.ndarray


class ClassificationModel(TrainedModel):
    """Network with its card, ready to run."""

    Card = Card
