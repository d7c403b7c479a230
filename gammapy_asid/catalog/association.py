# Licensed under a 3-clause BSD style license - see LICENSE
"""Association of candidates with sources of catalogues."""

from collections.abc import Mapping
from numbers import Real

import astropy.units as u
import numpy as np
from astropy.table import QTable

from ..utils.arguments import check_kind
from ..utils.sky_geometry import RADIUS_95
from .candidates import Candidates
from .counterparts import Counterparts, checked_error, match_counterparts

__all__ = ["associate", "association_probability", "false_match_rate"]

#: Distances and directions from galactic north in deg by which a catalogue is moved.
SHIFTS = ((3.0, 90.0), (3.0, 270.0), (5.0, 90.0), (5.0, 270.0))

#: Counterparts that are less probable are not looked at.
LEAST = 1e-3

#: Put between the names of entries at one place.
SEPARATOR = ", "


def association_probability(pairs, n_candidates, prior=None):
    """Posterior probability that the two of a pair are one source.

    A candidate is one of the counterparts near it or none of them (Abdo et al. 2010, ApJS 188, 405,
    appendix B). The prior share of candidates with a counterpart is by default the one that the
    posterior probabilities add up to.

    Parameters
    ----------
    pairs : `~astropy.table.QTable`
        Result of `match_counterparts`.
    n_candidates : int
        Number of candidates.
    prior : float, optional
        Share of candidates that have a counterpart.

    Returns
    -------
    probability : `~numpy.ndarray`
        Shape ``(n_pairs,)``.
    prior : float
        The share.

    Raises
    ------
    ValueError
        If the prior is no share.
    """
    if prior is not None and not 0 < prior < 1:
        raise ValueError(f"The prior is a share between 0 and 1, got {prior}")
    own, evidence = np.asarray(pairs["candidate"], int), np.asarray(pairs["evidence"])
    total = np.bincount(own, evidence, minlength=n_candidates)
    share = 0.5 if prior is None else prior
    for _ in range(200 if prior is None and n_candidates else 0):
        share = np.clip(np.mean(share * total / (share * total + 1 - share)), 1e-6, 1 - 1e-6)
    return share * evidence / (share * total[own] + 1 - share), float(share)


def false_match_rate(candidates, counterparts, prior, threshold=0.8, shifts=SHIFTS):
    """Associations that chance makes: those with a catalogue that was moved.

    Parameters
    ----------
    candidates : `~gammapy_asid.Candidates`
        Candidates.
    counterparts : `Counterparts`
        Sources of the catalogue.
    prior : float
        Share of candidates with a counterpart, see `association_probability`.
    threshold : float
        Smallest probability of an association.
    shifts : sequence of tuple
        Distances and directions in deg, see `Counterparts.shifted`; those along the plane keep the density.

    Returns
    -------
    rate : float
        Mean share of candidates that are associated with a moved catalogue.
    """
    numbers = []
    for separation, angle in shifts:
        pairs = match_counterparts(candidates, counterparts.shifted(separation, angle))
        probability, _ = association_probability(pairs, len(candidates), prior)
        _, _, total = _best(pairs, probability, counterparts)
        numbers.append(np.sum(total >= threshold))
    return float(np.mean(numbers)) / max(len(candidates), 1)


def _best(pairs, probability, counterparts):
    """Most probable place of each candidate with a pair.

    Entries of the catalogue that agree within their own errors are one place: which of them it is does not
    matter for whether the candidate has a counterpart.

    Returns
    -------
    rows : `~numpy.ndarray` of int
        Candidates, shape ``(n,)``.
    members : list of `~numpy.ndarray` of int
        Their pairs at that place, the most probable first.
    total : `~numpy.ndarray`
        Probability of all of them together, shape ``(n,)``.
    """
    # Those that are equal but for rounding in the order of the catalogue
    keys = (np.asarray(pairs["counterpart"]), -np.round(probability, 9), np.asarray(pairs["candidate"]))
    order = np.lexsort(keys)
    order = order[probability[order] >= LEAST]
    probability, entries = probability[order], np.asarray(pairs["counterpart"][order])
    own = np.asarray(pairs["candidate"][order])
    rows, first, size = np.unique(own, return_index=True, return_counts=True)
    # All two pairs of a candidate
    one = np.repeat(np.arange(len(order)), np.repeat(size, size))
    number = np.arange(len(one)) - np.repeat(np.cumsum(size**2) - size**2, size**2)
    two = np.repeat(first, size**2) + number % np.repeat(size, size**2)
    together = _at_one_place(counterparts, entries[one], entries[two])
    one, two = one[together], two[together]
    total = np.bincount(one, probability[two], minlength=len(order))
    # Of equal ones the most probable entry
    place = np.lexsort((-np.round(total, 9), own))[first]
    chosen = np.isin(one, place)
    members = np.split(order[two[chosen]], np.flatnonzero(np.diff(one[chosen])) + 1) if len(rows) else []
    return rows, members, total[place]


