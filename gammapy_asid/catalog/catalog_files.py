# Licensed under a 3-clause BSD style license - see LICENSE
"""The catalogue in files."""

from ..utils.files import is_fits, regular_file
from ..utils.fits_files import open_fits
from ..utils.fits_tables import read_provenance, read_table
from .candidate_files import read_candidates
from .candidate_tables import checked_table
from .catalog_table import catalog_table

__all__ = ["read_catalog"]


def read_catalog(path):
    """Table with the columns of the catalogue, and provenance, of a file.

    Parameters
    ----------
    path : str or path
        Catalogue or candidates of this package, or any list of sources.

    Returns
    -------
    table : `~astropy.table.QTable`
        One row per source.
    meta : dict
        Provenance.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, or it is no list of sources.
    """
    path = regular_file(path)
    if is_fits(path):
        with open_fits(path) as hdulist:
            if "CATALOG" in hdulist and "PROVENANCE" in hdulist:
                return read_table(hdulist, "CATALOG"), read_provenance(hdulist)
    data = read_candidates(path)
    return catalog_table(data._replace(table=checked_table(data.table))), data.meta
