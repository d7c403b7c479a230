# Licensed under a 3-clause BSD style license - see LICENSE
"""Sources of an image in files."""

import warnings
from typing import NamedTuple

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import QTable
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs import WCS

from ..utils.files import FITS_SUFFIXES, is_fits, new_file, regular_file
from ..utils.fits_files import open_fits, write_fits
from ..utils.fits_tables import primary_hdu, provenance_hdu, read_provenance, read_table, table_hdu
from ..utils.table_files import read_any_table
from .images.keywords import celestial_wcs
from .pixel_masks import MASKS, PixelMasks

__all__ = ["SOURCE_SUFFIXES", "SourceData", "read_sources", "write_masks", "write_sources"]

#: Ends of the names of files of sources.
SOURCE_SUFFIXES = (*FITS_SUFFIXES, ".ecsv", ".csv", ".reg")

# Name of the entry of the provenance in the meta data of a text table.
PROVENANCE = "gammapy_asid"

# Entry of the provenance in a FITS file with the units of the columns.
UNITS = "units"


class SourceData(NamedTuple):
    """What `~gammapy_asid.OpticalSources` is made of; see there."""

    table: QTable
    masks: PixelMasks | None
    wcs: WCS | None
    meta: dict


def write_sources(sources, filename, overwrite=False):
    """Write sources to a file, see `~gammapy_asid.OpticalSources.write`.

    Parameters
    ----------
    sources : `~gammapy_asid.OpticalSources`
        Sources.
    filename : str or path
        File.
    overwrite : bool
        Replace an existing file.
    """
    name = str(filename).lower()
    if not name.endswith(SOURCE_SUFFIXES):
        raise ValueError(f"{filename}: the name must end in {', '.join(SOURCE_SUFFIXES)}")
    with new_file(filename, overwrite) as temporary:
        if name.endswith(".reg"):
            sources.to_regions().write(temporary, format="ds9")
        elif name.endswith(".csv"):
            sources.table.write(temporary, format="ascii.csv")
        elif name.endswith(".ecsv"):
            table = sources.table.copy(copy_data=False)
            table.meta = {PROVENANCE: sources.meta}
            table.write(temporary, format="ascii.ecsv")
        else:
            with warnings.catch_warnings():
                # FITS does not know all units, such as nanomaggies: they stand in the provenance, too
                warnings.filterwarnings("ignore", "The unit .* could not be saved", AstropyUserWarning)
                table = table_hdu(_plain(sources.table), "SOURCES")
            hdus = [primary_hdu(sources.meta), table]
            hdus += [provenance_hdu(sources.meta | {UNITS: _units(sources.table)})]
            if sources.masks is not None:
                hdus.append(masks_hdu(sources.masks, sources.wcs))
            elif sources.wcs is not None:
                hdus.append(
                    fits.ImageHDU(np.zeros((1, 1), np.uint8), sources.wcs.to_header(relax=True), name="WCS")
                )
            write_fits(hdus, temporary)


def _units(table):
    """Units of the columns that have one, as text."""
    units = {name: getattr(table[name], "unit", None) for name in table.colnames}
    return {name: str(unit) for name, unit in units.items() if unit is not None}


def _plain(table):
    """The table without meta data, which a header could not hold."""
    table = table.copy(copy_data=False)
    table.meta = {}
    return table


def masks_hdu(masks, wcs=None):
    """Compressed image of the bits of masks.

    Parameters
    ----------
    masks : `~gammapy_asid.optical.pixel_masks.PixelMasks`
        Masks.
    wcs : `~astropy.wcs.WCS`, optional
        Projection of the image.

    Returns
    -------
    hdu : `~astropy.io.fits.CompImageHDU`
        Image ``MASKS``; its header says what the bits are.
    """
    header = fits.Header() if wcs is None else wcs.to_header(relax=True)
    for bit, name in enumerate(MASKS):
        header[f"BIT{bit}"] = (name, f"pixels with {1 << bit} added")
    return fits.CompImageHDU(masks.bits, header, name="MASKS")


def write_masks(sources, filename, overwrite=False):
    """Write the masks of an image alone, as a compressed FITS image of bits.

    Parameters
    ----------
    sources : `~gammapy_asid.OpticalSources`
        Sources with masks.
    filename : str or path
        FITS file.
    overwrite : bool
        Replace an existing file.
    """
    with new_file(filename, overwrite) as temporary:
        write_fits([primary_hdu(sources.meta), masks_hdu(sources.masks, sources.wcs)], temporary)


def read_sources(filename):
    """Read sources from a file, see `~gammapy_asid.OpticalSources.read`.

    Parameters
    ----------
    filename : str or path
        File.

    Returns
    -------
    data : `SourceData`
        Table, masks, projection and provenance.
    """
    path = regular_file(filename)
    if not is_fits(path):
        table = QTable(read_any_table(path))
        meta = table.meta.get(PROVENANCE, {})
        table.meta = {}
        return SourceData(table, None, None, meta)
    with open_fits(path) as hdulist:
        names = {hdu.name for hdu in hdulist}
        if not {"SOURCES", "PROVENANCE"} <= names:
            raise ValueError(f"{path} holds no sources of an image: read other lists as tables")
        table, meta, masks, wcs = read_table(hdulist, "SOURCES"), read_provenance(hdulist), None, None
        for name, unit in meta.pop(UNITS, {}).items():
            if table[name].unit is None:
                table[name] = u.Quantity(table[name].value, u.Unit(unit))
        if "MASKS" in names:
            masks = PixelMasks(np.array(hdulist["MASKS"].data, np.uint8))
        for name in {"MASKS", "WCS"} & names:
            wcs = celestial_wcs(hdulist[name].header)
        return SourceData(table, masks, wcs, meta)
