# Licensed under a 3-clause BSD style license - see LICENSE
"""True sources of any origin, in one form."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import astropy.units as u
import numpy as np
from gammapy.modeling.models import Models

from ..catalog.fluxes import FLUX_UNIT
from ..simulation.mock_catalog import MockCatalog
from ..utils.arguments import checked_range
from ..utils.plain_yaml import read_yaml
from ..utils.table_columns import column_name, column_values
from ..utils.table_files import read_any_table
from .sky_rows import SkyRows, check_finite, fields_of, flux_range, galactic_positions

__all__ = ["Truth", "read_truth"]

#: Names of a column of 1-100 GeV fluxes, in any case.
FLUX_COLUMNS = ("flux", "s1", "flux1000", "flux_1000")
#: Energy range in GeV in which thresholds of catalogues are known, and the flux in cm-2 s-1 above which 90 %
#: of the 4FGL-DR4 sources at |b| > 20 deg lie.
RANGE_4FGL, FLUX_4FGL = (1.0, 100.0), 8e-11


@dataclass(frozen=True, repr=False)
class Truth(SkyRows):
    """True sources.

    Parameters
    ----------
    lon, lat : `~numpy.ndarray`
        Galactic positions in deg, shape ``(n,)``.
    flux : `~numpy.ndarray`
        Photon flux in cm-2 s-1 in the energy range.
    energy_range : tuple of float or `~astropy.units.Quantity`
        Energy range of the flux, in GeV without a unit.
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
        object.__setattr__(self, "energy_range", checked_range("The energy range", self.energy_range))
        if self.index is None:
            object.__setattr__(self, "index", np.arange(len(self.lon)))
        check_finite("The truth", "position", self.lon, self.lat)
        bad = ~(np.isfinite(self.flux) & (self.flux > 0))
        if bad.any():
            raise ValueError(f"The truth has {bad.sum()} fluxes that are not positive: drop these sources")

    def fluxes(self, e_min, e_max):
        """Fluxes between two energies in GeV, None if the spectra are not known.

        Parameters
        ----------
        e_min, e_max : float
            Energies in GeV.

        Returns
        -------
        flux : `~numpy.ndarray` or None
            In cm-2 s-1, shape ``(n,)``.
        """
        if np.allclose((e_min, e_max), self.energy_range):
            return self.flux
        return None if self.flux_between is None else self.flux_between(e_min, e_max)[self.index]

    @classmethod
    def from_catalog(cls, catalog, energy_range=(1.0, 100.0)):
        """Truth of a `~gammapy_asid.simulation.MockCatalog`.

        Parameters
        ----------
        catalog : `~gammapy_asid.simulation.MockCatalog`
            Catalogue.
        energy_range : tuple of float
            Energy range of the fluxes in GeV.

        Returns
        -------
        truth : `Truth`
            True sources.
        """
        energy_range = checked_range("The energy range", energy_range)
        flux = catalog.flux(*energy_range)
        return cls(catalog.lon, catalog.lat, flux, energy_range, flux_between=catalog.flux)

    @classmethod
    def from_models(cls, models, energy_range=(1.0, 100.0)):
        """Truth of `~gammapy.modeling.models.Models`; those without a position are left out.

        Parameters
        ----------
        models : `~gammapy.modeling.models.Models`
            Models.
        energy_range : tuple of float
            Energy range of the fluxes in GeV.

        Returns
        -------
        truth : `Truth`
            True sources.
        """
        energy_range = checked_range("The energy range", energy_range)
        placed = [m for m in models if getattr(m, "spatial_model", None) is not None]
        placed = [m for m in placed if m.position is not None]

        def flux_between(e_min, e_max):
            fluxes = [m.spectral_model.integral(e_min * u.GeV, e_max * u.GeV) for m in placed]
            return np.array([flux.to_value(FLUX_UNIT) for flux in fluxes])

        lon, lat = np.reshape(
            [[m.position.galactic.l.deg, m.position.galactic.b.deg] for m in placed], (-1, 2)
        ).T
        return cls(lon, lat, flux_between(*energy_range), energy_range, flux_between=flux_between)

    @classmethod
    def from_table(cls, table, flux=None, energy_range=None, group=None):
        """Truth of a table with positions and a flux, or of a table that `MockCatalog` wrote.

        Parameters
        ----------
        table : `~astropy.table.Table`
            Columns ``ra`` and ``dec`` (or ``RAJ2000``, ``DEJ2000``), or ``glon`` and ``glat``, in deg.
        flux : str, optional
            Column of the flux, in cm-2 s-1 unless it has a unit; by default one of `FLUX_COLUMNS`.
        energy_range : tuple of float, optional
            Energy range of the flux in GeV; by default that of the columns ``e_min`` and ``e_max`` of a
            column ``flux``, else 1 to 100 GeV.
        group : str, optional
            Column of the field.

        Raises
        ------
        ValueError
            If there are no such columns, values are missing, or fluxes are in several ranges of energy.
        """
        energy_range = None if energy_range is None else checked_range("The energy range", energy_range)
        if flux is None and {f.name for f in fields(MockCatalog)} <= set(table.colnames):
            truth = cls.from_catalog(MockCatalog.from_table(table), energy_range or RANGE_4FGL)
        else:
            lon, lat = galactic_positions(table, "The truth")
            name = column_name(table, (flux,) if flux else FLUX_COLUMNS)
            if name is None:
                wanted = f"{flux!r}" if flux else " or ".join(FLUX_COLUMNS)
                raise ValueError(
                    f"The truth has no column {wanted}: name that of the flux (flux=..., --flux NAME)"
                )
            fluxes = column_values(table[name], FLUX_UNIT)
            if energy_range is None and name.lower() == "flux":
                energy_range = flux_range(table, fluxes, "the truth")
            truth = cls(lon, lat, fluxes, energy_range or RANGE_4FGL)
        return replace(truth, group=fields_of(table, group, "The truth"))


def read_truth(path, flux=None, energy_range=None, group=None):
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
        read_yaml(path)
        try:
            models = Models.read(path)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} holds no Gammapy models") from error
        return Truth.from_models(models, RANGE_4FGL if energy_range is None else energy_range)
    return Truth.from_table(read_any_table(path), flux, energy_range, group)
