# Licensed under a 3-clause BSD style license - see LICENSE
"""Truth and candidate lists of any origin, in one form."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astropy.utils.exceptions import AstropyUserWarning
from gammapy.modeling.models import Models

from ..candidates import Candidates
from ..simulation.catalog import MockCatalog

__all__ = ["CandidateList", "Truth", "read_candidate_list", "read_truth"]

#: Names of the columns of positions, in any case, by frame.
POSITION_COLUMNS = {"icrs": (("ra", "dec"), ("raj2000", "dej2000")), "galactic": (("glon", "glat"),)}
#: Names of a column of 1-100 GeV fluxes, in any case.
FLUX_COLUMNS = ("flux", "s1", "flux1000", "flux_1000")
FLUX_UNIT = u.Unit("cm-2 s-1")
#: Columns of error ellipses; a list has all of them or none.
ELLIPSE_COLUMNS = ("semi_major_68", "semi_minor_68", "semi_major_95", "semi_minor_95", "pos_angle")


class _Rows:
    """Columns that are selected together."""

    def __len__(self):
        return len(self.lon)

    @property
    def positions(self):
        """Positions (`~astropy.coordinates.SkyCoord`, Galactic)."""
        return SkyCoord(self.lon, self.lat, unit="deg", frame="galactic")

    def select(self, mask):
        """The same with some of the rows, given by a mask or indices."""
        columns = {
            f.name: getattr(self, f.name)[mask]
            for f in fields(self)
            if isinstance(getattr(self, f.name), np.ndarray)
        }
        return replace(self, **columns)


@dataclass(frozen=True)
class Truth(_Rows):
    """True sources.

    Parameters
    ----------
    lon, lat : `~numpy.ndarray`
        Galactic positions in deg, shape ``(n,)``.
    flux : `~numpy.ndarray`
        Photon flux in cm-2 s-1 in the energy range.
    energy_range : tuple of float
        Energy range of the flux in GeV.
    group : `~numpy.ndarray`, optional
        Field of each, where fields overlap.
    index : `~numpy.ndarray`, optional
        Row of each source in what `flux_between` returns; set on construction.
    flux_between : callable, optional
        Gives the fluxes of all sources between two energies in GeV, where the spectra are known.
    """

    lon: np.ndarray
    lat: np.ndarray
    flux: np.ndarray
    energy_range: tuple = (1.0, 100.0)
    group: np.ndarray | None = None
    index: np.ndarray | None = None
    flux_between: Callable | None = None

    def __post_init__(self):
        if self.index is None:
            object.__setattr__(self, "index", np.arange(len(self.lon)))
        _check_finite("The truth", "position", self.lon, self.lat)
        bad = ~(np.isfinite(self.flux) & (self.flux > 0))
        if bad.any():
            raise ValueError(f"The truth has {bad.sum()} fluxes that are not positive: drop these sources")

    def fluxes(self, e_min, e_max):
        """Fluxes between two energies in GeV, None if the spectra are not known."""
        if np.allclose((e_min, e_max), self.energy_range):
            return self.flux
        return None if self.flux_between is None else self.flux_between(e_min, e_max)[self.index]

    @classmethod
    def from_catalog(cls, catalog, energy_range=(1.0, 100.0)):
        """Truth of a `~gammapy_asid.simulation.MockCatalog`."""
        flux = catalog.flux(*energy_range)
        return cls(catalog.lon, catalog.lat, flux, tuple(energy_range), flux_between=catalog.flux)

    @classmethod
    def from_models(cls, models, energy_range=(1.0, 100.0)):
        """Truth of `~gammapy.modeling.models.Models`; those without a position are left out."""
        placed = [m for m in models if getattr(m, "spatial_model", None) is not None]
        placed = [m for m in placed if m.position is not None]

        def flux_between(e_min, e_max):
            fluxes = [m.spectral_model.integral(e_min * u.GeV, e_max * u.GeV) for m in placed]
            return np.array([flux.to_value(FLUX_UNIT) for flux in fluxes])

        lon, lat = np.reshape(
            [[m.position.galactic.l.deg, m.position.galactic.b.deg] for m in placed], (-1, 2)
        ).T
        return cls(lon, lat, flux_between(*energy_range), tuple(energy_range), flux_between=flux_between)

    @classmethod
    def from_table(cls, table, flux=None, energy_range=(1.0, 100.0), group=None):
        """Truth of a table with positions and a flux, or of a table that `MockCatalog` wrote.

        Parameters
        ----------
        table : `~astropy.table.Table`
            Columns ``ra`` and ``dec`` (or ``RAJ2000``, ``DEJ2000``), or ``glon`` and ``glat``, in deg.
        flux : str, optional
            Column of the flux, in cm-2 s-1 unless it has a unit; by default one of `FLUX_COLUMNS`.
        energy_range : tuple of float
            Energy range of the flux in GeV.
        group : str, optional
            Column of the field.

        Raises
        ------
        ValueError
            If there are no such columns, or values are missing.
        """
        if flux is None and {f.name for f in fields(MockCatalog)} <= set(table.colnames):
            truth = cls.from_catalog(MockCatalog.from_table(table), energy_range)
        else:
            lon, lat = _positions(table, "The truth")
            name = _column_name(table, (flux,) if flux else FLUX_COLUMNS)
            if name is None:
                wanted = f"{flux!r}" if flux else " or ".join(FLUX_COLUMNS)
                raise ValueError(
                    f"The truth has no column {wanted}: name that of the flux (flux=..., --flux NAME)"
                )
            truth = cls(lon, lat, _values(table[name], FLUX_UNIT), tuple(energy_range))
        return replace(truth, group=_group(table, group, "The truth"))


@dataclass(frozen=True)
class CandidateList(_Rows):
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
        _check_finite(f"List {self.label!r}", "position", self.lon, self.lat)
        _check_finite(f"List {self.label!r}", "score", self.score)

    @property
    def is_probability(self):
        """Whether all scores lie between 0 and 1."""
        return bool(len(self) and self.score.min() >= 0 and self.score.max() <= 1)

    def fluxes(self, e_min, e_max):
        """Fluxes between two energies in GeV, None without any.

        Bands that the range cuts count in part, as a spectrum of photon index 2 would; without bands
        the whole flux is scaled so.
        """
        if self.flux is None:
            return None
        if self.energy_range is None or np.allclose((e_min, e_max), self.energy_range):
            return self.flux
        if self.flux_band is None:
            return self.flux * _share(*self.energy_range, e_min, e_max, inside=False)
        share = np.array([_share(low, high, e_min, e_max) for low, high in self.band_edges])
        return np.nansum(np.where(share > 0, self.flux_band, 0) * share, axis=1)

    @classmethod
    def from_candidates(cls, candidates, label="candidates"):
        """List of `~gammapy_asid.candidates.Candidates`."""
        listed = cls.from_table(candidates.table, label)
        edges = (candidates.meta.get("flux") or {}).get("bands")
        if listed.flux is None or not edges or "flux_band" not in candidates.table.colnames:
            return listed
        # Bands without data have no edges
        known = [i for i, edge in enumerate(edges) if edge is not None]
        flux_band = candidates.table["flux_band"].to_value(FLUX_UNIT)[:, known]
        return replace(listed, flux_band=flux_band, band_edges=tuple(tuple(edges[i]) for i in known))

    @classmethod
    def from_table(cls, table, label="candidates", score=(), group=None):
        """List of a table of positions and scores.

        Parameters
        ----------
        table : `~astropy.table.Table`
            Columns ``ra`` and ``dec`` (or ``RAJ2000``, ``DEJ2000``), or ``glon`` and ``glat``, in deg, and
            a score. Fluxes and error ellipses are read where the columns are named as in
            `~gammapy_asid.candidates.COLUMNS`.
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
        lon, lat = _positions(table, who)
        name = _column_name(table, (*names, "score"))
        if name is None:
            raise ValueError(
                f"{who} has no column {' or '.join((*names, 'score'))}: name that of the score "
                "(score=..., --score NAME)"
            )
        listed = cls(label, lon, lat, _values(table[name]), group=_group(table, group, who))
        return replace(listed, **_flux_columns(table), **_ellipses(table))


