# Licensed under a 3-clause BSD style license - see LICENSE
"""Command extension."""

import click

from ..utils.files import TABLE_SUFFIXES
from .columns import flags_column, name_column, number_column
from .command import command
from .common import MODELS, console, prepare, print_paths, write_models
from .inputs import files_argument, models_option, read_datasets, read_sources, sources_option
from .options import device_option, overwrite_option
from .progress import doing
from .tables import ROWS, Shown, print_flags, print_table

__all__ = ["extension"]


@command(
    examples="""
    gammapy-asid extension field.fits.gz --sources candidates.fits -o extensions.ecsv
    gammapy-asid extension field.fits.gz --sources known.csv --output-models start.yaml
    """
)
@files_argument
@sources_option
@models_option
@click.option("--model", default="cta-extension", show_default=True, help="Model name or weight file.")
@click.option(
    "--output",
    "-o",
    default="extensions.fits",
    show_default=True,
    help="Table of extensions (FITS, ECSV or CSV).",
)
@click.option(
    "--output-models", type=click.Path(dir_okay=False), help="Points and Gaussians as Gammapy models (YAML)."
)
@device_option
@overwrite_option
def extension(files, sources, models, model, output, output_models, device, overwrite):
    """Extended or point-like: sizes of known sources in FILES, datasets of one field."""
    from ..catalog.columns import CandidateFlag
    from ..estimators.extension import DLExtensionClassifier
    from ..utils.files import new_file
    from ..utils.fits_tables import write_table

    suffixes = {"output": TABLE_SUFFIXES, "models": MODELS}
    paths = prepare(
        {"output": output, "models": output_models}, overwrite, (*files, sources, models), suffixes
    )
    classifier = DLExtensionClassifier(model=model, device=device)
    listed, datasets = read_sources(sources), read_datasets(files, models)
    with doing("Classifying"):
        result = classifier.run(datasets, listed)
    edges = ", ".join(f"{edge:g}" for edge in result.meta["edges"])
    console.print(f"Classes of the Gaussian width, with edges at {edges} deg")
    shown = result.table[:ROWS]
    columns = [
        name_column(shown),
        Shown("Class", [str(name) for name in shown["extension_class"]], is_text=True),
        number_column("Prob.", shown["extension_prob"].max(axis=1), 2),
        number_column("Extended", shown["extended_prob"], 2),
        number_column("Width\n(deg)", shown["ext_sigma"], 3),
        number_column("-", shown["ext_sigma_errn"], 3),
        number_column("+", shown["ext_sigma_errp"], 3),
        flags_column(CandidateFlag, shown["flags"]),
    ]
    print_table(columns, len(result) - ROWS)
    print_flags(CandidateFlag, shown["flags"])
    with new_file(paths["output"], overwrite) as temporary:
        write_table(result.table, temporary)
    if "models" in paths:
        with new_file(paths["models"], overwrite) as temporary:
            write_models(result.to_models(), temporary)
    print_paths(paths)
