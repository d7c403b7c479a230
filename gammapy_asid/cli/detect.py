# Licensed under a 3-clause BSD style license - see LICENSE
"""Commands that look at data: detect, flux and demo."""

import click
from rich.markup import escape

from ..utils.files import LIST_SUFFIXES, TABLE_SUFFIXES
from .candidates import PRODUCTS, find_sources, print_candidates, write_products
from .classify import classify_option, classify_with, prior_option
from .columns import asymmetric_columns, flags_column, name_column
from .command import command
from .common import MODELS, PICTURES, REGIONS, console, expanded, prepare, print_paths
from .inputs import (
    files_argument,
    models_option,
    read_datasets,
    read_sources,
    say_known_sky,
    sources_option,
)
from .options import Number, device_option, model_option, overwrite_option, threshold_option
from .progress import doing
from .tables import ROWS, print_flags, print_table

__all__ = ["demo", "detect", "flux"]

SUFFIXES = {"output": LIST_SUFFIXES, "regions": REGIONS, "models": MODELS, "plot": PICTURES}


@command(
    examples="""
    gammapy-asid detect field.fits.gz -o results     # folder: table, regions, models and plot
    gammapy-asid detect front.fits.gz back.fits.gz -o candidates.ecsv --plot field.png
    gammapy-asid detect years/datasets.yaml --classify -o candidates.fits
    """
)
@files_argument
@models_option
@model_option
@threshold_option
@click.option(
    "--output",
    "-o",
    default="candidates.fits",
    show_default=True,
    help="Table (FITS, ECSV, CSV), regions (REG) or models (YAML), or a folder for all and a plot.",
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
    with doing("Looking for sources"):
        candidates = find_sources(detector, datasets)
    say_known_sky(datasets)
    print_candidates(candidates)
    write_products(candidates, paths, overwrite, datasets)


@command(
    examples="""
    gammapy-asid flux field.fits.gz --sources candidates.fits --e-min 1 --e-max 100 -o fluxes.ecsv
    gammapy-asid flux field.fits.gz --sources known.csv -o fluxes.fits
    """
)
@files_argument
@sources_option
@models_option
@model_option
@click.option(
    "--e-min", type=Number(above=0), help="Lower end of the energy range, GeV; by default of the data."
)
@click.option(
    "--e-max", type=Number(above=0), help="Upper end of the energy range, GeV; by default of the data."
)
@click.option(
    "--output", "-o", default="fluxes.fits", show_default=True, help="Table of fluxes (FITS, ECSV or CSV)."
)
@device_option
@overwrite_option
def flux(files, sources, models, model, e_min, e_max, output, device, overwrite):
    """Fluxes of known sources in FILES: datasets of one field, FITS or the YAML of several."""
    import astropy.units as u

    from ..catalog.columns import CandidateFlag
    from ..estimators.flux import DLFluxEstimator
    from ..utils.files import new_file
    from ..utils.fits_tables import write_table

    paths = prepare({"output": output}, overwrite, (*files, sources, models), {"output": TABLE_SUFFIXES})
    e_min, e_max = (None if e is None else e * u.GeV for e in (e_min, e_max))
    estimator = DLFluxEstimator(model=model, e_min=e_min, e_max=e_max, device=device)
    listed, datasets = read_sources(sources), read_datasets(files, models)
    with doing("Estimating fluxes"):
        result = estimator.run(datasets, listed)
    say_known_sky(datasets)
    shown = result.table[:ROWS]
    columns = [
        name_column(shown),
        *asymmetric_columns(shown, "flux", result.meta["energy_range"]),
        flags_column(CandidateFlag, shown["flags"]),
    ]
    print_table(columns, len(result) - ROWS)
    print_flags(CandidateFlag, shown["flags"])
    with new_file(paths["output"], overwrite) as temporary:
        write_table(result.table, temporary)
    print_paths(paths)


@command(
    examples="""
    gammapy-asid demo
    gammapy-asid demo -o first --threshold 0.8
    """
)
@click.option("--output", "-o", default="asid-demo", show_default=True, help="Folder of the results.")
@model_option
@threshold_option
@device_option
@overwrite_option
def demo(output, model, threshold, device, overwrite):
    """Find sources in the Galactic centre ($GAMMAPY_DATA) or, without data, in a simulated field."""
    from ..estimators.detector import DLSourceDetector
    from ..simulation.demo import demo_field

    wanted = {key: expanded(output) / name for key, name in PRODUCTS.items()}
    # Its own results are the same again
    overwrite = overwrite or _is_demo(wanted["output"])
    paths = prepare(wanted, overwrite)
    detector = DLSourceDetector(model=model, threshold=threshold, device=device)
    with doing("Preparing the field"):
        field = demo_field()
    console.print(f"[bold]{escape(field.title)}[/]")
    with doing("Looking for sources"):
        candidates = find_sources(detector, field.dataset)
    candidates.meta["demo"] = field.title
    print_candidates(candidates)
    found = 0
    if len(candidates) and len(field.known):
        found = int((field.known.match_to_catalog_sky(candidates.positions)[1].deg < 0.3).sum())
    console.print(f"{found} of {len(field.known)} {field.known_as} have a candidate within 0.3 deg.")
    write_products(candidates, paths, overwrite, field.dataset, field.known)


def _is_demo(path):
    """Whether a file holds the candidates of a demo."""
    from ..catalog.candidates import Candidates

    try:
        return "demo" in Candidates.read(path).meta
    except (ValueError, OSError):
        return False
