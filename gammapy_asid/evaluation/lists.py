# Licensed under a 3-clause BSD style license - see LICENSE
"""Candidate lists of any origin, in one form."""

from dataclasses import dataclass, replace

import astropy.units as u
import numpy as np

from ..catalog.candidates import Candidates
from ..catalog.fluxes import FLUX_UNIT
from ..utils.fits_tables import is_own_file
from ..utils.table_columns import column_name, column_values
from ..utils.table_files import read_any_table
from .sky_rows import SkyRows, check_finite, fields_of, flux_range, galactic_positions

__all__ = ["CandidateList", "read_candidate_list", "read_candidate_lists"]

#: Columns of error ellipses; a list has all of them or none.
ELLIPSE_COLUMNS = ("semi_major_68", "semi_minor_68", "semi_major_95", "semi_minor_95", "pos_angle")


@dataclass(frozen=True, repr=False)
class CandidateList(SkyRows):
    """Candidates of any method, with what is known of each.

    Parameters
    ----------
    label : str
        Name of the list in pictures and tables.
    lon, lat : `~numpy.ndarray`
        Galactic positions in deg, shape ``(n,)``.
    score : `~numpy.ndarray`
        Score, higher is more certain; a probability or any other number.
    group : `~numpy.ndarray`, optional
        Field of each, where fields overlap.
    flux, flux_errn, flux_errp : `~numpy.ndarray`, optional
        Photon flux in cm-2 s-1 and its errors down and up.
    energy_range : tuple of float, optional
        Energy range of the flux in GeV; None if it is not stated.
    flux_band : `~numpy.ndarray`, optional
        Photon flux in energy bands, shape ``(n, n_bands)``.
    band_edges : tuple of tuple of float
        Lower and upper end of each of these bands in GeV.
    ellipse : `~numpy.ndarray`, optional
        Semi-axes of the 68 and of the 95 % error ellipse, the larger first, and the angle of the
        larger from north to east, all in deg, shape ``(n, 5)``.
    """

    label: str
    lon: np.ndarray
    lat: np.ndarray
    score: np.ndarray
    group: np.ndarray | None = None
    flux: np.ndarray | None = None
    flux_errn: np.ndarray | None = None
    flux_errp: np.ndarray | None = None
    energy_range: tuple | None = None
    flux_band: np.ndarray | None = None
    band_edges: tuple = ()
    ellipse: np.ndarray | None = None

    def __post_init__(self):
        check_finite(f"List {self.label!r}", "position", self.lon, self.lat)
        check_finite(f"List {self.label!r}", "score", self.score)

    @property
    def is_probability(self):
        """Whether all scores lie between 0 and 1."""
        return bool(len(self) and self.score.min() >= 0 and self.score.max() <= 1)

    def fluxes(self, e_min, e_max):
        """Fluxes between two energies in GeV, None without any.

        Bands that the range cuts count in part, as a spectrum of photon index 2 would; what no band
        covers is added, or without bands the whole flux scaled, so.

        Parameters
        ----------
        e_min, e_max : float
            Energies in GeV.

        Returns
        -------
        flux : `~numpy.ndarray` or None
            In cm-2 s-1, shape ``(n,)``.
        """
        if self.flux is None:
            return None
        if self.energy_range is None or np.allclose((e_min, e_max), self.energy_range):
            return self.flux
        whole = self.flux * _share(*self.energy_range, e_min, e_max, inside=False)
        if self.flux_band is None:
            return whole
        share = np.array([_share(low, high, e_min, e_max) for low, high in self.band_edges])
        own = np.where(share > 0, self.flux_band, np.nan)
        # Of an index of 2: in the bands that tell, and in all of the range
        low, high = np.clip(np.transpose(self.band_edges), e_min, e_max)
        told = np.sum(np.where(np.isfinite(own), 1 / low - 1 / high, 0), axis=1)
        rest = np.divide(1 / e_min - 1 / e_max, told, out=np.ones(len(told)), where=told > 0)
        return np.where(told > 0, np.nansum(own * share, axis=1) * rest, whole)

    @classmethod
    def from_candidates(cls, candidates, label="candidates"):
        """List of `~gammapy_asid.catalog.candidates.Candidates`.

        Parameters
        ----------
        candidates : `~gammapy_asid.catalog.candidates.Candidates`
            Candidates.
        label : str
            Name of the list.

        Returns
        -------
        listed : `CandidateList`
            List.
        """
        listed = cls.from_table(candidates.table, label)
        edges = (candidates.meta.get("flux") or {}).get("bands")
        if listed.flux is None or not edges or "flux_band" not in candidates.table.colnames:
            return listed
        # Bands without data have no edges
        known = [i for i, edge in enumerate(edges) if edge is not None]
        flux_band = candidates.table["flux_band"].to_value(FLUX_UNIT)[:, known]
        return replace(listed, flux_band=flux_band, band_edges=tuple(tuple(edges[i]) for i in known))

    @classmethod
    def from_classified(cls, candidates, label="classified"):
        """List whose score is the probability to be real of `~gammapy_asid.DLSourceClassifier`.

        Parameters
        ----------
        candidates : `~gammapy_asid.catalog.candidates.Candidates`
            Candidates with classes; those that the classifier could not tell keep their score.
        label : str
            Name of the list.

        Returns
        -------
        listed : `CandidateList`
            List.
        """
        table = candidates.table.copy()
        told = np.isfinite(table["real_prob"])
        table["score"] = np.where(told, table["real_prob"], table["score"])
        return cls.from_candidates(Candidates(table, meta=candidates.meta), label)

    @classmethod
    def from_table(cls, table, label="candidates", score=(), group=None):
        """List of a table of positions and scores.

        Parameters
        ----------
        table : `~astropy.table.Table`
            Columns ``ra`` and ``dec`` (or ``RAJ2000``, ``DEJ2000``), or ``glon`` and ``glat``, in deg, and
            a score. Fluxes and error ellipses are read where the columns are named as in
            `~gammapy_asid.catalog.columns.COLUMNS`.
        label : str
            Name of the list.
        score : str or sequence of str
            Columns to take for the score, the first that is there; by default ``score``.
        group : str, optional
            Column of the field.

        Raises
        ------
        ValueError
            If there are no such columns, or values are missing.
        """
        names = (score,) if isinstance(score, str) else tuple(score)
        who = f"List {label!r}"
        lon, lat = galactic_positions(table, who)
        name = column_name(table, (*names, "score"))
        if name is None:
            raise ValueError(
                f"{who} has no column {' or '.join((*names, 'score'))}: name that of the score "
                "(score=..., --score NAME)"
            )
        listed = cls(label, lon, lat, column_values(table[name], ""), group=fields_of(table, group, who))
        return replace(listed, **_flux_columns(table), **_ellipses(table))


