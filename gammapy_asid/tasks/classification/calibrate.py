# Licensed under a 3-clause BSD style license - see LICENSE
"""Calibrate a classifier of sources on simulations that trained nothing, and test it on others."""

import numpy as np
import torch
import torch.nn.functional as F

from ...inputs.psf import psf_radius
from ...learning.domain import beyond_bands, ranges
from ...learning.score_calibration import fit_knots
from ...learning.seeds import CANDIDATES
from ...learning.temperature import fit_temperature
from .bank import CHUNK, FINE_BINS, chunk_bins
from .card import MODES, ClassCalibration, mode_of
from .figures import class_figures
from .loss import FAKE, FSRQ, FSRQ_ODDS, class_of, training_prior
from .model import ClassificationModel, network_output
from .network import ClassOutput, class_numbers

__all__ = ["calibration", "range_fields", "simulated_outputs"]

#: Knots of the calibration of real against fake, and the candidates that each needs.
N_KNOTS, PER_KNOT = 30, 20
#: A little pull to no change: a class may be absent.
PULL = 1e-3


def range_fields(simulator):
    """Entries of a card that say what it was trained for, and those of no calibration.

    Parameters
    ----------
    simulator : `~gammapy_asid.tasks.classification.simulator.CandidateSimulator`
        Simulator of the training.

    Returns
    -------
    fields : dict
        Entries of the `~gammapy_asid.tasks.classification.card.ClassCard`.
    """
    responses = simulator.patches.bank.responses
    exposure = np.array([np.where(r.present, r.exposure.mean(axis=1), np.nan) for r in responses])
    pixel_size = [response.pixel_size for response in responses]
    return {
        "detector_sha256": simulator.detector.card.sha256,
        "pixel_size": (min(pixel_size), max(pixel_size)),
        "psf_r68": ranges(np.array([psf_radius(response) for response in responses])),
        # Its patches are those of the detector's recipe
        "background": simulator.detector.card.background,
        "intensity": simulator.detector.card.intensity,
        "beyond_bands": max(beyond_bands(response) for response in responses),
        "exposure": ranges(exposure),
        "time_bins": (2, FINE_BINS),
        "real_share": 0.5,
        "calibration": dict.fromkeys(MODES, ClassCalibration()),
        "metrics": {},
    }


def simulated_outputs(network, chunks):
    """Truth and raw predictions of simulated candidates, with all bins of time and with none.

    Parameters
    ----------
    network : `~gammapy_asid.tasks.classification.network.ClassNetwork`
        Network in evaluation mode.
    chunks : iterable of `~gammapy_asid.tasks.classification.simulator.SimulatedCandidates`
        Candidates.

    Returns
    -------
    results : dict of tuple
        For each of `MODES` that occurs: columns of the truth (dict of `~numpy.ndarray`) and raw logits
        (`~gammapy_asid.tasks.classification.network.ClassOutput`).
    """
    parts = {}
    for candidates in chunks:
        given = candidates.given
        for stamps in (candidates.stamps, candidates.stamps.whole()):
            output, _ = network_output(network, stamps)
            for value in (False, True):
                rows = given == value
                if rows.any():
                    mode = mode_of(stamps.counts.shape[1], value)
                    chosen = ClassOutput(*(v[rows] for v in output))
                    parts.setdefault(mode, []).append((_truth(candidates, rows), chosen))
    return {
        mode: (
            {name: np.concatenate([truth[name] for truth, _ in own]) for name in own[0][0]},
            ClassOutput(*(torch.cat(v) for v in zip(*(output for _, output in own), strict=True))),
        )
        for mode, own in parts.items()
    }


def _truth(candidates, rows):
    names = ("source_class", "latitude", "significance", "score", "has_background", "fault")
    return {name: getattr(candidates, name)[rows].numpy() for name in names}


def calibration(card, network, simulator, recipe):
    """Entries that make the probabilities of a card true, and figures on other simulations.

    Parameters
    ----------
    card : `~gammapy_asid.tasks.classification.card.ClassCard`
        Card with `range_fields`.
    network : `~gammapy_asid.tasks.classification.network.ClassNetwork`
        Trained network.
    simulator : `~gammapy_asid.tasks.classification.simulator.CandidateSimulator`
        Simulator of the training.
    recipe : `~gammapy_asid.tasks.classification.recipe.ClassRecipe`
        Recipe of the training.

    Returns
    -------
    fields : dict
        Entries of the card.
    """

    def chunks(seed):
        number, n = 0, 0
        while n < recipe.calibration_candidates:
            size = min(CHUNK, recipe.calibration_candidates)
            candidates = simulator.draw(size, (seed, number), chunk_bins(number))
            number, n = number + 1, n + len(candidates)
            yield candidates

    results = simulated_outputs(network, _measured(network, chunks(CANDIDATES.calibration)))
    fitted = {mode: ClassCalibration(**_fitted(*results[mode])) for mode in MODES if mode in results}
    # A training too short to have seen a mode says nothing on it
    fields = {"calibration": dict.fromkeys(MODES, ClassCalibration()) | fitted}
    fields["real_share"] = float(np.mean([truth["source_class"] >= 0 for truth, _ in results.values()][0]))
    model = ClassificationModel(card.model_copy(update=fields), network)
    tested = simulated_outputs(network, chunks(CANDIDATES.test))
    nothing = torch.zeros(0, dtype=torch.bool)
    metrics = {
        mode: class_figures(truth, model.calibrated(output, nothing, mode))
        for mode, (truth, output) in tested.items()
    }
    return fields | {"metrics": metrics}


def _measured(network, chunks):
    """The chunks, whose range of numbers becomes that of the network."""
    network.low.fill_(torch.inf)
    network.high.fill_(-torch.inf)
    for candidates in chunks:
        for numbers in map(class_numbers, (candidates.stamps, candidates.stamps.whole())):
            network.low.copy_(torch.minimum(network.low, numbers.amin(0).to(network.low.device)))
            network.high.copy_(torch.maximum(network.high, numbers.amax(0).to(network.low.device)))
        yield candidates


def _fitted(truth, output):
    """Entries of a `ClassCalibration`."""
    number = class_of(torch.as_tensor(truth["source_class"]))
    real = number != FAKE
    score = torch.sigmoid(output.real.double()).numpy()
    fields = {}
    n_knots = min(N_KNOTS, len(score) // PER_KNOT)
    if n_knots >= 2 and 0 < real.sum() < len(real):
        knots = fit_knots(score, real.numpy(), n_knots)
        fields["real_knots"] = tuple(map(tuple, knots.tolist()))
    prior = torch.log(torch.as_tensor(training_prior(truth["latitude"])))[real]
    if real.sum() > PER_KNOT:
        temperature, bias = fit_temperature(output.classes.double()[real], number[real], prior, PULL)
        fields |= {"temperature": temperature, "bias": bias}
    agn = number == 0
    if agn.sum() > PER_KNOT:
        # Two classes, the first with a logit of 0
        pair = F.pad(output.fsrq.double()[agn, None], (1, 0))
        odds = torch.tensor([0.0, np.log(FSRQ_ODDS)], dtype=torch.float64).expand(len(pair), 2)
        is_fsrq = torch.as_tensor(truth["source_class"] == FSRQ).long()[agn]
        temperature, bias = fit_temperature(pair, is_fsrq, odds, PULL)
        fields |= {"fsrq_temperature": temperature, "fsrq_bias": bias[1] - bias[0]}
    return fields
