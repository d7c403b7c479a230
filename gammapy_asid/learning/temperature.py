# Licensed under a 3-clause BSD style license - see LICENSE
"""Calibration of the probabilities of several classes: a temperature and a bias of each."""

import torch
import torch.nn.functional as F

__all__ = ["fit_temperature"]


def fit_temperature(logits, target, log_prior=0.0, pull=0.0):
    """Temperature and one bias a class by maximum likelihood (Guo et al. 2017, ICML, eq. 9).

    Parameters
    ----------
    logits : `~torch.Tensor`
        Raw logits, float64 of shape ``(n, n_classes)``.
    target : `~torch.Tensor`
        Classes, int64 of shape ``(n,)``.
    log_prior : `~torch.Tensor` or float
        Added to the calibrated logits, shape ``(n, n_classes)``.
    pull : float
        Weight of the squared biases, for classes that may be absent.

    Returns
    -------
    temperature : float
        Divides the logits.
    bias : tuple of float
        Added to them; of mean zero.
    """
    log_t = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(logits.shape[1], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([log_t, bias], max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        loss = F.cross_entropy(logits * torch.exp(-log_t) + bias + log_prior, target)
        if pull:
            loss = loss + pull * (bias**2).sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimiser.step(closure)
    return float(log_t.detach().exp()), tuple((bias - bias.mean()).detach().tolist())
