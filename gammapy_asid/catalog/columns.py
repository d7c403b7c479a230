# Licensed under a 3-clause BSD style license - see LICENSE
"""Columns of the table of candidates, and bits of their flags."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.table import QTable

from ..display.flags import DescribedFlag
from ..utils.table_columns import column_text, plain_values

__all__ = [
    "ASSOCIATION_COLUMNS",
    "BAND_COLUMNS",
    "CLASSES",
    "CLASS_COLUMNS",
    "COLUMNS",
    "CandidateFlag",
    "Column",
    "EXTENSION_COLUMNS",
    "FIT_COLUMNS",
    "FLAGS_OF_COLUMNS",
    "FLUX_COLUMNS",
    "fit_columns",
]


class CandidateFlag(DescribedFlag):
    """Bits of the column ``flags``: ``CandidateFlag.words(flags)`` are those that are set, in words."""

    NEAR_EDGE = 1, "nearer to the edge of the valid data than the match radius of the model"
    NEAR_BRIGHTER = 2, "a candidate of higher score lies within twice the 68 % PSF radius of the best band"
    OUTSIDE = 4, "no flux: the position is outside the valid data", True
    DUPLICATE = 8, "another position of the list is nearer than half a pixel: they share their flux"
    FIT_FAILED = 16, "the likelihood fit did not converge", True
    STRONG_DIFFUSE = 32, "the known diffuse emission outshines the source within its 68 % PSF radius"
    EMISSION_SENSITIVE = 64, "not found again where the known sky is brighter or fainter"
    UNTRAINED = 128, "instrument or sky lie outside the range that the model was trained for", True
    COARSE_BINS = 256, "energy bins too few or too wide for the model: the flux may be far too low", True
    CLASS_OUTSIDE = 512, "outside what the classifier of source classes was trained for", True


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

        Parameters
        ----------
        values : array-like
            Values.

        Returns
        -------
        values : `~numpy.ndarray` or `~astropy.units.Quantity`
            The same in type and unit.

        Raises
        ------
        ValueError
            If they have another unit, or are no numbers.
        """
        if self.dtype.startswith("U"):
            values = column_text(values)
            return values.astype(max(values.dtype, np.dtype(self.dtype)))
        if not self.dtype.startswith("f"):
            # No bit is known to be set where it is missing
            return np.ma.filled(np.ma.asarray(values).astype(self.dtype), 0)
        values = plain_values(values, f"Column {self.name!r}", self.unit or "").astype(self.dtype)
        return values if self.unit is None else u.Quantity(values, self.unit, copy=False)


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

#: Classes of sources, in the order of their probabilities: active galaxies, pulsars, and pulsar wind nebulae
#: with supernova remnants (the classes ``pwn``, ``snr`` and ``spp`` of 4FGL).
CLASSES = ("AGN", "PSR", "PWN-SNR")

#: Columns that `Candidates.with_classes` fills; empty and NaN for sources outside the valid data. Those of
#: the classes hold for a source that is real, whatever ``real_prob`` is, and add up to one.
CLASS_COLUMNS = (
    Column(
        "source_class", "U7", "Most probable class if it is real: AGN, PSR or PWN-SNR; empty without data"
    ),
    Column("prob_agn", "f8", "Probability to be an active galaxy, if it is real"),
    Column("prob_psr", "f8", "Probability to be a pulsar, if it is real"),
    Column("prob_pwn_snr", "f8", "Probability to be a pulsar wind nebula or a remnant, if it is real"),
    Column("prob_fsrq", "f8", "Probability to be an FSRQ rather than a BL Lac, if it is an active galaxy"),
    Column("real_prob", "f8", "Probability to be a real source, by the classifier"),
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
    Column("fit_spectrum", "U12", "Fitted spectrum: pl, lp or plec (power law, log-parabola, pulsar)"),
    Column("fit_e_ref", "f8", "Reference energy of the spectrum", "GeV"),
    Column("fit_index", "f8", "Photon index, of a curved spectrum at fit_e_ref"),
    Column("fit_index_err", "f8", "Error of fit_index"),
    Column("fit_beta", "f8", "Half the growth of the index with ln E at fit_e_ref; beta of a log-parabola"),
    Column("fit_beta_err", "f8", "Error of fit_beta"),
)

#: Columns that `gammapy_asid.catalog.association.associate` adds.
ASSOCIATION_COLUMNS = (
    Column("assoc_catalog", "U24", "Catalogue of the most probable counterpart; empty without one"),
    Column("assoc_name", "U32", "Name of that counterpart, or names of those at one place"),
    Column("assoc_sep", "f8", "Distance to it", "deg"),
    Column("assoc_prob", "f8", "Posterior probability of the association"),
)

#: Flags that say of a column how it was made, so that they go where it is made anew.
FLAGS_OF_COLUMNS = {
    "flux": CandidateFlag.DUPLICATE | CandidateFlag.STRONG_DIFFUSE | CandidateFlag.COARSE_BINS,
    "source_class": CandidateFlag.CLASS_OUTSIDE,
    "fit_flux": CandidateFlag.FIT_FAILED,
}

# Columns that a table has as a group or not at all.
GROUPS = (BAND_COLUMNS, EXTENSION_COLUMNS, CLASS_COLUMNS, FIT_COLUMNS, ASSOCIATION_COLUMNS)


def fit_columns(rows):
    """`FIT_COLUMNS` of fits, empty or NaN where one has no value.

    Parameters
    ----------
    rows : list of dict
        Values of each fit by the names of the columns, in their units.

    Returns
    -------
    columns : `~astropy.table.QTable`
        Columns.
    """
    table = QTable()
    for column in FIT_COLUMNS:
        empty = "" if column.dtype.startswith("U") else np.nan
        values = [row.get(column.name, empty) for row in rows]
        table[column.name] = column.convert(np.array(values, dtype=column.dtype))
    return table
