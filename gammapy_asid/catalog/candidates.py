# Licensed under a 3-clause BSD style license - see LICENSE
"""Candidates: the typed table that everything passes on."""

from importlib.metadata import version
from os import PathLike
from typing import Self, TypeAlias

import astropy.units as u
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from gammapy.maps import Map, Maps
from gammapy.modeling.models import Models, SpectralModel
from numpy.typing import ArrayLike
from regions import Regions

from ..utils.words import counted
from .candidate_files import check_map_names, plain_meta, read_candidates, write_candidates
from .candidate_tables import (
    check_same_sources,
    checked_table,
    table_of_list,
    table_of_positions,
)
from .classes import SourceClasses
from .columns import FLAGS_OF_COLUMNS
from .extensions import SourceExtensions
from .fluxes import SourceFluxes
from .regions import error_regions
from .source_catalog import SourceCatalogASID
from .source_models import with_extended
from .source_table import SourceTable

__all__ = ["Candidates"]

File = str | PathLike[str]
Renamed = dict[str, str | None] | None
MapsOfField: TypeAlias = Maps | dict[str, Map] | None
Meta = dict | None


class Candidates(SourceTable):
    """Source candidates of one field.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        One row per candidate with the columns of `COLUMNS`; those of `BAND_COLUMNS`, `EXTENSION_COLUMNS`,
        `CLASS_COLUMNS`, `FIT_COLUMNS` and `ASSOCIATION_COLUMNS` as far as there.
    maps : `~gammapy.maps.Maps` or dict of `~gammapy.maps.Map`, optional
        Maps that belong to the field, such as ``score``; names in lower case.
    meta : dict, optional
        Provenance, anything JSON can hold: ``model``, ``card_sha256``, ``threshold``, ``expected_purity``,
        ``expected_completeness``, ``energy_range`` in GeV, ``datasets``. ``version`` is added.

    Raises
    ------
    TypeError, ValueError
        If a column is missing or has a wrong unit, a map has the name of another part of a file, or the
        provenance holds something that JSON can't.
    """

    def __init__(self, table: QTable, maps: MapsOfField = None, meta: Meta = None) -> None:
        self.table = checked_table(table)
        self.maps = Maps(**(maps or {}))
        check_map_names(self.maps)
        self.meta = plain_meta({"version": version("gammapy-asid")} | (meta or {}))

    @classmethod
    def from_positions(
        cls,
        positions: SkyCoord,
        score: ArrayLike,
        axes_68: u.Quantity,
        axes_95: u.Quantity,
        pos_angle: u.Quantity = 0 * u.deg,
        flags: ArrayLike = 0,
        maps: MapsOfField = None,
        meta: Meta = None,
    ) -> Self:
        """Make candidates of their positions and scores, without fluxes.

        Parameters
        ----------
        positions : `~astropy.coordinates.SkyCoord`
            Positions in any frame, shape ``(n,)``.
        score : array-like
            Probability of each to be real, shape ``(n,)``.
        axes_68, axes_95 : `~astropy.units.Quantity`
            Semi-axes of the error ellipses, the larger first, shape ``(n, 2)``. A circle of equal
            area gives ``pos_err_68`` and ``pos_err_95``.
        pos_angle : `~astropy.units.Quantity`
            Angle of the larger axis from north to east, shape ``(n,)`` or one for all.
        flags : array-like of int
            Bits of `CandidateFlag`, shape ``(n,)`` or one for all.
        maps, meta
            See `Candidates`.
        """
        return cls(table_of_positions(positions, score, axes_68, axes_95, pos_angle, flags), maps, meta)

    @classmethod
    def from_table(
        cls, table: Table, columns: Renamed = None, energy_range: u.Quantity | None = None, meta: Meta = None
    ) -> Self:
        """Make candidates of any list of sources.

        Parameters
        ----------
        table : `~astropy.table.Table`
            List with positions: ``ra`` and ``dec``, ``RAJ2000`` and ``DEJ2000``, ``glon`` and ``glat`` and
            the like, in any case. A column without a unit is in that of `COLUMNS`. Names, errors of positions
            (also ``Conf_95_SemiMajor``, ``r95``, ``e_RAJ2000``, ...), score and fluxes are taken where they
            are, else NaN; flags, fits, extensions, classes and associations of own tables only.
        columns : dict of str, optional
            Columns of the list by the names of `COLUMNS`, such as ``{"ra": "lon", "dec": "lat"}``; None for
            one that is to be left out.
        energy_range : `~astropy.units.Quantity`, optional
            Energies of fluxes without columns ``e_min`` and ``e_max``. Fluxes without any are left out.
        meta : dict, optional
            Provenance.

        Raises
        ------
        TypeError, ValueError
            If it is no table, there are no positions, values of them are missing, names repeat, or a column
            holds something else.
        """
        return cls(table_of_list(table, columns, energy_range, meta), meta=meta)

    @property
    def summary(self) -> str:
        """What is in the table, in a few words."""
        parts = [counted(len(self), "candidate")]
        if "model" in self.meta:
            parts.append(f"model {self.meta['model']}")
        if "threshold" in self.meta:
            parts.append(f"score ≥ {self.meta['threshold']:g}")
        return ", ".join(parts)

    def _with_rows(self, rows):
        return Candidates(self.table[rows], self.maps, self.meta)

    def with_fluxes(self, fluxes: SourceFluxes) -> "Candidates":
        """Candidates with the fluxes of `~gammapy_asid.DLFluxEstimator`.

        Parameters
        ----------
        fluxes : `~gammapy_asid.SourceFluxes`
            Fluxes of these candidates, in their order; those of others are refused.

        Returns
        -------
        candidates : `Candidates`
            A copy with the columns of the flux, those of `BAND_COLUMNS`, and the flags of both.
        """
        check_same_sources(self.table, "fluxes", fluxes, SourceFluxes, "estimate")
        return self.with_columns(fluxes.candidate_columns, fluxes.table["flags"], {"flux": fluxes.meta})

    def with_extensions(self, extensions: SourceExtensions) -> "Candidates":
        """Candidates with the extensions of `~gammapy_asid.DLExtensionClassifier`.

        Parameters
        ----------
        extensions : `~gammapy_asid.SourceExtensions`
            Extensions of these candidates, in their order; those of others are refused.

        Returns
        -------
        candidates : `Candidates`
            A copy with the columns of `EXTENSION_COLUMNS`, and the flags of both.
        """
        check_same_sources(self.table, "extensions", extensions, SourceExtensions, "classify")
        columns = extensions.candidate_columns
        return self.with_columns(columns, extensions.table["flags"], {"extension": extensions.meta})

    def with_classes(self, classes: SourceClasses) -> "Candidates":
        """Candidates with the classes of `~gammapy_asid.DLSourceClassifier`.

        Parameters
        ----------
        classes : `~gammapy_asid.SourceClasses`
            Classes of these candidates, in their order; those of others are refused.

        Returns
        -------
        candidates : `Candidates`
            A copy with the columns of `CLASS_COLUMNS`, and the flags of both.
        """
        check_same_sources(self.table, "classes", classes, SourceClasses, "classify")
        return self.with_columns(classes.candidate_columns, classes.table["flags"], {"classes": classes.meta})

    def with_columns(self, columns: QTable, flags: ArrayLike = 0, meta: Meta = None) -> "Candidates":
        """Candidates with columns replaced or added, as a fit and an association do.

        Parameters
        ----------
        columns : `~astropy.table.QTable`
            Columns of this module, one row per candidate in their order.
        flags : array-like of int
            Bits of `CandidateFlag` to set, shape ``(n,)`` or one for all. Those that tell how replaced
            columns were made are taken away before.
        meta : dict, optional
            Provenance to add.

        Returns
        -------
        candidates : `Candidates`
            A copy.
        """
        table = self.table.copy()
        gone = sum(int(own) for name, own in FLAGS_OF_COLUMNS.items() if name in columns.colnames)
        table["flags"] = table["flags"] - (table["flags"] & gone)
        for name in columns.colnames:
            table[name] = columns[name]
        table["flags"] = table["flags"] | flags
        return Candidates(table, self.maps, self.meta | (meta or {}))

    def to_catalog(self) -> SourceCatalogASID:
        """Candidates as `~gammapy_asid.catalog.source_catalog.SourceCatalogASID`."""
        return SourceCatalogASID.from_candidates(self)

    def to_models(self, spectral_model: SpectralModel | None = None) -> Models:
        """Sources with the errors of positions and widths as parameter errors.

        A point, or a Gaussian where a likelihood fit found the source extended. Without a fit a Gaussian
        where the classifier of extension gives it a probability above 0.5 to be extended. Parameters have
        bounds for a fit: positions twice the 95 % ellipse.

        Parameters
        ----------
        spectral_model : `~gammapy.modeling.models.SpectralModel`, optional
            Spectrum for a fit to start from. By default the fitted one; else with the estimated flux (without
            one 1e-9 cm-2 s-1 GeV-1 at 1 GeV, a common faint LAT source) a power law of index 2, or that of
            the class: a log-parabola, for pulsars a power law with an exponential cutoff.

        Returns
        -------
        models : `~gammapy.modeling.models.Models`
            One `~gammapy.modeling.models.SkyModel` per candidate.
        """
        models = [source.sky_model(spectral_model) for source in self.to_catalog()]
        return Models(with_extended(models, self.table, self.positions))

    def to_regions(self, containment: float = 0.95) -> Regions:
        """Error ellipses, points where the error is not known.

        Parameters
        ----------
        containment : {0.68, 0.95}
            Probability that the ellipse holds the source; another one is a `ValueError`.

        Returns
        -------
        regions : `~regions.Regions`
            Regions labelled with the names.
        """
        return error_regions(self.table, self.positions, containment)

    def write(self, filename: File, overwrite: bool = False) -> None:
        """Write table, maps and provenance to a FITS file, or a part of them by the end of the file's name.

        Parameters
        ----------
        filename : str or path
            File, ending in ``.fits`` (all), ``.ecsv`` or ``.csv`` (table), ``.reg`` (error ellipses of 95 %
            for DS9) or ``.yaml`` (Gammapy models).
        overwrite : bool
            Replace an existing file.

        Raises
        ------
        FileExistsError, ValueError
            If the file exists and `overwrite` is False, or its name ends otherwise.
        """
        write_candidates(self, filename, overwrite)

    @classmethod
    def read(cls, filename: File, columns: Renamed = None, energy_range: u.Quantity | None = None) -> Self:
        """Read a file that `write` or `~gammapy_asid.catalog.write_catalog` made, or any list of sources.

        Parameters
        ----------
        filename : str or path
            File, of other lists FITS, ECSV, CSV or VOTable.
        columns, energy_range
            For other lists, see `from_table`.

        Raises
        ------
        FileNotFoundError, ValueError
            If there is no such file, or it is no list of sources.
        """
        return cls(*read_candidates(filename, columns, energy_range))
