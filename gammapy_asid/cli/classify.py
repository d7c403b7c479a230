# Licensed under a 3-clause BSD style license - see LICENSE
"""Command classify, and the options of commands that classify what they find."""

import click
from rich.markup import escape

from ..utils.files import LIST_SUFFIXES, TABLE_SUFFIXES
from ..utils.words import counted
from .columns import flags_column, name_column, number_column
from .command import command
from .common import MODELS, console, prepare, print_paths, write_models
from .inputs import files_argument, models_option, read_datasets, read_sources, sources_option
from .options import device_option, overwrite_option
from .progress import doing
from .tables import ROWS, Shown, print_flags, print_table

__all__ = ["class_columns", "classify", "classify_option", "classify_with", "prior_option"]


class _Prior(click.ParamType):
    """Shares of classes: ``equal``, or a dictionary."""

    name = "shares"

    def convert(self, value, param, ctx):
        if value == "equal" or isinstance(value, dict):
            return value
        shares = {}
        for entry in value.split(","):
            name, _, number = entry.partition("=")
            try:
                shares[name.strip()] = float(number)
            except ValueError:
                self.fail(
                    f"{entry!r} is no share: give equal, or NAME=NUMBER with commas between", param, ctx
                )
        return shares


prior_option = click.option(
    "--prior",
    type=_Prior(),
    help="Shares of the classes in the sky: equal, or numbers as AGN=0.8,PSR=0.15,PWN-SNR=0.05, with FSRQ= "
    "(share among AGN) and real= (share of real candidates) if known; by default those of 4FGL there.",
)
classify_option = click.option(
    "--classify", is_flag=True, help="Tell AGN, pulsars, nebulae and remnants, and fakes from each other."
)


def classify_with(wanted, prior, device):
    """What a detector takes for its `classify`.

    Parameters
    ----------
    wanted : bool
        Whether candidates are classified.
    prior : str, dict or None
        Prior.
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
    return DLSourceClassifier(prior=prior, device=device)


def class_columns(table):
    """Class, its probability, that of an FSRQ, and that to be real, as they are printed.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        Table with the columns of classes.

    Returns
    -------
    columns : list of `~gammapy_asid.cli.tables.Shown`
        Columns.
    """
    from ..display.numbers import fixed

    best = [max(row[name] for name in ("prob_agn", "prob_psr", "prob_pwn_snr")) for row in table]
    fsrq = [fixed(row["prob_fsrq"], 2) if row["source_class"] == "AGN" else "" for row in table]
    return [
        Shown("Class", [str(name) for name in table["source_class"]], is_text=True),
        number_column("Prob.", best, 2),
        Shown("FSRQ", fsrq, dropped=2),
        number_column("Real", table["real_prob"], 2),
    ]


@command(
    examples="""
    gammapy-asid classify years/datasets.yaml --sources candidates.fits -o classified.fits
    gammapy-asid classify field.fits.gz --sources known.csv --prior equal -o classified.ecsv
    """
)
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
    help="The sources with their classes (FITS, ECSV, CSV, REG or YAML).",
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
    from ..catalog.columns import CandidateFlag
    from ..estimators.classes import DLSourceClassifier
    from ..utils.files import new_file
    from ..utils.fits_tables import write_table

    is_models = sources.endswith(MODELS)
    suffixes = {"output": TABLE_SUFFIXES if is_models else LIST_SUFFIXES, "models": MODELS}
    paths = prepare(
        {"output": output, "models": output_models}, overwrite, (*files, sources, models), suffixes
    )
    if is_models and "models" in paths:
        raise ValueError("--output-models is for candidates and tables: models are Gammapy models already")
    classifier = DLSourceClassifier(model=model, prior=prior, device=device)
    listed, datasets = read_sources(sources), read_datasets(files, models)
    with doing("Classifying"):
        result = classifier.run(datasets, listed)
    bins, shares = result.meta["time_bins"], escape(str(result.meta["prior"]))
    time = f"{counted(bins, 'bin')} of time" if bins else "no bins of time"
    console.print(f"Classes with the shares of {shares}, from data with {time}", soft_wrap=True)
    shown = result.table[:ROWS]
    columns = [name_column(shown), *class_columns(shown), flags_column(CandidateFlag, shown["flags"])]
    print_table(columns, len(result) - ROWS)
    print_flags(CandidateFlag, shown["flags"])
    own = listed.with_classes(result) if isinstance(listed, Candidates) else result
    if isinstance(own, Candidates):
        own.write(paths["output"], overwrite=overwrite)
    else:
        with new_file(paths["output"], overwrite) as temporary:
            write_table(own.table, temporary)
    if "models" in paths:
        with new_file(paths["models"], overwrite) as temporary:
            write_models(own.to_models(), temporary)
    print_paths(paths)
