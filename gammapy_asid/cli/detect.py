# Licensed under a 3-clause BSD style license - see LICENSE
"""Commands that look at data: detect, flux and demo."""

import click
from rich.markup import escape
from rich.table import Column, Table

from ..utils.files import FITS_SUFFIXES, TABLE_SUFFIXES
from .candidates import PRODUCTS, find_sources, print_candidates, write_products
from .classify import classify_option, classify_with, prior_option
from .common import (
    MODELS,
    PICTURES,
    console,
    device_option,
    expanded,
    model_option,
    overwrite_option,
    prepare,
    print_paths,
    threshold_option,
)
from .inputs import (
    files_argument,
    models_option,
    read_datasets,
    read_sources,
    say_known_sky,
    sources_option,
)

__all__ = ["demo", "detect", "flux"]

SUFFIXES = {"output": FITS_SUFFIXES, "models": MODELS, "plot": PICTURES}


@click.command()
@files_argument
@models_option
@model_option
@threshold_option
@click.option(
    "--output",
    "-o",
    default="candidates.fits",
    show_default=True,
    help="FITS table, or a folder for table, regions, models and plot together.",
)
@click.option("--regions", type=click.Path(dir_okay=False), help="DS9 region file of the error ellipses.")
@click.option("--output-models", type=click.Path(dir_okay=False), help="Candidates as Gammapy models (YAML).")
@click.option("--plot", type=click.Path(dir_okay=False), help="Picture of the field.")
@classify_option
@prior_option
@device_option
@overwrite_option
def detect(
    files,
    models,
    model,
    threshold,
    output,
    regions,
    output_models,
    plot,
    classify,
    prior,
    device,
    overwrite,
):
    """Find the sources in FILES: datasets of one field, FITS or the YAML of several."""
    from ..estimators.detector import DLSourceDetector

    paths = {"output": output, "regions": regions, "models": output_models, "plot": plot}
    folder = expanded(output)
    # The end of run.1 is none
    if folder.is_dir() or not any(letter.isalpha() for letter in folder.suffix):
        paths = {key: paths[key] or folder / name for key, name in PRODUCTS.items()} | {
            "output": folder / PRODUCTS["output"]
        }
    paths = prepare(paths, overwrite, (*files, models), SUFFIXES)
    own = classify_with(classify, prior, device)
    detector = DLSourceDetector(model=model, threshold=threshold, classify=own, device=device)
    datasets = read_datasets(files, models)
    with console.status("Looking for sources"):
        candidates = find_sources(detector, datasets)
    say_known_sky(datasets)
    print_candidates(candidates)
    write_products(candidates, paths, overwrite, datasets)


@click.command()
@files_argument
@sources_option
@models_option
@model_option
@click.option("--e-min", type=float, help="Lower end of the energy range, GeV; by default of the data.")
@click.option("--e-max", type=float, help="Upper end of the energy range, GeV; by default of the data.")
@click.option(
    "--output", "-o", default="fluxes.fits", show_default=True, help="Table of fluxes (FITS or ECSV)."
)
@device_option
@overwrite_option
def flux(files, sources, models, model, e_min, e_max, output, device, overwrite):
    """Fluxes of known sources in FILES: datasets of one field, FITS or the YAML of several."""
    import astropy.units as u

    from ..estimators.flux import DLFluxEstimator
    from ..utils.files import new_file
    from ..utils.fits_tables import write_table

    paths = prepare({"output": output}, overwrite, (*files, sources, models), {"output": TABLE_SUFFIXES})
    listed, datasets = read_sources(sources), read_datasets(files, models)
    e_min, e_max = (None if e is None else e * u.GeV for e in (e_min, e_max))
    with console.status("Estimating fluxes"):
        result = DLFluxEstimator(model=model, e_min=e_min, e_max=e_max, device=device).run(datasets, listed)
    say_known_sky(datasets)
    low, high = result.meta["energy_range"]
    table = Table(Column("Name", no_wrap=True), "Flux", "-", "+", "Upper limit", "Flags")
    for row in result.table[:20]:
        numbers = [f"{row[name].value:.3g}" for name in ("flux", "flux_errn", "flux_errp", "flux_ul")]
        table.add_row(escape(row["name"]), *numbers, str(row["flags"]))
    console.print(f"Photon fluxes {low:g}-{high:g} GeV in cm-2 s-1")
    console.print(table)
    if len(result) > 20:
        console.print(f"... and {len(result) - 20} more in the table")
    with new_file(paths["output"], overwrite) as temporary:
        write_table(result.table, temporary)
    print_paths(paths)


@click.command()
@click.option("--output", "-o", default="asid-demo", show_default=True, help="Folder of the results.")
@model_option
@threshold_option
@device_option
@overwrite_option
def demo(output, model, threshold, device, overwrite):
    """Find sources in the Galactic centre ($GAMMAPY_DATA) or, without data, in a simulated field."""
    from ..estimators.detector import DLSourceDetector
    from ..simulation.demo import demo_field

    paths = prepare({key: expanded(output) / name for key, name in PRODUCTS.items()}, overwrite)
    detector = DLSourceDetector(model=model, threshold=threshold, device=device)
    with console.status("Preparing the field"):
        field = demo_field()
    console.print(f"[bold]{field.title}[/]")
    with console.status("Looking for sources"):
        candidates = find_sources(detector, field.dataset)
    print_candidates(candidates)
    found = 0
    if len(candidates) and len(field.known):
        found = int((field.known.match_to_catalog_sky(candidates.positions)[1].deg < 0.3).sum())
    console.print(f"{found} of {len(field.known)} {field.known_as} have a candidate within 0.3 deg.")
    write_products(candidates, paths, overwrite, field.dataset, field.known)
