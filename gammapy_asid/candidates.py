# Licensed under a 3-clause BSD style license - see LICENSE
"""Candidates: the typed table that everything passes on."""

import json
import string
from collections import Counter
from dataclasses import dataclass
from enum import IntFlag
from importlib.metadata import version
from itertools import count, product

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from gammapy.maps import Map, Maps
from gammapy.modeling.models import Models
from regions import EllipseSkyRegion, PointSkyRegion, Regions

from .arguments import check_kind
from .catalog import SourceCatalogASID, candidate_table
from .columns import column_text, plain_unit, read_any_table
from .extensions import EXTENDED, SourceExtensions, extended_model
from .files import new_file, regular_file
from .fits_files import open_fits, write_fits
from .fits_tables import (
    fits_path,
    fits_text,
    is_own_file,
    primary_hdu,
    provenance_hdu,
    read_provenance,
    read_table,
    table_hdu,
)
from .fluxes import SourceFluxes
from .source_lists import list_columns

__all__ = [
    "ASSOCIATION_COLUMNS",
    "BAND_COLUMNS",
    "COLUMNS",
    "EXTENSION_COLUMNS",
    "FIT_COLUMNS",
    "FLUX_COLUMNS",
    "CandidateFlag",
    "Candidates",
    "Column",
    "iau_names",
]


class CandidateFlag(IntFlag):
    """Bits of the column ``flags``."""

    #: Nearer to the edge of the valid data than the match radius of the model.
    NEAR_EDGE = 1
    #: A candidate of higher score lies within twice the 68 % PSF radius of the best band.
    NEAR_BRIGHTER = 2
    #: No flux: the position is outside the valid data.
    OUTSIDE = 4
    #: Another position of the list is nearer than half a pixel: they share their flux.
    DUPLICATE = 8
    #: The likelihood fit did not converge.
    FIT_FAILED = 16
    #: The known diffuse emission outshines the source within its 68 % PSF radius.
    STRONG_DIFFUSE = 32
    #: Not found again where the known sky is brighter or fainter by a tenth.
    EMISSION_SENSITIVE = 64
    #: Instrument or sky lie outside the range that the model which made the row was trained for.
    UNTRAINED = 128
    #: The energy bins are too few or too wide for the bands of the model: the flux may be far too low.
    COARSE_BINS = 256


@dataclass(frozen=True)
class Column:
    """One column of the table.

    Parameters
    ----------
    name : str
        Name.
    dtype : str
        Numpy type; text is wider where it must be.
    description : str
        Meaning.
    unit : str, optional
        Unit.
    """

    name: str
    dtype: str
    description: str
    unit: str = None

    def convert(self, values):
        """Values in the type and unit of the column.

        Raises
        ------
        ValueError
            If they have another unit.
        """
        if self.dtype.startswith("U"):
            values = column_text(values)
            return values.astype(max(values.dtype, np.dtype(self.dtype)))
        if self.unit is None:
            return np.asarray(values).astype(self.dtype)
        own = getattr(values, "unit", None)
        try:
            if own is not None:
                values = u.Quantity(values.value, plain_unit(own))
            return u.Quantity(values, self.unit, dtype=self.dtype)
        except u.UnitConversionError:
            raise ValueError(f"Column {self.name!r} must be in {self.unit}, got {own}") from None


