# Licensed under a 3-clause BSD style license - see LICENSE
"""Calibrate a classifier of optical sources on simulations that trained nothing, and test it on others."""

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from ...learning.score_calibration import expected_calibration_error
from ...learning.seeds import CANDIDATES
from ...learning.temperature import fit_temperature
from .candidates import ARTEFACT
from .model import OpticalClassModel
from .stamps import ClassStamps

__all__ = ["calibration", "range_fields", "source_figures"]

#: A little pull to no change: a class may be absent.
PULL = 1e-3

#: Images drawn at once.
CHUNK = 16

#: Significances between which figures are given.
EDGES = (3, 10, 30, 100, 1000)


def range_fields(recipe):
    """Entries of a card that say what it was trained for.

    Parameters
    ----------
    recipe : `~gammapy_asid.optical.classification.recipe.OpticalClassRecipe`
        Recipe of the training.
    """
    return {"fwhm": recipe.fwhm, "psf_error": recipe.psf_error, "snr": (0.0, 0.0), "metrics": {}}


def calibration(card, network, simulator, recipe):
    """Entries that make the probabilities of a card true, and figures on other simulations.

    Parameters
    ----------
    card : `~gammapy_asid.optical.classification.card.OpticalClassCard`
        Card with `range_fields`.
    network : `~gammapy_asid.optical.classification.network.OpticalClassNetwork`
        Trained network.
    simulator : `~gammapy_asid.optical.classification.candidates.CandidateSimulator`
        Simulator of the training.
    recipe : `~gammapy_asid.optical.classification.recipe.OpticalClassRecipe`
        Recipe of the training.

    Returns
    -------
    fields : dict
        Entries of the card.
    """

    def drawn(seed):
        number = -(-recipe.calibration_images // CHUNK)
        return [simulator.draw(CHUNK, (seed, i)) for i in range(number)]

    model, own = OpticalClassModel(card, network), drawn(CANDIDATES.calibration)
    logits = torch.cat([model.logits(d.stamps) for d in own]).double()
    target, shares = (torch.cat([getattr(d, name) for d in own]) for name in ("subclass", "log_shares"))
    temperature, bias = fit_temperature(logits, target, shares.double(), PULL)
    snr = torch.cat([d.stamps.snr for d in own]).double().numpy()
    fields = {
        "temperature": temperature,
        "bias": bias,
        "snr": tuple(float(v) for v in np.quantile(snr, [0.01, 0.99])),
    }
    model, others = OpticalClassModel(card.model_copy(update=fields), network), drawn(CANDIDATES.test)
    evidence = model.calibrated(ClassStamps.cat([d.stamps for d in others]))
    figures = source_figures(torch.from_numpy(evidence.logits).nan_to_num(), others)
    return fields | {"metrics": {name: round(float(v), 4) for name, v in figures.items()}}


def source_figures(logits, drawn):
    """Areas under the curve and calibration errors at the shares of the simulation.

    Parameters
    ----------
    logits : `~torch.Tensor`
        Logits at equal shares, shape ``(k, n_subclasses)``.
    drawn : list of `~gammapy_asid.optical.classification.candidates.SimulatedSources`
        The sources.

    Returns
    -------
    figures : dict of float
        ``area_LOW_HIGH`` of star against galaxy between significances, of artefacts against others, and
        expected calibration errors of stars, at the shares of the simulation.
    """
    subclass, snr, shares = (
        torch.cat(values).numpy()
        for values in zip(*((d.subclass, d.stamps.snr, d.log_shares) for d in drawn), strict=True)
    )
    probability = torch.softmax(logits + torch.from_numpy(shares), 1).numpy()
    real = subclass != ARTEFACT
    star = probability[:, 0] / np.maximum(probability[:, :ARTEFACT].sum(1), 1e-12)
    figures = {
        f"area_{low}_{high}": _area(subclass == 0, star, real & (snr >= low) & (snr < high))
        for low, high in zip(EDGES[:-1], EDGES[1:], strict=True)
    }
    figures["area_artefact"] = _area(~real, probability[:, ARTEFACT], np.ones_like(real))
    figures["calibration_error"] = expected_calibration_error(star[real], subclass[real] == 0)
    return figures | {"n": float(len(subclass))}


def _area(positive, score, chosen):
    positive, score = positive[chosen], score[chosen]
    return roc_auc_score(positive, score) if 0 < positive.sum() < len(positive) else np.nan
