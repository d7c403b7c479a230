# Licensed under a 3-clause BSD style license - see LICENSE
"""How much of what the search for hidden stars adds is real: a calibration on simulated crowds."""

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from ...learning.peaks import Peaks
from .candidates import claimed_sources, simulated_images
from .centres import find_peaks
from .hidden import CROWD, search
from .network import network_output, split_output

__all__ = ["hidden_columns", "hidden_score", "hidden_weights"]

#: Rounds of the search, and lowest score of the sources that it begins with.
ROUNDS, FIRST = 4, 0.5

#: Crowds and new sources that are enough, and true and false ones that are needed.
CROWDS, MOST, LEAST = 48, 6000, 200


def hidden_columns(evidence):
    """Numbers that are weighed, and their products.

    Parameters
    ----------
    evidence : `~numpy.ndarray`
        Result of `~gammapy_asid.optical.detection.hidden.search`, shape ``(n, N_HIDDEN)``.

    Returns
    -------
    columns : `~numpy.ndarray`
        Shape ``(n, N_HIDDEN * (N_HIDDEN + 3) / 2)``.
    """
    i, j = np.triu_indices(evidence.shape[1])
    return np.concatenate([evidence, evidence[:, i] * evidence[:, j]], 1)


def hidden_score(evidence, weights):
    """Probability that new sources are real.

    Parameters
    ----------
    evidence : `~numpy.ndarray`
        See `hidden_columns`.
    weights : tuple of float
        Constant and weights of the columns.

    Returns
    -------
    score : `~numpy.ndarray`
        Shape ``(n,)``.
    """
    constant, *slopes = weights
    return expit(constant + hidden_columns(evidence) @ np.array(slopes))


def hidden_weights(network, simulator, n_patches, seed, card):
    """Weights of the evidence for hidden stars.

    Parameters
    ----------
    network, simulator
        See `~gammapy_asid.optical.detection.calibrate.card_fields`.
    n_patches : int
        Images at most.
    seed : int
        Seed of the stage.
    card : `~gammapy_asid.optical.detection.card.OpticalCard`
        Calibration of the sources of the network.

    Returns
    -------
    weights : tuple of float
        For `hidden_score`; empty where too few crowds were seen.
    """
    evidence, real = [], []
    for drawn in simulated_images(simulator, n_patches, seed):
        for new, true in _new_sources(network, drawn, card):
            evidence.append(new)
            real.append(true)
        if len(real) >= CROWDS or sum(map(len, real)) >= MOST:
            break
    real = np.concatenate([np.zeros(0, bool), *real])
    if min(real.sum(), (~real).sum()) < LEAST:
        return ()
    columns = hidden_columns(np.concatenate(evidence))
    # One crowd of a thousand false stars counts as any other
    weight = np.concatenate([np.full(len(e), len(e) ** -0.5) for e in evidence])
    regression = LogisticRegression(C=1.0, max_iter=5000).fit(columns, real, sample_weight=weight)
    return float(regression.intercept_[0]), *map(float, regression.coef_[0])


def _new_sources(network, drawn, card):
    """Evidence and truth of the new sources of each crowd."""
    maps, _ = split_output(network_output(network, drawn.batch))
    peaks, crowd = find_peaks(maps, drawn.batch.valid)
    peaks.score = card.score(peaks, crowd)
    peaks = peaks.select(peaks.score >= FIRST)
    ny, nx = drawn.batch.shape
    for i in range(len(drawn)):
        own = peaks.select(peaks.field == i)
        batch = type(drawn.batch)(**{name: value[i : i + 1] for name, value in vars(drawn.batch).items()})
        if len(own) <= CROWD * int(batch.valid.sum()):
            continue
        error = own.sigma * card.position_scale
        x, y, _, known, evidence = search(
            batch, own.x.astype(float), own.y.astype(float), error, np.arange(len(own)), ROUNDS
        )
        inside = (x > -0.5) & (x < nx - 0.5) & (y > -0.5) & (y < ny - 0.5)
        x, y, known, evidence = x[inside], y[inside], known[inside], evidence[inside]
        # Those of the network claim their sources first
        rank = np.where(known >= 0, 2.0, expit(evidence[:, 0] - 9))
        order = np.argsort(-rank, kind="stable")
        found = Peaks(*(np.asarray(v)[order] for v in (np.full(len(x), i), x, y, rank, rank, rank)))
        claimed, _ = claimed_sources(drawn, found)
        new = known[order] < 0
        yield evidence[order][new], claimed[new] >= 0
