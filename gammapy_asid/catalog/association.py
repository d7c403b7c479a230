# Licensed under a 3-clause BSD style license - see LICENSE
"""Association of candidates with sources of catalogues."""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from gammapy.catalog import SourceCatalog
from scipy.spatial import KDTree

from ..utils.arguments import check_kind, checked_quantity
from ..utils.sky_geometry import RADIUS_68, RADIUS_95, chord, chord_angle, ellipse_covariance
from ..utils.table_columns import column_text, position_covariance, source_names, table_positions
from .candidates import Candidates

__all__ = ["Counterparts", "associate", "association_probability", "false_match_rate", "match_counterparts"]

#: Counterparts that give the local density, and the radius in deg around a candidate that is left out.
N_NEIGHBOURS, HOLE = 20, 0.5

#: Distances and directions from galactic north in deg by which a catalogue is moved.
SHIFTS = ((3.0, 90.0), (3.0, 270.0), (5.0, 90.0), (5.0, 270.0))

#: Pairs farther apart than this many standard deviations are no match.
N_SIGMA = 5.0

#: Area of the sky in deg2.
WHOLE_SKY = 4 * np.pi * np.degrees(1) ** 2

#: Counterparts that are less probable are not looked at.
LEAST = 1e-3

#: Put between the names of entries at one place.
SEPARATOR = ", "


@dataclass(frozen=True)
class Counterparts:
    """Positions of a catalogue.

    Parameters
    ----------
    label : str
        Name of the catalogue.
    names : `~numpy.ndarray`
        Names of the sources, shape ``(n,)``.
    positions : `~astropy.coordinates.SkyCoord`
        Positions, ICRS.
    covariance : `~numpy.ndarray`
        Of the offsets to the east and to the north in deg2, shape ``(n, 2, 2)``.
    """

    label: str
    names: np.ndarray
    positions: SkyCoord
    covariance: np.ndarray

    @classmethod
    def from_catalog(cls, label, catalog, position_error=0.1 * u.deg):
        """Read the positions of a catalogue.

        Parameters
        ----------
        label : str
            Name of the catalogue.
        catalog : `~gammapy.catalog.SourceCatalog` or `~astropy.table.Table`
            Catalogue, with its errors of positions as far as it has columns of
            `gammapy_asid.utils.table_columns.ERRORS`. Rows without a position are left out. The names of a
            `~gammapy.catalog.SourceCatalog` are its own.
        position_error : `~astropy.units.Quantity`
            68 % error radius of sources whose error the catalogue does not know, as extended ones.

        Raises
        ------
        TypeError
            If it is no catalogue, or the error no angle.
        ValueError
            If it has no positions, or the error is not positive.
        """
        if not isinstance(label, str) or not label:
            raise TypeError(f"Catalogues have a name, got {label!r}")
        if not isinstance(catalog, SourceCatalog | Table):
            raise TypeError(
                f"The catalogue {label!r} is no SourceCatalog or astropy Table, but {type(catalog).__name__}"
            )
        table = catalog.table if isinstance(catalog, SourceCatalog) else catalog
        positions = table_positions(table, f"The catalogue {label!r}").icrs
        placed = np.isfinite(positions.ra) & np.isfinite(positions.dec)
        table, positions = table[placed], positions[placed]
        covariance = position_covariance(table)
        without = np.isnan(covariance[:, 0, 0])
        covariance[without] = np.eye(2) * (_checked_error(position_error) / RADIUS_68) ** 2
        if isinstance(catalog, SourceCatalog):
            names = column_text(table[catalog._source_name_key])
        else:
            names = source_names(table)
        names = np.arange(len(table)).astype(str) if names is None else names
        return cls(label, names, positions, covariance)

    def shifted(self, separation, angle):
        """The same sources moved along a direction, a catalogue that matches only by chance.

        Parameters
        ----------
        separation : float
            Distance in deg.
        angle : float
            Direction from galactic north in deg: 90 keeps the distance from the plane.
        """
        moved = self.positions.galactic.directional_offset_by(angle * u.deg, separation * u.deg).icrs
        return Counterparts(self.label, self.names, moved, self.covariance)


def match_counterparts(candidates, counterparts):
    """Pairs of candidates and counterparts whose positions agree, with their evidence.

    Parameters
    ----------
    candidates : `~gammapy_asid.Candidates`
        Candidates.
    counterparts : `Counterparts`
        Sources of a catalogue.

    Returns
    -------
    pairs : `~astropy.table.QTable`
        Columns ``candidate`` and ``counterpart`` (rows), ``sep``, ``sigma`` (distance over the combined
        error) and ``evidence``: the probability density of the offset for one source, over the local
        density of counterparts.
    """
    table, own, other = candidates.table, candidates.positions, counterparts.positions
    axes = [table[name] for name in ("semi_major_95", "semi_minor_95", "pos_angle")]
    covariance = ellipse_covariance(*axes, RADIUS_95)
    i, j, density = np.zeros(0, int), np.zeros(0, int), np.zeros(len(table))
    if len(table) and len(other):
        vectors, others = (p.cartesian.xyz.value.T for p in (own, other))
        largest = N_SIGMA * np.sqrt(_trace(covariance).max() + _trace(counterparts.covariance).max())
        near = KDTree(vectors).sparse_distance_matrix(
            KDTree(others), chord(min(largest, 180)), output_type="ndarray"
        )
        # A candidate without an error has no counterpart
        near = near[np.isfinite(covariance[near["i"]]).all(axis=(1, 2))]
        i, j = near["i"], near["j"]
        density = _density(vectors, others)
    east, north = (offset.to_value("deg") for offset in own[i].spherical_offsets_to(other[j]))
    offset = np.stack([east, north], axis=-1)
    total = covariance[i] + counterparts.covariance[j]
    sigma2 = np.einsum("ni,ni->n", offset, np.linalg.solve(total, offset[..., None])[..., 0])
    evidence = np.exp(-sigma2 / 2) / (2 * np.pi * np.sqrt(np.linalg.det(total)) * density[i])
    sep = np.hypot(east, north) * u.deg
    pairs = QTable(
        {"candidate": i, "counterpart": j, "sep": sep, "sigma": np.sqrt(sigma2), "evidence": evidence}
    )
    return pairs[pairs["sigma"] < N_SIGMA]


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
    _checked_error(position_error)
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


def _checked_error(position_error):
    """Error radius in deg."""
    return checked_quantity("position_error", position_error, "deg", "an angle").to_value("deg")


def _trace(covariance):
    """Squared size of each error, zero where it is not known."""
    return np.nan_to_num(covariance[:, 0, 0] + covariance[:, 1, 1])


def _density(vectors, others):
    """Counterparts per deg2 around each candidate, those in the hole left out, shape ``(n,)``."""
    tree = KDTree(others)
    n_hole = tree.query_ball_point(vectors, chord(HOLE), return_length=True)
    last = np.minimum(n_hole + N_NEIGHBOURS, len(others))
    distance, _ = tree.query(vectors, k=np.arange(1, last.max() + 1))
    distance = chord_angle(distance[np.arange(len(vectors)), last - 1])
    area = np.pi * (np.maximum(distance, HOLE) ** 2 - HOLE**2)
    around = last - n_hole
    return np.where(around > 0, around / np.maximum(area, 1e-3), len(others) / WHOLE_SKY)