#: Columns of every table, in order.
COLUMNS = (
    Column("name", "U24", "IAU style designation"),
    Column("ra", "f8", "Right ascension, ICRS", "deg"),
    Column("dec", "f8", "Declination, ICRS", "deg"),
    Column("glon", "f8", "Galactic longitude", "deg"),
    Column("glat", "f8", "Galactic latitude", "deg"),
    Column("pos_err_68", "f8", "Radius that holds the source with a probability of 68 %", "deg"),
    Column("pos_err_95", "f8", "Radius that holds the source with a probability of 95 %", "deg"),
    Column("semi_major_68", "f8", "Larger semi-axis of the 68 % error ellipse", "deg"),
    Column("semi_minor_68", "f8", "Smaller semi-axis of the 68 % error ellipse", "deg"),
    Column("semi_major_95", "f8", "Larger semi-axis of the 95 % error ellipse", "deg"),
    Column("semi_minor_95", "f8", "Smaller semi-axis of the 95 % error ellipse", "deg"),
    Column("pos_angle", "f8", "Angle of the larger axis, from north to east (ICRS)", "deg"),
    Column("score", "f8", "Calibrated probability to be a real source"),
    Column("e_min", "f8", "Lower end of the energy range of the flux", "GeV"),
    Column("e_max", "f8", "Upper end of the energy range of the flux", "GeV"),
    Column("flux", "f8", "Photon flux", "cm-2 s-1"),
    Column("flux_err", "f8", "Mean of flux_errn and flux_errp", "cm-2 s-1"),
    Column("flux_errn", "f8", "Flux down to the lower end of its 68 % interval", "cm-2 s-1"),
    Column("flux_errp", "f8", "Flux up to the upper end of its 68 % interval", "cm-2 s-1"),
    Column("flux_ul", "f8", "Upper limit of the flux, 95 % one-sided", "cm-2 s-1"),
    Column("flags", "i4", "Bit mask of CandidateFlag"),
)

#: Columns that `Candidates.with_fluxes` fills.
FLUX_COLUMNS = ("e_min", "e_max", "flux", "flux_err", "flux_errn", "flux_errp", "flux_ul")

#: Columns of the fluxes in the bands of the model, shape ``(n_bands,)`` in each row; NaN in bands
#: that the data do not cover. The edges of the bands in GeV are in ``meta["flux"]["bands"]``.
BAND_COLUMNS = (
    Column("flux_band", "f8", "Photon flux in each band", "cm-2 s-1"),
    Column("flux_band_errn", "f8", "Flux down to the lower end of its 68 % interval", "cm-2 s-1"),
    Column("flux_band_errp", "f8", "Flux up to the upper end of its 68 % interval", "cm-2 s-1"),
    Column("flux_band_ul", "f8", "Upper limit of the flux, 95 % one-sided", "cm-2 s-1"),
)

#: Columns that `Candidates.with_extensions` fills. The sizes in deg between the classes are in
#: ``meta["extension"]["edges"]``.
EXTENSION_COLUMNS = (
    Column("extension_class", "U4", "Most probable class of size: C0, C1, ...; empty without data"),
    Column("extension_prob", "f8", "Probability of each class"),
    Column("extended_prob", "f8", "Probability not to be a point"),
    Column("ext_sigma", "f8", "Gaussian width if it is extended", "deg"),
    Column("ext_sigma_errn", "f8", "Width down to the lower end of its 68 % interval", "deg"),
    Column("ext_sigma_errp", "f8", "Width up to the upper end of its 68 % interval", "deg"),
)

#: Columns that a likelihood fit adds, see `gammapy_asid.likelihood`; NaN where it has no value.
FIT_COLUMNS = (
    Column("ts", "f8", "Test statistic of the likelihood fit against no source"),
    Column("sqrt_ts", "f8", "Square root of ts"),
    Column("ts_ext", "f8", "Test statistic of extension"),
    Column("fit_ra", "f8", "Fitted right ascension, ICRS", "deg"),
    Column("fit_dec", "f8", "Fitted declination, ICRS", "deg"),
    Column("fit_semi_major_68", "f8", "Larger semi-axis of the 68 % error ellipse of the fit", "deg"),
    Column("fit_semi_minor_68", "f8", "Smaller semi-axis of the 68 % error ellipse of the fit", "deg"),
    Column("fit_pos_angle", "f8", "Angle of its larger axis, from north to east (ICRS)", "deg"),
    Column("fit_sigma", "f8", "Fitted Gaussian width of an extended source", "deg"),
    Column("fit_sigma_err", "f8", "Error of fit_sigma", "deg"),
    Column("fit_e_min", "f8", "Lower end of the energy range of fit_flux", "GeV"),
    Column("fit_e_max", "f8", "Upper end of the energy range of fit_flux", "GeV"),
    Column("fit_flux", "f8", "Fitted photon flux", "cm-2 s-1"),
    Column("fit_flux_err", "f8", "Error of fit_flux", "cm-2 s-1"),
    Column("fit_spectrum", "U12", "Fitted spectrum: pl or lp, a power law or a log-parabola"),
    Column("fit_e_ref", "f8", "Reference energy of the spectrum", "GeV"),
    Column("fit_index", "f8", "Photon index, of a log-parabola at fit_e_ref"),
    Column("fit_index_err", "f8", "Error of fit_index"),
    Column("fit_beta", "f8", "Curvature of a log-parabola"),
    Column("fit_beta_err", "f8", "Error of fit_beta"),
)

