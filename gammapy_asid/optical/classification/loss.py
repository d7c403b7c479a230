# Licensed under a 3-clause BSD style license - see LICENSE
"""Loss of the classes of optical sources."""

from typing import NamedTuple

import torch
import torch.nn.functional as F

__all__ = ["ClassTarget", "optical_class_loss"]


class ClassTarget(NamedTuple):
    """What the output is compared with, tensors with a row a candidate.

    Parameters
    ----------
    subclass : `~torch.Tensor`
        Number of the subclass, int64.
    log_shares : `~torch.Tensor`
        Logarithm of the share of each subclass among the candidates of this significance, shape
        ``(k, n_subclasses)``.
    """

    subclass: torch.Tensor
    log_shares: torch.Tensor


def optical_class_loss(output, target):
    """Cross entropy of each member.

    Shares of the training are added to the logits, which are then those of equal shares at any brightness
    (Menon et al. 2021, ICLR, eq. 10).

    Parameters
    ----------
    output : `~torch.Tensor`
        Logits, shape ``(members, k, n_subclasses)``.
    target : `ClassTarget`
        Truth.

    Returns
    -------
    parts : dict of `~torch.Tensor`
        ``loss`` and ``star``, the cross entropy of stars against all others.
    """
    logits = output + target.log_shares
    members = len(output)
    loss = F.cross_entropy(logits.flatten(0, 1), target.subclass.repeat(members))
    with torch.no_grad():
        star = logits[..., 0] - logits[..., 1:].logsumexp(-1)
        truth = (target.subclass == 0).float().expand(members, -1)
        of_star = F.binary_cross_entropy_with_logits(star, truth)
    return {"loss": loss, "star": of_star}
