# Licensed under a 3-clause BSD style license - see LICENSE
"""Command classify, and the options of commands that classify what they find."""

import click
from rich.markup import escape
from rich.table import Column, Table

from ..utils.files import FITS_SUFFIXES, TABLE_SUFFIXES
from .common import MODELS, console, device_option, overwrite_option, prepare, print_paths, write_models
from .inputs import files_argument, models_option, read_datasets, read_sources, sources_option

__all__ = ["CLASS_HEADS", "classes_row", "classify", "classify_option", "classify_with", "prior_option"]

prior_option = click.option(
    "--prior",
    help="Shares of the classes in the sky: equal, or numbers as AGN=0.8,PSR=0.15,PWN-SNR=0.05, with FSRQ= "
    "(share among AGN) and real= (share of real candidates) if known; by default those of 4FGL there.",
)
classify_option = click.option(
    "--classify", is_flag=True, help="Tell AGN, pulsars, nebulae and remnants, and fakes from each other."
)


#: Heads of the cells of `classes_row`.
CLASS_HEADS = ("Class", "Prob.", "FSRQ", "Real")


def classify_with(wanted, prior, device):
    """What a detector takes for its `classify`.

    Parameters
    ----------
    wanted : bool
        Whether candidates are classified.
    prior : str or None
        Prior as it was given.
    device : str or None
        Where networks run.

    Returns
    -------
    classify : bool or `~gammapy_asid.DLSourceClassifier`
        False if not.

    Raises
    ------
    ValueError
        If the prior is none, or there is one and nothing to classify.
    """
    from ..estimators.classes import DLSourceClassifier

    if not wanted:
        if prior is not None:
            raise ValueError("--prior is for the classes: add --classify")
        return False
    return DLSourceClassifier(prior=_prior(prior), device=device)


def _prior(text):
    """Prior of its text."""
    if text is None or "=" not in text:
        return text
    shares = {}
    for entry in text.split(","):
        name, _, value = entry.partition("=")
        try:
            shares[name.strip()] = float(value)
        except ValueError:
            raise ValueError(f"--prior {text}: {entry!r} is no share, give NAME=NUMBER") from None
    return shares


def classes_row(row):
    """Class, its probability, that of an FSRQ, and that to be real, as they are printed.

    Parameters
    ----------
    row : `~astropy.table.Row`
        Row with the columns of classes.

    Returns
    -------
    cells : list of str
        Four cells.
    """
    best = max(row[name] for name in ("prob_agn", "prob_psr", "prob_pwn_snr"))
    fsrq = f"{row['prob_fsrq']:.2f}" if row["source_class"] == "AGN" else ""
    return [row["source_class"], f"{best:.2f}", fsrq, f"{row['real_prob']:.2f}"]


@click.command()
@files_argument
@sources_option
@models_option
@click.option("--model", default="lat-classes", show_default=True, help="Model name or weight file.")
@prior_option
@click.option(
    "--output",
    "-o",
    default="classified.fits",
    show_default=True,
    help="The sources with their classes (FITS or ECSV).",
)
@click.option(
    "--output-models",
    type=click.Path(dir_okay=False),
    help="Gammapy models (YAML) with spectra of their classes.",
)
@device_option
@overwrite_option
def classify(files, sources, models, model, prior, output, output_models, device, overwrite):
    """Classes of sources in FILES: datasets of one field, FITS or the YAML of several, as bins of time."""
    from ..catalog.candidates import Candidates
    from ..estimators.classes import DLSourceClassifier
    from ..utils.files import new_file
    from ..utils.fits_tables import write_table

    suffixes = {"output": TABLE_SUFFIXES, "models": MODELS}
    paths = prepare(
        {"output": output, "models": output_models}, overwrite, (*files, sources, models), suffixes
    )
    classifier = DLSourceClassifier(model=model, prior=_prior(prior), device=device)
    listed, datasets = read_sources(sources), read_datasets(files, models)
    if not isinstance(listed, Candidates) and "models" in paths:
        raise ValueError("--output-models is for candidates and tables: models are Gammapy models already")
    with console.status("Classifying"):
        result = classifier.run(datasets, listed)
    table = Table(Column("Name", no_wrap=True), *CLASS_HEADS, "Flags")
    for row in result.table[:20]:
        table.add_row(escape(row["name"]), *classes_row(row), str(row["flags"]))
    bins, shares = result.meta["time_bins"], escape(str(result.meta["prior"]))
    time = f"{bins} bins of time" if bins else "no bins of time"
    console.print(f"Classes with the shares of {shares}, from data with {time}")
    console.print(table)
    if len(result) > 20:
        console.print(f"... and {len(result) - 20} more in the table")
    own = listed.with_classes(result) if isinstance(listed, Candidates) else result
    if isinstance(own, Candidates) and paths["output"].name.lower().endswith(FITS_SUFFIXES):
        own.write(paths["output"], overwrite=overwrite)
    else:
        with new_file(paths["output"], overwrite) as temporary:
            write_table(own.table, temporary)
    if "models" in paths:
        with new_file(paths["models"], overwrite) as temporary:
            write_models(own.to_models(), temporary)
    print_paths(paths)