def read_candidate_list(path, label, score=(), group=None):
    """Read candidates: a file of `Candidates.write` or any table (FITS, ECSV, CSV).

    Parameters
    ----------
    path : str or path
        File.
    label, score, group
        See `CandidateList.from_table`.

    Returns
    -------
    candidates : `CandidateList`
        Candidates.

    Raises
    ------
    ValueError
        If the file has no positions or scores, or can't be read.
    """
    if not score and group is None and is_own_file(path):
        return CandidateList.from_candidates(Candidates.read(path), label)
    return CandidateList.from_table(read_any_table(path), label, score, group)


def read_candidate_lists(path, label, score=(), group=None):
    """As `read_candidate_list`; of candidates with classes a list by score and one by ``real_prob``.

    Parameters
    ----------
    path, label, score, group
        See `CandidateList.from_table`.

    Returns
    -------
    lists : list of `CandidateList`
        One, or two of which the second is labelled as classified; only that one where there are no scores.
    """
    if not score and group is None and is_own_file(path):
        candidates = Candidates.read(path)
        if "real_prob" in candidates.table.colnames:
            scored = not len(candidates) or np.isfinite(candidates.table["score"]).any()
            plain = [CandidateList.from_candidates(candidates, label)] if scored else []
            return [*plain, CandidateList.from_classified(candidates, f"{label}, classified")]
    return [read_candidate_list(path, label, score, group)]


def _flux_columns(table):
    """Columns of the flux that are there and hold numbers."""
    own = {name: column_name(table, (name,)) for name in ("flux", "flux_err", "flux_errn", "flux_errp")}
    found = {name: column_values(table[column], FLUX_UNIT) for name, column in own.items() if column}
    if not np.any(np.isfinite(found.get("flux", []))):
        return {}
    errors = {name: found.get(name, found.get("flux_err")) for name in ("flux_errn", "flux_errp")}
    energy_range = flux_range(table, found["flux"], "one list")
    return {"flux": found["flux"], "energy_range": energy_range} | errors


def _ellipses(table):
    names = [column_name(table, (name,)) for name in ELLIPSE_COLUMNS]
    if None in names:
        return {}
    return {"ellipse": np.column_stack([column_values(table[name], u.deg) for name in names])}


def _share(low, high, e_min, e_max, inside=True):
    """Photons between two energies, of those between low and high, for a photon index of 2."""
    if inside:
        e_min, e_max = np.clip([e_min, e_max], low, high)
    return (1 / e_min - 1 / e_max) / (1 / low - 1 / high)
