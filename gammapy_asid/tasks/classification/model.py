# Licensed under a 3-clause BSD style license - see LICENSE
"""A trained classifier of sources, and its run on a band cube."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import expit, logit

from ...inputs.batch import field_batch
from ...inputs.conditioning import n_conditions
from ...learning.score_calibration import apply_knots
from ...learning.trained import TrainedModel
from ...utils.devices import inference
from ..measurement.features import instrument_scalars
from .card import ClassCard, mode_of
from .network import ClassConfig, ClassNetwork, class_inputs
from .stamps import WholeTime, candidate_stamps
from .time_counts import FieldTime

__all__ = ["ClassLogits", "ClassificationModel", "network_output"]

#: Candidates that the network sees at once.
BATCH = 256
#: Numbers of the fit beyond the range of the training by this share of it are outside.
MARGIN = 0.02
#: Numbers are of order one: what is nearer is equal but for rounding.
ROUNDING = 1e-4


@dataclass
class ClassLogits:
    """Calibrated logits of ``n`` candidates.

    Parameters
    ----------
    real : `~numpy.ndarray`
        Of a real source against a fake, as among the candidates of the training, shape ``(n,)``.
    classes : `~numpy.ndarray`
        Of `~gammapy_asid.catalog.CLASSES` at equal shares, shape ``(n, 3)``.
    fsrq : `~numpy.ndarray`
        Of FSRQ against BL Lac at equal shares, shape ``(n,)``.
    outside : `~numpy.ndarray`
        Whether a number of the fit lies beyond all of the training, bool of shape ``(n,)``.
    """

    real: np.ndarray
    classes: np.ndarray
    fsrq: np.ndarray
    outside: np.ndarray


@inference()
def network_output(network, stamps):
    """Raw logits of candidates, and what lies outside the range of the training, on the CPU.

    Parameters
    ----------
    network : `~gammapy_asid.tasks.classification.network.ClassNetwork`
        Network in evaluation mode.
    stamps : `~gammapy_asid.tasks.classification.stamps.CandidateStamps`
        At least one candidate.

    Returns
    -------
    output : `~gammapy_asid.tasks.classification.network.ClassOutput`
        Logits.
    outside : `~torch.Tensor`
        See `ClassLogits`.
    """
    low, high = network.low, network.high
    margin = MARGIN * (high - low).nan_to_num(posinf=0) + ROUNDING
    # The instrument is compared once for the field, with a tolerance: see `gammapy_asid.learning.domain`
    n_bands = network.config.bands
    judged = torch.ones_like(low, dtype=torch.bool)
    judged[instrument_scalars(n_bands, n_conditions(range(n_bands)))] = False
    outputs, outside = [], []
    for first in range(0, len(stamps), BATCH):
        rows = torch.arange(first, min(first + BATCH, len(stamps)), device=stamps.scalars.device)
        inputs = class_inputs(stamps.select(rows).to(low.device))
        outputs.append(network(*inputs).float().cpu())
        beyond = (inputs.numbers < low - margin) | (inputs.numbers > high + margin)
        outside.append((beyond & judged).any(1).cpu())
    return ClassNetwork.split(torch.cat(outputs)), torch.cat(outside)


class ClassificationModel(TrainedModel):
    """Network with its card, ready to run.

    Parameters
    ----------
    card : `~gammapy_asid.tasks.classification.card.ClassCard`
        Card.
    network : `~gammapy_asid.tasks.classification.network.ClassNetwork`
        Network.
    device : str or `~torch.device`, optional
        Where it runs; by default the accelerator if there is one.
    """

    Card, Network, Config = ClassCard, ClassNetwork, ClassConfig

    def stamps(self, cube, x, y, score=None, sigma=None, time=None):
        """What the network sees of sources of a field.

        Parameters
        ----------
        cube, x, y, score, sigma, time
            See `predict`.

        Returns
        -------
        stamps : `~gammapy_asid.tasks.classification.stamps.CandidateStamps`
            Sources.
        """
        batch = field_batch([cube]).to(self.device)
        in_time = WholeTime(batch) if time is None else FieldTime(time, self.device)
        field = np.zeros(len(x), int)
        sigma = np.full(len(x), np.nan) if sigma is None else sigma
        return candidate_stamps(batch, cube.response, field, x, y, score, sigma, in_time)

    @inference()
    def last_layer(self, stamps):
        """Values of the last hidden layer on the CPU, shape ``(n, hidden)``.

        Parameters
        ----------
        stamps : `~gammapy_asid.tasks.classification.stamps.CandidateStamps`
            Candidates, at least one.
        """
        parts = []
        for first in range(0, len(stamps), BATCH):
            rows = torch.arange(first, min(first + BATCH, len(stamps)), device=stamps.scalars.device)
            inputs = class_inputs(stamps.select(rows).to(self.device))
            parts.append(self.network.last_layer(*inputs).float().cpu())
        return torch.cat(parts)

    def predict(self, cube, x, y, score=None, sigma=None, time=None, given=False):
        """Calibrated logits of sources of a field.

        Parameters
        ----------
        cube : `~gammapy_asid.inputs.BandCube`
            Field in the bands of the model.
        x, y : `~numpy.ndarray`
            Positions in finest pixels, shape ``(n,)``.
        score : `~numpy.ndarray`, optional
            Calibrated scores of the detection, if there are any.
        sigma : `~numpy.ndarray`, optional
            Position errors per axis in finest pixels.
        time : `~gammapy_asid.inputs.time_bins.TimeCounts`, optional
            Counts of the field in bins of time.
        given : bool
            Whether the positions were given, else the sources were detected.

        Returns
        -------
        logits : `ClassLogits`
            Logits.
        """
        if not len(x):
            return ClassLogits(np.empty(0), np.empty((0, 3)), np.empty(0), np.empty(0, bool))
        stamps = self.stamps(cube, x, y, score, sigma, time)
        output, outside = network_output(self.network, stamps)
        return self.calibrated(output, outside, mode_of(stamps.counts.shape[1], given))

    def calibrated(self, output, outside, mode):
        """Calibrated logits of raw ones.

        Parameters
        ----------
        output, outside
            Result of `network_output`.
        mode : str
            One of `~gammapy_asid.tasks.classification.card.MODES`.

        Returns
        -------
        logits : `ClassLogits`
            Logits.
        """
        calibration = self.card.calibration[mode]
        real, classes, fsrq = (v.double().numpy() for v in output)
        return ClassLogits(
            real=logit(apply_knots(expit(real), calibration.real_knots)),
            classes=classes / calibration.temperature + np.array(calibration.bias),
            fsrq=fsrq / calibration.fsrq_temperature + calibration.fsrq_bias,
            outside=outside.numpy(),
        )
