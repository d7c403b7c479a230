# Licensed under a 3-clause BSD style license - see LICENSE
"""What the commands do with candidates: find, print and write them."""

from ..utils.words import counted
from .classify import class_columns
from .columns import energies, error_column, flags_column, flux_column, number_column, place_columns
from .common import console, print_paths, save_plot
from .tables import ROWS, print_flags, print_table

__all__ = ["PRODUCTS", "find_sources", "print_candidates", "print_fits", "write_products"]

#: Files that a folder of results holds.
PRODUCTS = {
    "output": "candidates.fits",
    "regions": "candidates.reg",
    "models": "candidates.yaml",
    "plot": "candidates.png",
}


def find_sources(detector, datasets):
    """Candidates with their fluxes.

    Parameters
    ----------
    detector : `~gammapy_asid.DLSourceDetector`
        Detector.
    datasets : `~gammapy.datasets.Datasets`
        Data of one field.

    Returns
    -------
    candidates : `~gammapy_asid.Candidates`
        Candidates.
    """
    from ..estimators.find import find_with_fluxes
    from ..estimators.flux import DLFluxEstimator

    return find_with_fluxes(detector, DLFluxEstimator(model=detector.model, device=detector.device), datasets)


def print_candidates(candidates):
    """Print the first candidates, and what may be expected of all.

    Parameters
    ----------
    candidates : `~gammapy_asid.Candidates`
        Candidates with fluxes.
    """
    from ..catalog.columns import CandidateFlag

    meta = candidates.meta
    console.print(f"{counted(len(candidates), 'candidate')} with a score of {meta['threshold']:g} and more")
    if meta.get("outside_training"):
        console.print("No purity is stated outside the training of the model", soft_wrap=True)
    else:
        purity, completeness = meta["expected_purity"], meta["expected_completeness"]
        console.print(f"Expected purity {purity:.2f}, completeness {completeness:.2f}", soft_wrap=True)
    if len(candidates) == 0:
        return
    table = candidates.table[:ROWS]
    columns = [
        *place_columns(table),
        number_column("r68\n(deg)", table["pos_err_68"], 3, dropped=4),
        number_column("Score", table["score"], 3, dropped=3),
        flux_column(table, "flux", "flux_err", *energies(candidates.table, "e_min", "e_max")),
    ]
    if "source_class" in table.colnames:
        columns += class_columns(table)
    print_table([*columns, flags_column(CandidateFlag, table["flags"])], len(candidates) - ROWS)
    print_flags(CandidateFlag, table["flags"])


def print_fits(candidates, ts=25.0):
    """Print the first fits, and how many are significant.

    Parameters
    ----------
    candidates : `~gammapy_asid.Candidates`
        Candidates with fits.
    ts : float
        Test statistic from which a source is significant.
    """
    import numpy as np

    from ..catalog.columns import CandidateFlag

    table = candidates.table
    if len(table) == 0:
        return
    table = table[np.isfinite(table["fit_flux"])]
    significant, all_of_them = (table["ts"] >= ts).sum(), counted(len(table), "fitted candidate")
    console.print(f"{significant} of {all_of_them} with a TS of {ts:g} and more")
    shown = table[:ROWS]
    if len(shown) == 0:
        return
    columns = [
        *place_columns(shown),
        number_column("Score", shown["score"], 3, dropped=3),
        number_column("TS", shown["ts"], 1),
        flux_column(shown, "fit_flux", "fit_flux_err", *energies(table, "fit_e_min", "fit_e_max")),
        error_column("Index", shown["fit_index"], shown["fit_index_err"], dropped=2),
        flags_column(CandidateFlag, shown["flags"]),
    ]
    print_table(columns, len(table) - ROWS)
    print_flags(CandidateFlag, shown["flags"])


def write_products(candidates, paths, overwrite, dataset, known=None):
    """Write candidates as those of the `PRODUCTS` that are wanted.

    Parameters
    ----------
    candidates : `~gammapy_asid.Candidates`
        Candidates.
    paths : dict of `~pathlib.Path`
        Paths by what they are, as `prepare` returns them.
    overwrite : bool
        Whether existing files may be replaced.
    dataset : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
        Data that the plot shows.
    known : `~astropy.coordinates.SkyCoord`, optional
        Known sources that the plot shows.
    """
    for name in ("output", "regions", "models"):
        if name in paths:
            candidates.write(paths[name], overwrite=overwrite)
    if "plot" in paths:
        save_plot("plot_field", paths["plot"], overwrite, candidates, dataset, catalog=known)
    print_paths(paths)
