# Licensed under a 3-clause BSD style license - see LICENSE
"""Candidates as a table with the columns of 4FGL, and back."""

import astropy.units as u
import numpy as np
from astropy.table import QTable

from ..utils.files import new_file
from ..utils.fits_files import write_fits
from ..utils.fits_tables import fits_path, primary_hdu, provenance_hdu, table_hdu

__all__ = ["candidate_table", "catalog_table", "write_catalog"]

#: Columns of the catalogue and those of candidates that they hold. Names are those of 4FGL where the
#: meaning is the same.
NAMES = {
    "Source_Name": "name",
    "RAJ2000": "ra",
    "DEJ2000": "dec",
    "GLON": "glon",
    "GLAT": "glat",
    "Conf_68_SemiMajor": "semi_major_68",
    "Conf_68_SemiMinor": "semi_minor_68",
    "Conf_68_PosAng": "pos_angle",
    "Conf_95_SemiMajor": "semi_major_95",
    "Conf_95_SemiMinor": "semi_minor_95",
    "Conf_95_PosAng": "pos_angle",
    "Score": "score",
    "E_Min": "e_min",
    "E_Max": "e_max",
    "Flux": "flux",
    "Unc_Flux": "flux_err",
    "Unc_Flux_Low": "flux_errn",
    "Unc_Flux_High": "flux_errp",
    "UL_Flux": "flux_ul",
    "Flux_Band": "flux_band",
    "Unc_Flux_Band_Low": "flux_band_errn",
    "Unc_Flux_Band_High": "flux_band_errp",
    "UL_Flux_Band": "flux_band_ul",
    "Source_Class": "source_class",
    "Prob_AGN": "prob_agn",
    "Prob_PSR": "prob_psr",
    "Prob_PWN_SNR": "prob_pwn_snr",
    "Prob_FSRQ": "prob_fsrq",
    "Real_Prob": "real_prob",
    "TS": "ts",
    "Sqrt_TS": "sqrt_ts",
    "TS_Ext": "ts_ext",
    "Fit_RAJ2000": "fit_ra",
    "Fit_DEJ2000": "fit_dec",
    "Fit_68_SemiMajor": "fit_semi_major_68",
    "Fit_68_SemiMinor": "fit_semi_minor_68",
    "Fit_68_PosAng": "fit_pos_angle",
    "Fit_Sigma": "fit_sigma",
    "Unc_Fit_Sigma": "fit_sigma_err",
    "Fit_E_Min": "fit_e_min",
    "Fit_E_Max": "fit_e_max",
    "Fit_Flux": "fit_flux",
    "Unc_Fit_Flux": "fit_flux_err",
    "SpectrumType": "fit_spectrum",
    "Pivot_Energy": "fit_e_ref",
    "Index": "fit_index",
    "Unc_Index": "fit_index_err",
    "LP_beta": "fit_beta",
    "Unc_LP_beta": "fit_beta_err",
    "ASSOC_CAT": "assoc_catalog",
    "ASSOC1": "assoc_name",
    "ASSOC_SEP": "assoc_sep",
    "ASSOC_PROB_BAY": "assoc_prob",
    "Flags": "flags",
}

#: Units of 4FGL that differ from those of candidates.
UNITS = {"Pivot_Energy": "MeV"}

#: Names of spectra in 4FGL.
SPECTRA = {"pl": "PowerLaw", "lp": "LogParabola", "plec": "PLSuperExpCutoff", "": ""}


def catalog_table(candidates):
    """Candidates as a table with the columns of `NAMES`, as far as they have them.

    Parameters
    ----------
    candidates : `~gammapy_asid.Candidates`
        Candidates.

    Returns
    -------
    table : `~astropy.table.QTable`
        One row per source. A flux from 1 to 100 GeV is called ``Flux1000``, as in 4FGL.
    """
    own = candidates.table
    table = QTable()
    for name, source in NAMES.items():
        if source in own.colnames:
            table[name] = own[source]
            table[name].info.description = own[source].info.description
            if name in UNITS:
                table[name] = table[name].to(UNITS[name])
    if "SpectrumType" in table.colnames:
        table["SpectrumType"] = np.array([SPECTRA[kind] for kind in own["fit_spectrum"]], dtype=str)
    if len(table) and np.all((table["E_Min"] == 1 * u.GeV) & (table["E_Max"] == 100 * u.GeV)):
        table.rename_columns(["Flux", "Unc_Flux"], ["Flux1000", "Unc_Flux1000"])
    bands = candidates.meta.get("flux", {}).get("bands")
    if bands is not None:
        table.meta["band_edges_gev"] = bands
    return table


def candidate_table(table):
    """Table that `catalog_table` made, with the columns of candidates.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        Table of a catalogue.

    Returns
    -------
    table : `~astropy.table.QTable`
        One row per source.
    """
    own = QTable()
    for name, source in NAMES.items():
        name = (
            {"Flux": "Flux1000", "Unc_Flux": "Unc_Flux1000"}.get(name, name)
            if "Flux1000" in table.colnames
            else name
        )
        if name in table.colnames:
            own[source] = table[name]
    if "fit_spectrum" in own.colnames:
        kinds = {name: kind for kind, name in SPECTRA.items()}
        own["fit_spectrum"] = np.array([kinds[str(name).strip()] for name in own["fit_spectrum"]], dtype=str)
    for level in ("68", "95"):
        own[f"pos_err_{level}"] = np.sqrt(own[f"semi_major_{level}"] * own[f"semi_minor_{level}"])
    return own


def write_catalog(candidates, filename, overwrite=False):
    """Write the catalogue of candidates to a FITS file.

    Parameters
    ----------
    candidates : `~gammapy_asid.Candidates`
        Candidates.
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
    table = catalog_table(candidates)
    table.meta.clear()
    hdus = [primary_hdu(candidates.meta), table_hdu(table, "CATALOG"), provenance_hdu(candidates.meta)]
    with new_file(path, overwrite) as temporary:
        write_fits(hdus, temporary)
