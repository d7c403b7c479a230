# Licensed under a 3-clause BSD style license - see LICENSE
"""Association of candidates with sources of catalogues."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from gammapy.catalog import SourceCatalog
from scipy.spatial import KDTree

from .columns import column_name, column_values, table_positions
from .ellipses import RADIUS_68, RADIUS_95, ellipse_covariance
from .sphere import chord, chord_angle

__all__ = ["Counterparts", "associate", "association_probability", "false_match_rate", "match_counterparts"]

#: Counterparts that give the local density, and the radius in deg around a candidate that is left out.
N_NEIGHBOURS, HOLE = 20, 0.5
#: Distances and directions from galactic north in deg by which a catalogue is moved.
SHIFTS = ((3.0, 90.0), (3.0, 270.0), (5.0, 90.0), (5.0, 270.0))
#: Pairs farther apart than this many standard deviations are no match.
N_SIGMA = 5.0
#: Area of the sky in deg2.
WHOLE_SKY = 4 * np.pi * np.degrees(1) ** 2
#: Names of the columns of error ellipses, in any case, and the radius in standard deviations they stand for.
ELLIPSES = (
    (("Conf_95_SemiMajor", "Conf_95_SemiMinor", "Conf_95_PosAng"), RADIUS_95),
    (("semi_major_95", "semi_minor_95", "pos_angle"), RADIUS_95),
    (("Conf_68_SemiMajor", "Conf_68_SemiMinor", "Conf_68_PosAng"), RADIUS_68),
    (("pos_err_68",), RADIUS_68),
)
#: Names of the column of names, in any case.
NAMES = ("Source_Name", "name", "PSRJ", "source_id")


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
            Catalogue, with error ellipses where it has them in columns named as in 4FGL. Rows without a
            position are left out.
        position_error : `~astropy.units.Quantity`
            68 % error radius of sources without an ellipse, as extended ones.

        Raises
        ------
        ValueError
            If it has no positions.
        """
        table = catalog.table if isinstance(catalog, SourceCatalog) else catalog
        positions = table_positions(table, f"The catalogue {label!r}").icrs
        placed = np.isfinite(positions.ra) & np.isfinite(positions.dec)
        table, positions = table[placed], positions[placed]
        n = len(positions)
        covariance = np.zeros((n, 2, 2))
        for wanted, radius in ELLIPSES:
            found = [column_name(table, (name,)) for name in wanted]
            if None not in found:
                axes = [column_values(table[name], u.deg) * u.deg for name in found]
                axes = axes if len(axes) == 3 else [axes[0], axes[0], np.zeros(n) * u.deg]
                covariance = ellipse_covariance(*axes, radius)
                break
        size = _trace(covariance)
        without = size <= 0
        covariance[without] = np.eye(2) * (position_error.to_value("deg") / RADIUS_68) ** 2
        column = column_name(table, NAMES)
        names = np.arange(n).astype(str) if column is None else np.char.strip(np.asarray(table[column], str))
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
    """
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
        numbers.append(_n_associated(pairs, probability, threshold))
    return float(np.mean(numbers)) / max(len(candidates), 1)


def _n_associated(pairs, probability, threshold):
    return len(np.unique(pairs["candidate"][probability >= threshold]))


def associate(candidates, catalogs, threshold=0.8, position_error=0.1 * u.deg):
    """Associate candidates with catalogues.

    Parameters
    ----------
    candidates : `~gammapy_asid.Candidates`
        Candidates.
    catalogs : dict of str to `~gammapy.catalog.SourceCatalog` or `~astropy.table.Table`
        Catalogues by their names, the one to prefer first.
    threshold : float
        Smallest posterior probability of an association.
    position_error : `~astropy.units.Quantity`
        68 % error radius of counterparts without an ellipse.

    Returns
    -------
    candidates : `~gammapy_asid.Candidates`
        With the columns `~gammapy_asid.candidates.ASSOCIATION_COLUMNS`: the most probable counterpart in
        the first catalogue that has one above the threshold. ``meta["association"]["catalogs"]`` states for
        each catalogue the number of associations, the prior and the rate of false matches.

    Raises
    ------
    ValueError
        If a catalogue has no positions or the threshold is no probability.
    """
    if not 0 < threshold < 1:
        raise ValueError(f"The threshold is a probability between 0 and 1, got {threshold}")
    n = len(candidates)
    best = {"assoc_catalog": np.zeros(n, "U24"), "assoc_name": np.zeros(n, "U32")}
    best |= {"assoc_sep": np.full(n, np.nan) * u.deg, "assoc_prob": np.full(n, np.nan)}
    meta = {}
    for label, catalog in catalogs.items():
        counterparts = Counterparts.from_catalog(label, catalog, position_error)
        pairs = match_counterparts(candidates, counterparts)
        probability, prior = association_probability(pairs, n)
        order = np.argsort(-probability, kind="stable")
        rows, first = np.unique(pairs["candidate"][order], return_index=True)
        chosen = order[first]
        new = (probability[chosen] >= threshold) & (best["assoc_name"][rows] == "")
        rows, chosen = rows[new], chosen[new]
        best["assoc_catalog"][rows] = label
        best["assoc_name"][rows] = counterparts.names[pairs["counterpart"][chosen]]
        best["assoc_sep"][rows] = pairs["sep"][chosen]
        best["assoc_prob"][rows] = probability[chosen]
        meta[label] = {
            "associations": _n_associated(pairs, probability, threshold),
            "prior": prior,
            "false_match_rate": false_match_rate(candidates, counterparts, prior, threshold),
        }
    meta = {"association": {"threshold": threshold, "catalogs": meta}}
    return candidates.with_columns(QTable(best), meta=meta)


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