#: Columns that `gammapy_asid.association.associate` adds.
ASSOCIATION_COLUMNS = (
    Column("assoc_catalog", "U24", "Catalogue of the most probable counterpart; empty without one"),
    Column("assoc_name", "U32", "Name of that counterpart, or names of those at one place"),
    Column("assoc_sep", "f8", "Distance to it", "deg"),
    Column("assoc_prob", "f8", "Posterior probability of the association"),
)

# Columns that a table has as a group or not at all.
GROUPS = (BAND_COLUMNS, EXTENSION_COLUMNS, FIT_COLUMNS, ASSOCIATION_COLUMNS)

# Header cards of the file that a reader of FITS sees at once; the whole is in the PROVENANCE table.
HEADER_CARDS = {"model": "MODEL", "card_sha256": "CARDSHA", "threshold": "THRESH"}


# What a source without a position is called.
NOWHERE = "ASID nowhere"


def iau_names(positions):
    """IAU style designations ``ASID JHHMM.m+DDMM``, truncated as the IAU asks.

    Parameters
    ----------
    positions : `~astropy.coordinates.SkyCoord`
        Positions, shape ``(n,)``.

    Returns
    -------
    names : list of str
        Sources that would share a designation get a, b, ..., z, aa, ab, ... appended in their order; those
        without a position are called so.
    """
    icrs = positions.icrs
    known = np.isfinite(icrs.ra) & np.isfinite(icrs.dec)
    # A microarcsecond keeps a coordinate given to full minutes from falling below them
    tenths = np.floor(np.where(known, icrs.ra.wrap_at("360d").hour, 0) * 600 + 1e-8).astype(int) % 14400
    minutes = np.floor(np.where(known, np.abs(icrs.dec.deg), 0) * 60 + 1e-8).astype(int)
    signs = np.where(icrs.dec.deg < 0, "-", "+")
    names = [
        f"ASID J{t // 600:02d}{t % 600 // 10:02d}.{t % 10}{sign}{m // 60:02d}{m % 60:02d}" if k else NOWHERE
        for k, t, m, sign in zip(known, tenths, minutes, signs, strict=True)
    ]
    number = Counter(names)
    letters = {name: _letters() for name in names if number[name] > 1}
    return [name + next(letters[name]) if name in letters else name for name in names]


def _letters():
    for length in count(1):
        yield from map("".join, product(string.ascii_lowercase, repeat=length))


