# Licensed under a 3-clause BSD style license - see LICENSE
"""Which bands, which years and which numbers of the fit decided the class of a candidate."""

import numpy as np
import torch

from ...catalog.columns import CLASSES
from ...evaluation.explanation import explain
from .network import CURVE, MOVING, STILL, ClassNetwork, class_inputs

__all__ = ["TARGETS", "explain_candidates"]

#: What can be explained: each against what it is told from.
TARGETS = ("real", *CLASSES, "FSRQ")


def explain_candidates(network, stamps, target, method="gradients", n_steps=64):
    """What bands, years and numbers of the fit add to the logarithm of the odds of a class.

    Each candidate is compared with one of counts as the sky without the source gives them, and with the mean
    numbers of the training.

    Parameters
    ----------
    network : `~gammapy_asid.tasks.classification.network.ClassNetwork`
        Network in evaluation mode.
    stamps : `~gammapy_asid.tasks.classification.stamps.CandidateStamps`
        Candidates, at least one.
    target : str
        One of `TARGETS`: a real source against a fake, one class against the other two, FSRQ against BL Lac.
    method, n_steps
        See `~gammapy_asid.evaluation.explanation.explain`.

    Returns
    -------
    explanation : `~gammapy_asid.evaluation.explanation.Explanation`
        What each number of the inputs (`~gammapy_asid.tasks.classification.network.ClassInputs`) adds.
    shares : `~numpy.ndarray`
        What each band adds in each bin of time, images and light curves together, shape
        ``(n, n_bands, n_bins)``.

    Raises
    ------
    ValueError
        If the target is another one.
    """
    if target not in TARGETS:
        raise ValueError(f"The target is one of {', '.join(TARGETS)}, got {target!r}")
    inputs = class_inputs(stamps.to(network.low.device))._asdict()
    n_bands = inputs["moving"].shape[1] // MOVING
    bands = {"moving": np.repeat(np.arange(n_bands), MOVING), "curve": np.repeat(np.arange(n_bands), CURVE)}

    def odds(**own):
        return _log_odds(network(**own))

    number, baselines = TARGETS.index(target), _without_source(network, inputs)
    explanation = explain(odds, inputs, number, baselines, method, bands, n_steps)
    return explanation, sum(explanation.bands_and_years(name, own) for name, own in bands.items())


def _without_source(network, inputs):
    """Inputs of a place without a source: no excess in counts and light curve; the mean of all numbers."""
    still, curve = inputs["still"].clone(), inputs["curve"].clone()
    still[:, ::STILL] = 0
    curve[:, ::CURVE] = 0
    mean = network.number_norm.running_mean
    return {"numbers": mean, "still": still, "moving": 0.0, "curve": curve}


def _log_odds(output):
    """Logarithms of the odds of `TARGETS` at equal shares of the classes, shape ``(n, 5)``."""
    real, classes, fsrq = ClassNetwork.split(output)
    others = torch.stack(
        [torch.logsumexp(classes[:, np.arange(len(CLASSES)) != i], dim=1) for i in range(len(CLASSES))], dim=1
    )
    return torch.cat([real[:, None], classes - others, fsrq[:, None]], dim=1)
