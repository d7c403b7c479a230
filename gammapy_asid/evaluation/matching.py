# Licensed under a 3-clause BSD style license - see LICENSE
"""Matching of predicted to true sources."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from ..utils.sky_geometry import chord, chord_angle, unit_vectors

__all__ = [
    "Matches",
    "angular_separation",
    "deduplicate_overlaps",
    "match_brightest",
    "match_optimal",
    "near_pairs",
]


@dataclass(frozen=True)
class Matches:
    """One-to-one matches of predictions to true sources.

    Parameters
    ----------
    true_index : `~numpy.ndarray`
        Index of the true source that each prediction claims, -1 for none,
        shape ``(n_pred,)``.
    separation : `~numpy.ndarray`
        Distance to it in deg, NaN for none, shape ``(n_pred,)``.
    n_true : int
        Number of true sources.
    """

    true_index: np.ndarray
    separation: np.ndarray
    n_true: int

    @property
    def is_matched(self):
        """Which predictions are matched, shape ``(n_pred,)``."""
        return self.true_index >= 0

    @property
    def pred_index(self):
        """Index of the prediction that claims each true source, -1 for none, shape ``(n_true,)``."""
        index = np.full(self.n_true, -1)
        index[self.true_index[self.is_matched]] = np.flatnonzero(self.is_matched)
        return index

    def true_score(self, score):
        """Score at which each true source is found, ``-inf`` if never, shape ``(n_true,)``.

        Parameters
        ----------
        score : array-like
            Score of each prediction, shape ``(n_pred,)``.

        Returns
        -------
        score : `~numpy.ndarray`
            Shape ``(n_true,)``.
        """
        index = self.pred_index
        if len(score) == 0:
            return np.full(self.n_true, -np.inf)
        return np.where(index >= 0, np.asarray(score, dtype=float)[index], -np.inf)


def angular_separation(lon1, lat1, lon2, lat2):
    """Angular separation in deg of positions in deg, of the broadcast shape.

    Parameters
    ----------
    lon1, lat1, lon2, lat2 : array-like
        Positions in deg.

    Returns
    -------
    separation : `~numpy.ndarray`
        In deg.
    """
    distance = np.linalg.norm(unit_vectors(lon1, lat1) - unit_vectors(lon2, lat2), axis=-1)
    return chord_angle(distance)


def near_pairs(pred_lon, pred_lat, true_lon, true_lat, radius, pred_group, true_group):
    """All pairs of a prediction and a true source within the radius and of the same group.

    Parameters
    ----------
    pred_lon, pred_lat, true_lon, true_lat, radius, pred_group, true_group
        See `match_brightest`.

    Returns
    -------
    pred, true : `~numpy.ndarray` of int
        Indices, shape ``(n_pairs,)``.
    separation : `~numpy.ndarray`
        In deg, shape ``(n_pairs,)``.
    """
    empty = np.zeros(0, dtype=int), np.zeros(0, dtype=int), np.zeros(0)
    if len(pred_lon) == 0 or len(true_lon) == 0:
        return empty
    if (pred_group is None) != (true_group is None):
        raise ValueError("Groups are given for one side only: give pred_group and true_group, or neither")
    pred = KDTree(unit_vectors(pred_lon, pred_lat))
    true = KDTree(unit_vectors(true_lon, true_lat))
    found = pred.sparse_distance_matrix(true, chord(np.max(radius)), output_type="ndarray")
    i, j, separation = found["i"], found["j"], chord_angle(found["v"])
    if np.ndim(radius):
        near = separation <= np.asarray(radius)[j]
        i, j, separation = i[near], j[near], separation[near]
    if pred_group is not None:
        same = np.asarray(pred_group)[i] == np.asarray(true_group)[j]
        i, j, separation = i[same], j[same], separation[same]
    return i, j, separation


def _matches(n_pred, n_true, i, j, separation):
    true_index, distance = np.full(n_pred, -1), np.full(n_pred, np.nan)
    true_index[i], distance[i] = j, separation
    return Matches(true_index, distance, n_true)


def match_brightest(
    pred_lon, pred_lat, score, true_lon, true_lat, flux, radius=0.3, pred_group=None, true_group=None
):
    """Match in order of decreasing score, each prediction to the brightest source left.

    The matching of Panes et al. 2021 (A&A 656, A62): what a prediction claims does
    not depend on those with a lower score, so one match serves all thresholds.

    Parameters
    ----------
    pred_lon, pred_lat : array-like
        Predicted positions in deg, shape ``(n_pred,)``.
    score : array-like
        Score of each prediction, shape ``(n_pred,)``.
    true_lon, true_lat : array-like
        True positions in deg, shape ``(n_true,)``.
    flux : array-like
        True flux in any unit, shape ``(n_true,)``.
    radius : float or array-like
        Largest separation of a match in deg, one for all or that of each true source.
    pred_group, true_group : array-like, optional
        Field of each prediction and source: matches stay within a field.

    Returns
    -------
    matches : `Matches`
        Matches of all predictions.

    Raises
    ------
    ValueError
        If groups are given for one side only.
    """
    i, j, separation = near_pairs(pred_lon, pred_lat, true_lon, true_lat, radius, pred_group, true_group)
    order = np.lexsort((-np.asarray(flux, dtype=float)[j], i, -np.asarray(score, dtype=float)[i]))
    done, claimed, kept = set(), set(), []
    for pair in order:
        pred, true = int(i[pair]), int(j[pair])
        if pred not in done and true not in claimed:
            done.add(pred)
            claimed.add(true)
            kept.append(pair)
    kept = np.array(kept, dtype=int)
    return _matches(len(pred_lon), len(true_lon), i[kept], j[kept], separation[kept])


def match_optimal(pred_lon, pred_lat, true_lon, true_lat, radius=0.3, pred_group=None, true_group=None):
    """Match as many as possible, and these at the smallest total separation.

    The Hungarian assignment, solved for each cluster of overlapping pairs. It depends
    on all predictions: apply the threshold before.

    Parameters
    ----------
    pred_lon, pred_lat, true_lon, true_lat, radius, pred_group, true_group
        See `match_brightest`.

    Returns
    -------
    matches : `Matches`
        Matches of all predictions.
    """
    n_pred, n_true = len(pred_lon), len(true_lon)
    i, j, separation = near_pairs(pred_lon, pred_lat, true_lon, true_lat, radius, pred_group, true_group)
    n_nodes = n_pred + n_true
    graph = coo_matrix((np.ones(len(i)), (i, n_pred + j)), shape=(n_nodes, n_nodes))
    _, label = connected_components(graph, directed=False)
    order = np.argsort(label[i], kind="stable")
    clusters = np.split(order, np.flatnonzero(np.diff(label[i][order])) + 1) if len(order) else []

    kept = []
    for cluster in clusters:
        preds, row = np.unique(i[cluster], return_inverse=True)
        trues, column = np.unique(j[cluster], return_inverse=True)
        # Dearer than any set of matches, so that the number of matches comes first
        cost = np.full((len(preds), len(trues)), np.max(radius) * (1 + len(cluster)))
        cost[row, column] = separation[cluster]
        assigned = np.zeros(cost.shape, dtype=bool)
        assigned[linear_sum_assignment(cost)] = True
        kept.append(cluster[assigned[row, column]])
    kept = np.concatenate(kept) if kept else np.zeros(0, dtype=int)
    return _matches(n_pred, n_true, i[kept], j[kept], separation[kept])


def deduplicate_overlaps(lon, lat, score, group, center_lon, center_lat, radius=0.15):
    """Keep one of the predictions that overlapping fields make of the same source.

    A field keeps what is nearer to its own centre than to any other; where two
    predictions of different fields still lie within the radius, as at the border
    between them, the one with the higher score stays.

    Parameters
    ----------
    lon, lat, score : array-like
        Positions in deg and scores, shape ``(n,)``.
    group : array-like of int
        Field of each, shape ``(n,)``.
    center_lon, center_lat : array-like
        Centres of the fields in deg, shape ``(n_fields,)``.
    radius : float
        Separation in deg below which predictions are the same source.

    Returns
    -------
    keep : `~numpy.ndarray`
        True for those that stay, shape ``(n,)``.
    """
    score, group = np.asarray(score, dtype=float), np.asarray(group)
    if len(score) == 0:
        return np.zeros(0, dtype=bool)
    vectors = unit_vectors(lon, lat)
    _, nearest = KDTree(unit_vectors(center_lon, center_lat)).query(vectors)
    keep = nearest == group
    own = np.flatnonzero(keep)
    pairs = own[KDTree(vectors[own]).query_pairs(chord(radius), output_type="ndarray")] if len(own) else []
    # From the highest score down, so that only what stays can drop another
    for a, b in sorted(pairs, key=lambda pair: -score[pair].max()):
        if group[a] != group[b] and keep[a] and keep[b]:
            keep[a if score[a] < score[b] else b] = False
    return keep