class Candidates:
    """Source candidates of one field.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        One row per candidate with the columns of `COLUMNS`; those of `BAND_COLUMNS`,
        `EXTENSION_COLUMNS`, `FIT_COLUMNS` and `ASSOCIATION_COLUMNS` as far as there.
    maps : `~gammapy.maps.Maps` or dict of `~gammapy.maps.Map`, optional
        Maps that belong to the field, such as ``score``; names in lower case.
    meta : dict, optional
        Provenance, anything JSON can hold: ``model``, ``card_sha256``, ``threshold``,
        ``expected_purity``, ``expected_completeness``, ``energy_range`` in GeV,
        ``datasets``. ``version``, that of this package, is added.

    Raises
    ------
    ValueError
        If a column is missing or has a wrong unit.
    """

    def __init__(self, table, maps=None, meta=None):
        check_kind("table", table, Table)
        columns = list(COLUMNS)
        for group in GROUPS:
            columns += group if any(column.name in table.colnames for column in group) else ()
        missing = [column.name for column in columns if column.name not in table.colnames]
        if missing:
            raise ValueError(
                f"The table has no column {', '.join(missing)}: see gammapy_asid.candidates.COLUMNS"
            )
        self.table = QTable({column.name: column.convert(table[column.name]) for column in columns})
        for column in columns:
            self.table[column.name].info.description = column.description
        self.maps = Maps(**(maps or {}))
        meta = {"version": version("gammapy-asid")} | (meta or {})
        self.meta = json.loads(json.dumps(meta, default=lambda value: value.tolist()))

    @classmethod
    def from_positions(
        cls, positions, score, axes_68, axes_95, pos_angle=0 * u.deg, flags=0, maps=None, meta=None
    ):
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
        check_kind("positions", positions, SkyCoord)
        for name, axes in (("axes_68", axes_68), ("axes_95", axes_95)):
            if not u.Quantity(axes).unit.is_equivalent("deg") or np.shape(axes) != (*positions.shape, 2):
                raise ValueError(f"{name} must be two angles for each position, as a Quantity")
        if np.shape(score) != positions.shape:
            raise ValueError(f"There are {np.size(score)} values of score for {positions.size} positions")
        icrs, galactic = positions.icrs, positions.galactic
        table = {
            "name": np.array(iau_names(positions), dtype=str),
            "ra": icrs.ra,
            "dec": icrs.dec,
            "glon": galactic.l,
            "glat": galactic.b,
            "pos_err_68": np.sqrt(axes_68[:, 0] * axes_68[:, 1]),
            "pos_err_95": np.sqrt(axes_95[:, 0] * axes_95[:, 1]),
            "semi_major_68": axes_68[:, 0],
            "semi_minor_68": axes_68[:, 1],
            "semi_major_95": axes_95[:, 0],
            "semi_minor_95": axes_95[:, 1],
            "pos_angle": np.broadcast_to(pos_angle, positions.shape, subok=True),
            "score": score,
            **{
                column.name: u.Quantity(np.full(positions.shape, np.nan), column.unit)
                for column in COLUMNS
                if column.name in FLUX_COLUMNS
            },
            "flags": np.broadcast_to(flags, positions.shape),
        }
        return cls(QTable(table), maps, meta)

    @classmethod
    def from_table(cls, table, columns=None, energy_range=None, meta=None):
        """Make candidates of any list of sources.

        Parameters
        ----------
        table : `~astropy.table.Table`
            List with positions: ``ra`` and ``dec``, ``RAJ2000`` and ``DEJ2000``, ``glon`` and ``glat`` and
            the like, in any case. A column without a unit is in that of `COLUMNS`. Names, errors of positions
            (also ``Conf_95_SemiMajor``, ``r95``, ``e_RAJ2000``, ...), score and fluxes are taken where they
            are; what is not there is NaN. Flags, and the columns of fits, extensions and associations, are
            taken of tables of this package only.
        columns : dict of str, optional
            Columns of the list by the names of `COLUMNS`, such as ``{"ra": "lon", "dec": "lat"}``; None for
            one that is to be left out.
        energy_range : `~astropy.units.Quantity`, optional
            Energies of the flux where no columns ``e_min`` and ``e_max`` tell them. Fluxes without a range
            are left out, with a warning.
        meta : dict, optional
            Provenance.

        Raises
        ------
        TypeError
            If it is no table.
        ValueError
            If there are no positions, values of them are missing, names repeat, or a column holds something
            else.
        """
        check_kind("table", table, Table)
        known = {column.name for column in COLUMNS}
        strange = sorted(set(columns or {}) - known)
        if strange:
            raise ValueError(
                f"Candidates have no column {', '.join(strange)}: see gammapy_asid.candidates.COLUMNS"
            )
        positions, names, values = list_columns(table, columns, energy_range)
        own = QTable({"name": [n or new for n, new in zip(names, iau_names(positions), strict=True)]})
        own["ra"], own["dec"] = positions.ra, positions.dec
        own["glon"], own["glat"] = positions.galactic.l, positions.galactic.b
        for name, value in values.items():
            own[name] = value
        own["flags"] = 0
        if known <= set(table.colnames):
            own["flags"] = table["flags"]
            for column in (c for group in GROUPS for c in group if c.name in table.colnames):
                # Of one dimension in a text file
                if column not in BAND_COLUMNS or "flux" in (meta or {}):
                    own[column.name] = table[column.name]
        return cls(own, meta=meta)

    def __len__(self):
        return len(self.table)

    def __getitem__(self, key):
        """Candidates of a slice, a mask or indices, with all maps; one row for an int."""
        if isinstance(key, int | np.integer):
            return self.table[key]
        return Candidates(self.table[key], self.maps, self.meta)

    def __str__(self):
        lines = [f"{type(self).__name__}: {len(self)} sources"]
        lines += [f"  {key:<22}: {value}" for key, value in self.meta.items()]
        lines += [f"  {'maps':<22}: {', '.join(self.maps) or 'none'}", ""]
        table = self.table.copy()
        for name in table.colnames:
            table[name].info.format = {"f": ".4f"}.get(table[name].dtype.kind)
        return "\n".join(lines + table.pformat(max_width=-1))

    @property
    def positions(self):
        """Positions (`~astropy.coordinates.SkyCoord`, ICRS)."""
        return SkyCoord(self.table["ra"], self.table["dec"], frame="icrs")

    def with_fluxes(self, fluxes):
        """Candidates with the fluxes of `~gammapy_asid.DLFluxEstimator`.

        Parameters
        ----------
        fluxes : `~gammapy_asid.SourceFluxes`
            Fluxes of these candidates, in their order.

        Returns
        -------
        candidates : `Candidates`
            A copy with the columns of the flux, those of `BAND_COLUMNS`, and the flags of both.

        Raises
        ------
        ValueError
            If the fluxes are those of other sources.
        """
        check_kind("fluxes", fluxes, SourceFluxes)
        if list(fluxes.table["name"]) != list(self.table["name"]):
            raise ValueError("The fluxes are not those of these candidates: estimate them again")
        columns = QTable(fluxes.table[FLUX_COLUMNS])
        for column in BAND_COLUMNS:
            columns[column.name] = fluxes.in_all_bands(column.name.replace("flux_band", "flux"))
        return self.with_columns(columns, fluxes.table["flags"], {"flux": fluxes.meta})

    def with_extensions(self, extensions):
        """Candidates with the extensions of `~gammapy_asid.DLExtensionClassifier`.

        Parameters
        ----------
        extensions : `~gammapy_asid.SourceExtensions`
            Extensions of these candidates, in their order.

        Returns
        -------
        candidates : `Candidates`
            A copy with the columns of `EXTENSION_COLUMNS`, and the flags of both.

        Raises
        ------
        ValueError
            If the extensions are those of other sources.
        """
        check_kind("extensions", extensions, SourceExtensions)
        if list(extensions.table["name"]) != list(self.table["name"]):
            raise ValueError("The extensions are not those of these candidates: classify them again")
        columns = QTable(extensions.table[[column.name for column in EXTENSION_COLUMNS]])
        return self.with_columns(columns, extensions.table["flags"], {"extension": extensions.meta})

    def with_columns(self, columns, flags=0, meta=None):
        """Candidates with columns replaced or added, as a fit and an association do.

        Parameters
        ----------
        columns : `~astropy.table.QTable`
            Columns of this module, one row per candidate in their order.
        flags : array-like of int
            Bits of `CandidateFlag` to set, shape ``(n,)`` or one for all.
        meta : dict, optional
            Provenance to add.

        Returns
        -------
        candidates : `Candidates`
            A copy.
        """
        table = self.table.copy()
        for name in columns.colnames:
            table[name] = columns[name]
        table["flags"] = table["flags"] | flags
        return Candidates(table, self.maps, self.meta | (meta or {}))

    def to_catalog(self):
        """Candidates as `~gammapy_asid.catalog.SourceCatalogASID`."""
        return SourceCatalogASID.from_candidates(self)

    def to_models(self, spectral_model=None):
        """Sources with the errors of positions and widths as parameter errors.

        A point, or a Gaussian where a likelihood fit found the source extended. Without a fit a Gaussian
        where the classifier of extension gives it a probability above 0.5 to be extended. Parameters have
        bounds for a fit: positions twice the 95 % ellipse.

        Parameters
        ----------
        spectral_model : `~gammapy.modeling.models.SpectralModel`, optional
            Spectrum for a fit to start from. By default a power law of index 2 with the estimated
            flux; where there is none, 1e-9 cm-2 s-1 GeV-1 at 1 GeV, a common faint LAT source.

        Returns
        -------
        models : `~gammapy.modeling.models.Models`
            One `~gammapy.modeling.models.SkyModel` per candidate.
        """
        models = [source.sky_model(spectral_model) for source in self.to_catalog()]
        if "extended_prob" in self.table.colnames:
            fitted = np.isfinite(self.table["ts_ext"]) if "ts_ext" in self.table.colnames else False
            for i in np.flatnonzero((self.table["extended_prob"] > EXTENDED) & ~np.asarray(fitted)):
                point, row = models[i].spatial_model, self.table[i]
                error = (row["ext_sigma_errn"] + row["ext_sigma_errp"]) / 2
                models[i].spatial_model = extended_model(self.positions[i], row["ext_sigma"], error)
                for name in ("lon_0", "lat_0"):
                    own, other = getattr(models[i].spatial_model, name), getattr(point, name)
                    own.error, own.min, own.max = other.error, other.min, other.max
        return Models(models)

    def to_regions(self, containment=0.95):
        """Error ellipses, points where the error is not known.

        Parameters
        ----------
        containment : {0.68, 0.95}
            Probability that the ellipse holds the source.

        Returns
        -------
        regions : `~regions.Regions`
            Regions labelled with the names.

        Raises
        ------
        ValueError
            If the containment is another one.
        """
        level = {0.68: "68", 0.95: "95"}.get(containment)
        if level is None:
            raise ValueError(f"No error ellipse for a containment of {containment}: give 0.68 or 0.95")
        return Regions(
            [
                _region(position, row, f"semi_major_{level}", f"semi_minor_{level}")
                for position, row in zip(self.positions, self.table, strict=True)
            ]
        )

    def write(self, filename, overwrite=False):
        """Write table, maps and provenance to a FITS file.

        Parameters
        ----------
        filename : str or path
            File.
        overwrite : bool
            Replace an existing file.

        Raises
        ------
        FileExistsError
            If the file exists and `overwrite` is False.
        ValueError
            If the name is not that of a FITS file.
        """
        path = fits_path(filename)
        primary = primary_hdu(self.meta)
        for key in HEADER_CARDS.keys() & self.meta.keys():
            value = self.meta[key]
            primary.header[HEADER_CARDS[key]] = fits_text(value) if isinstance(value, str) else value
        hdus = [primary, table_hdu(self.table, "CANDIDATES"), provenance_hdu(self.meta)]
        for name, m in self.maps.items():
            hdus += m.to_hdulist(hdu=name, hdu_bands=f"{name}_bands")[1:]
        with new_file(path, overwrite) as temporary:
            write_fits(hdus, temporary)

    @classmethod
    def read(cls, filename, columns=None, energy_range=None):
        """Read a file that `write` or `~gammapy_asid.catalog.write_catalog` made, or any list of sources.

        Parameters
        ----------
        filename : str or path
            File, of other lists FITS, ECSV, CSV or VOTable.
        columns, energy_range
            For other lists, see `from_table`.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is no list of sources.
        """
        filename = regular_file(filename)
        if is_own_file(filename):
            with open_fits(filename) as hdulist:
                return cls._from_hdulist(hdulist)
        return cls.from_table(read_any_table(filename), columns, energy_range)

    @classmethod
    def _from_hdulist(cls, hdulist):
        meta = read_provenance(hdulist)
        if "CATALOG" in hdulist:
            return cls.from_table(candidate_table(read_table(hdulist, "CATALOG")), meta=meta)
        names = [hdu.name.lower() for hdu in hdulist[3:] if not hdu.name.endswith("_BANDS")]
        maps = {name: Map.from_hdulist(hdulist, hdu=name) for name in names}
        return cls(read_table(hdulist, "CANDIDATES"), maps, meta)


def _region(position, row, major, minor):
    """Error ellipse of a row, a point if it has none."""
    meta = {"text": str(row["name"])}
    if not (row[major] > 0 and row[minor] > 0 and np.isfinite(row["pos_angle"])):
        return PointSkyRegion(position, meta=meta)
    # The width of a region points west to east, its angle runs anticlockwise on the sky.
    return EllipseSkyRegion(position, 2 * row[minor], 2 * row[major], row["pos_angle"], meta=meta)