def read_truth(path, flux=None, energy_range=(1.0, 100.0), group=None):
    """Read a truth: a table (FITS, ECSV, CSV), that of a `MockCatalog`, or Gammapy models (YAML).

    Parameters
    ----------
    path : str or path
        File.
    flux, energy_range, group
        See `Truth.from_table`.

    Returns
    -------
    truth : `Truth`
        True sources.

    Raises
    ------
    ValueError
        If the file has no positions or fluxes, or can't be read.
    """
    if Path(path).suffix in (".yaml", ".yml"):
        try:
            models = Models.read(path)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} holds no Gammapy models") from error
        return Truth.from_models(models, energy_range)
    return Truth.from_table(_read_table(path), flux, energy_range, group)


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
    if not score and group is None:
        try:
            candidates = Candidates.read(path)
        except ValueError:
            candidates = None
        if candidates is not None:
            return CandidateList.from_candidates(candidates, label)
    return CandidateList.from_table(_read_table(path), label, score, group)


def _read_table(path):
    try:
        with warnings.catch_warnings():
            # The first table of several is the one meant, as in catalogues of Fermi
            warnings.filterwarnings("ignore", "hdu= was not specified", AstropyUserWarning)
            return Table.read(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"No such file: {path}") from None
    except Exception as error:
        # Readers of astropy raise errors of many kinds
        raise ValueError(f"{path} is no table that can be read: give FITS, ECSV or CSV") from error


