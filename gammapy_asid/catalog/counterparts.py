# Licensed under a 3-clause BSD style license - see LICENSE
"""Sources of catalogues, and which of them lie where candidates do."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from gammapy.catalog import SourceCatalog
from scipy.spatial import KDTree

from ..utils.arguments import checked_quantity
from ..utils.position_errors import position_covariance
from ..utils.sky_geometry import RADIUS_68, RADIUS_95, chord, chord_angle, ellipse_covariance
from ..utils.table_columns import column_text, source_names, table_positions

__all__ = ["Counterparts", "match_counterparts"]

#: Counterparts that give the local density, and the radius in deg around a candidate that is left out.
N_NEIGHBOURS, HOLE = 20, 0.5

#: Pairs farther apart than this many standard deviations are no match.
N_SIGMA = 5.0

#: Area of the sky in deg2.
WHOLE_SKY = 4 * np.pi * np.degrees(1) ** 2


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

    def __repr__(self):
        return f"<Counterparts {self.label!r}: {len(self.names)} sources>"

    @classmethod
    def from_catalog(cls, label, catalog, position_error=0.1 * u.deg):
        """Read the positions of a catalogue.

        Parameters
        ----------
        label : str
            Name of the catalogue.
        catalog : `~gammapy.catalog.SourceCatalog` or `~astropy.table.Table`
            Catalogue, with its errors of positions as far as it has columns of
            `gammapy_asid.utils.position_errors.ERRORS`. Rows without a position are left out. The names of a
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
        covariance[without] = np.eye(2) * (checked_error(position_error) / RADIUS_68) ** 2
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
        nowhere = ~np.isfinite(vectors).all(axis=1)
        vectors[nowhere], covariance[nowhere] = 0, np.nan
        largest = N_SIGMA * np.sqrt(_trace(covariance).max() + _trace(counterparts.covariance).max())
        near = KDTree(vectors).sparse_distance_matrix(
            KDTree(others), chord(min(largest, 180)), output_type="ndarray"
        )
        # A candidate without a position or an error has no counterpart
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


def checked_error(position_error):
    """Error radius of counterparts in deg.

    Parameters
    ----------
    position_error : `~astropy.units.Quantity`
        68 % radius.

    Returns
    -------
    radius : float
        In deg.

    Raises
    ------
    TypeError, ValueError
        If it is no positive angle.
    """
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
