# Licensed under a 3-clause BSD style license - see LICENSE
"""The score of the network beside the test statistic of the likelihood."""

import numpy as np

__all__ = ["disagreements"]


def disagreements(candidates, score=0.9, ts=25.0):
    """Candidates that the network and the likelihood judge differently.

    Parameters
    ----------
    candidates : `~gammapy_asid.Candidates`
        Fitted candidates.
    score : float
        Score from which the network is sure.
    ts : float
        Test statistic from which the likelihood is.

    Returns
    -------
    table : `~astropy.table.QTable`
        The rows of candidates that pass one limit and not the other, by decreasing score, with the
        column ``judged_real_by``: ``score`` or ``ts``. Failed fits, which have no test statistic, are
        left out.

    Raises
    ------
    ValueError
        If the candidates were not fitted.
    """
    if "ts" not in candidates.table.colnames:
        raise ValueError("The candidates have no test statistic: run CandidateFitEstimator on them first")
    table = candidates.table
    by_score, by_ts = table["score"] >= score, table["ts"] >= ts
    differ = (by_score != by_ts) & np.isfinite(table["ts"])
    chosen = table[differ]
    chosen["judged_real_by"] = np.where(by_score[differ], "score", "ts").astype("U5")
    return chosen[np.argsort(-chosen["score"], kind="stable")]