def _column_name(table, names):
    """The first of some names that the table has, in any case."""
    own = {name.lower(): name for name in reversed(table.colnames)}
    return next((own[name.lower()] for name in names if name.lower() in own), None)


def _values(column, unit=None):
    """Values as floats, NaN where they are missing; with a unit of its own the column is converted."""
    if unit is not None and getattr(column, "unit", None) is not None:
        column = u.Quantity(column, copy=False).to(unit)
    values = getattr(column, "value", column)
    return np.ma.filled(np.ma.asarray(values, dtype=float), np.nan)


def _positions(table, who):
    for frame, pairs in POSITION_COLUMNS.items():
        for pair in pairs:
            names = [_column_name(table, (name,)) for name in pair]
            if None not in names:
                lon, lat = (_values(table[name], u.deg) for name in names)
                _check_finite(who, "position", lon, lat)
                position = SkyCoord(lon, lat, unit="deg", frame=frame).galactic
                return position.l.deg, position.b.deg
    raise ValueError(f"{who} has no columns ra and dec, or glon and glat: name the positions so")


def _group(table, name, who):
    if name is None:
        return None
    column = _column_name(table, (name,))
    if column is None:
        raise ValueError(f"{who} has no column {name!r} of the fields: all tables need it")
    return np.asarray(table[column])


def _flux_columns(table):
    """Columns of the flux that are there and hold numbers."""
    own = {name: _column_name(table, (name,)) for name in ("flux", "flux_err", "flux_errn", "flux_errp")}
    found = {name: _values(table[column], FLUX_UNIT) for name, column in own.items() if column}
    if not np.any(np.isfinite(found.get("flux", []))):
        return {}
    errors = {name: found.get(name, found.get("flux_err")) for name in ("flux_errn", "flux_errp")}
    energies = [_column_name(table, (name,)) for name in ("e_min", "e_max")]
    if None in energies:
        return {"flux": found["flux"]} | errors
    low, high = (_values(table[name], u.GeV)[np.isfinite(found["flux"])] for name in energies)
    energy_range = (float(low[0]), float(high[0]))
    if not np.allclose(low, low[0]) or not np.allclose(high, high[0]):
        raise ValueError("Fluxes of one list are in several energy ranges: estimate them in one")
    return {"flux": found["flux"], "energy_range": energy_range} | errors


def _ellipses(table):
    names = [_column_name(table, (name,)) for name in ELLIPSE_COLUMNS]
    if None in names:
        return {}
    return {"ellipse": np.column_stack([_values(table[name], u.deg) for name in names])}


def _check_finite(who, what, *values):
    bad = ~np.all([np.isfinite(value) for value in values], axis=0)
    if np.any(bad):
        raise ValueError(f"{who} has {np.sum(bad)} rows without a {what}: drop them")


def _share(low, high, e_min, e_max, inside=True):
    """Photons between two energies, of those between low and high, for a photon index of 2."""
    if inside:
        e_min, e_max = np.clip([e_min, e_max], low, high)
    return (1 / e_min - 1 / e_max) / (1 / low - 1 / high)