def _at_one_place(counterparts, one, two):
    """Which entries agree with which others within their 95 % errors."""
    positions, covariance = counterparts.positions, counterparts.covariance
    offsets = positions[one].spherical_offsets_to(positions[two])
    offset = np.stack([o.to_value("deg") for o in offsets], axis=-1)
    total = covariance[one] + covariance[two]
    return np.einsum("ij,ij->i", offset, np.linalg.solve(total, offset[..., None])[..., 0]) <= RADIUS_95**2


def associate(candidates, catalogs, threshold=0.8, position_error=0.1 * u.deg):
    """Associate candidates with catalogues.

    Parameters
    ----------
    candidates : `~gammapy_asid.Candidates`
        Candidates.
    catalogs : dict of str to `~gammapy.catalog.SourceCatalog`, `~astropy.table.Table` or `Counterparts`
        Catalogues by their names, the one to prefer first.
    threshold : float
        Smallest posterior probability of an association.
    position_error : `~astropy.units.Quantity`
        68 % error radius of counterparts whose catalogue does not know it.

    Returns
    -------
    candidates : `~gammapy_asid.Candidates`
        With the columns `~gammapy_asid.catalog.columns.ASSOCIATION_COLUMNS`: the most probable counterpart in
        the first catalogue that has one above the threshold. Entries of a catalogue that agree within their
        errors, as a pulsar and its nebula, count together: ``assoc_prob`` is the probability of one of them,
        ``assoc_name`` has all their names, the most probable first, ``assoc_sep`` is the distance to that.
        ``meta["association"]["catalogs"]`` states for each catalogue the number of associations, the prior
        and the rate of false matches.

    Raises
    ------
    TypeError
        If candidates or catalogues are something else.
    ValueError
        If a catalogue has no positions, the threshold is no probability or the error is not positive.
    """
    check_kind("candidates", candidates, Candidates)
    if not isinstance(catalogs, Mapping):
        raise TypeError(f'Give the catalogues by name, as {{"4FGL": table}}, got {type(catalogs).__name__}')
    if not isinstance(threshold, Real) or not 0 < threshold < 1:
        raise ValueError(f"The threshold is a probability between 0 and 1, got {threshold}")
    checked_error(position_error)
    # All of them before any work
    known = {
        label: catalog
        if isinstance(catalog, Counterparts)
        else Counterparts.from_catalog(label, catalog, position_error)
        for label, catalog in catalogs.items()
    }
    n = len(candidates)
    # Of any length
    best = {"assoc_catalog": np.full(n, "", object), "assoc_name": np.full(n, "", object)}
    best |= {"assoc_sep": np.full(n, np.nan) * u.deg, "assoc_prob": np.full(n, np.nan)}
    meta = {}
    for label, counterparts in known.items():
        pairs = match_counterparts(candidates, counterparts)
        probability, prior = association_probability(pairs, n)
        rows, members, total = _best(pairs, probability, counterparts)
        for row, some, together in zip(rows, members, total, strict=True):
            if together >= threshold and best["assoc_catalog"][row] == "":
                best["assoc_catalog"][row] = label
                names = counterparts.names[pairs["counterpart"][some]]
                best["assoc_name"][row] = SEPARATOR.join(dict.fromkeys(names.tolist()))
                best["assoc_sep"][row] = pairs["sep"][some[0]]
                best["assoc_prob"][row] = min(together, 1.0)
        meta[label] = {
            "associations": int(np.sum(total >= threshold)),
            "prior": prior,
            "false_match_rate": false_match_rate(candidates, counterparts, prior, threshold),
        }
    meta = {"association": {"threshold": float(threshold), "catalogs": meta}}
    return candidates.with_columns(QTable(best), meta=meta)
