# Licensed under a 3-clause BSD style license - see LICENSE
"""Loss of the classes of sources, and the prior of the training."""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from ...simulation.mock_catalog import SOURCE_CLASSES

__all__ = ["FAKE", "FSRQ", "FSRQ_ODDS", "ClassTarget", "class_loss", "class_of", "training_prior"]

#: Class of a candidate that no source has made.
FAKE = -1

#: Class of each of the `SOURCE_CLASSES`.
_OF_SOURCE = torch.tensor([{"bll": 0, "fsrq": 0, "psr": 1}.get(name, 2) for name in SOURCE_CLASSES])
#: Number of FSRQ among the `SOURCE_CLASSES`.
FSRQ = SOURCE_CLASSES.index("fsrq")

#: Shares of the classes among the simulated sources brighter than 2.5e-10 / (cm2 s) from 1 to 100 GeV by
#: absolute latitude in deg: means of 60 skies of `~gammapy_asid.simulation.populations.draw_sky`. The logits
#: of the network are relative to them, so that other priors can take their place. Nebulae and remnants far
#: from the plane get a share that a few in the catalogue have.
_LATITUDES = np.array([0.75, 2.25, 4.5, 9.0, 18.0, 50.0])
_SHARES = np.array(
    [
        [0.062, 0.441, 0.497],
        [0.165, 0.412, 0.423],
        [0.315, 0.352, 0.333],
        [0.554, 0.323, 0.123],
        [0.801, 0.189, 0.010],
        [0.941, 0.057, 0.002],
    ]
)
#: Odds of FSRQ against BL Lac in the same skies.
FSRQ_ODDS = 0.81


def training_prior(latitude):
    """Shares of the `~gammapy_asid.catalog.CLASSES` in the training's sky, shape ``(n, 3)``.

    Parameters
    ----------
    latitude : array-like
        Galactic latitude in deg, shape ``(n,)``.

    Returns
    -------
    share : `~numpy.ndarray`
        Rows add to one.
    """
    at = np.abs(np.asarray(latitude, dtype=float))
    share = np.stack([np.exp(np.interp(at, _LATITUDES, np.log(s))) for s in _SHARES.T], -1)
    return share / share.sum(-1, keepdims=True)


def class_of(source_class):
    """Class of the network, `FAKE` for none, int64.

    Parameters
    ----------
    source_class : `~torch.Tensor`
        Index in `~gammapy_asid.simulation.mock_catalog.SOURCE_CLASSES`, -1 for none.
    """
    return torch.where(source_class < 0, FAKE, _OF_SOURCE[source_class.clamp(min=0)])


class ClassTarget(NamedTuple):
    """What the output is compared with, tensors with one row per candidate.

    Parameters
    ----------
    source_class : `~torch.Tensor`
        See `class_of`.
    weight : `~torch.Tensor`
        Probability to be chosen for the batch, over that of others.
    log_prior : `~torch.Tensor`
        Logarithm of the share of each class among what is chosen, shape ``(n, 3)``.
    log_odds : `~torch.Tensor`
        Logarithm of the odds of FSRQ against BL Lac among what is chosen.
    """

    source_class: torch.Tensor
    weight: torch.Tensor
    log_prior: torch.Tensor
    log_odds: torch.Tensor


def class_loss(output, target):
    """Cross entropies of the hierarchy: real or fake, the class of a real one, BL Lac or FSRQ.

    The prior of what is chosen is added to the logits, which are then those of equal shares (Menon et al.
    2021, ICLR, eq. 10); of real and fake, where fakes have no class, candidates count as they are in the sky.

    Parameters
    ----------
    output : `~gammapy_asid.tasks.classification.network.ClassOutput`
        Logits.
    target : `ClassTarget`
        Truth.

    Returns
    -------
    parts : dict of `~torch.Tensor`
        ``loss``, ``real``, ``classes`` and ``fsrq``.
    """
    number = class_of(target.source_class)
    real, weight = number != FAKE, 1 / target.weight
    of_real = F.binary_cross_entropy_with_logits(output.real, real.float(), reduction="none")
    parts = {"real": (of_real * weight).sum() / weight.sum()}
    logits = output.classes + target.log_prior
    of_class = F.cross_entropy(logits, number.clamp(min=0), reduction="none")
    parts["classes"] = _mean(of_class, real)
    is_fsrq = (target.source_class == FSRQ).float()
    of_agn = F.binary_cross_entropy_with_logits(output.fsrq + target.log_odds, is_fsrq, reduction="none")
    parts["fsrq"] = _mean(of_agn, number == 0)
    return {"loss": sum(parts.values()), **parts}


def _mean(values, chosen):
    """Mean of the chosen values, 0 of none."""
    return (values * chosen).sum() / chosen.sum().clamp(min=1)
