# Licensed under a 3-clause BSD style license - see LICENSE
"""What the commands do with candidates: find, print and write them."""

from rich.markup import escape
from rich.table import Column, Table

from .classify import CLASS_HEADS, classes_row
from .common import console, counted, print_paths, save_plot

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


def print_candidates(candidates, limit=20):
    """Print the first candidates, and what may be expected of all.

    Parameters
    ----------
    candidates : `~gammapy_asid.Candidates`
        Candidates with fluxes.
    limit : int
        Rows that are printed.
    """
    meta = candidates.meta
    expected = (
        "no purity is stated outside the training of the model"
        if meta.get("outside_training")
        else f"expected purity {meta['expected_purity']:.2f}, "
        f"completeness {meta['expected_completeness']:.2f}"
    )
    console.print(
        f"{counted(len(candidates), 'candidate')} with a score of {meta['threshold']:g} and more; {expected}"
    )
    classified = "source_class" in candidates.table.colnames
    # With their errors, or with the classes in their place: more is wider than a terminal
    angles, fluxes = ("glon", "glat", "pos_err_68"), ("flux", "flux_err")
    heads = ("Name", "l (deg)", "b (deg)", "r68", "Score", "Flux", "Error", "Flags")
    if classified:
        angles, fluxes = angles[:2], fluxes[:1]
        heads = ("Name", "l (deg)", "b (deg)", "Score", "Flux", *CLASS_HEADS, "Flags")
    columns = (Column(head, no_wrap=True) for head in heads)
    table = Table(*columns, padding=(0, 0) if classified else (0, 1))
    for row in candidates.table[:limit]:
        numbers = [f"{row[name].value:.3f}" for name in angles]
        flux = [f"{row[name].value:.2e}" for name in fluxes]
        flux += classes_row(row) if classified else []
        table.add_row(escape(row["name"]), *numbers, f"{row['score']:.3f}", *flux, str(row["flags"]))
    console.print(table)
    if len(candidates) > limit:
        console.print(f"... and {len(candidates) - limit} more in the table")


def print_fits(candidates, ts=25.0, limit=20):
    """Print the first fits, and how many are significant.

    Parameters
    ----------
    candidates : `~gammapy_asid.Candidates`
        Candidates with fits.
    ts : float
        Test statistic from which a source is significant.
    limit : int
        Rows that are printed.
    """
    import numpy as np

    table = candidates.table
    if len(table) == 0:
        return
    fitted = np.isfinite(table["fit_flux"])
    significant, all_of_them = (table["ts"] >= ts).sum(), counted(fitted.sum(), "fitted candidate")
    console.print(f"{significant} of {all_of_them} with a TS of {ts:g} and more")
    names = ("Name", "l (deg)", "b (deg)", "Score", "TS", "Flux", "Index", "Flags")
    shown = Table(*(Column(name, no_wrap=True) for name in names), padding=(0, 0))
    for row in table[fitted][:limit]:
        shown.add_row(
            escape(row["name"]),
            *(f"{row[name].value:.3f}" for name in ("glon", "glat")),
            f"{row['score']:.3f}",
            f"{row['ts']:.1f}",
            f"{row['fit_flux'].value:.2e}",
            f"{row['fit_index']:.2f}",
            str(row["flags"]),
        )
    console.print(shown)
    if fitted.sum() > limit:
        console.print(f"... and {fitted.sum() - limit} more in the table")


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
