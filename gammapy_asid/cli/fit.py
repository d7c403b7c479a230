# Licensed under a 3-clause BSD style license - see LICENSE
"""Command that judges candidates with the likelihood: fit."""

import click

from ..utils.files import LIST_SUFFIXES
from .candidates import print_fits
from .command import command
from .common import PICTURES, console, prepare, print_paths, save_plot
from .inputs import (
    files_argument,
    input_file,
    models_option,
    read_datasets,
)
from .options import (
    Number,
    device_option,
    extension_option,
    jobs_option,
    model_option,
    overwrite_option,
    threshold_option,
    width_option,
)

__all__ = ["fit"]


@command(
    examples="""
    gammapy-asid fit field.fits.gz -o fitted.fits                       # search and fits in turn
    gammapy-asid fit field.fits.gz --candidates candidates.fits -o fitted.fits --plot ts.png
    gammapy-asid fit field.fits.gz --candidates known.csv --extension -j 4 -o fitted.ecsv
    """
)
@files_argument
@models_option
@click.option(
    "--candidates",
    "source_file",
    type=input_file,
    help="Candidates to test, or any table of sources. Without them sources are searched and fitted in turn, "
    "until nothing new appears.",
)
@model_option
@threshold_option
@click.option(
    "--ts",
    default=25.0,
    show_default=True,
    type=Number(0),
    help="Test statistic from which a source is significant.",
)
@width_option
@extension_option
@jobs_option
@click.option(
    "--output",
    "-o",
    default="fitted.fits",
    show_default=True,
    help="Candidates with their TS (FITS, ECSV, CSV, REG or YAML).",
)
@click.option("--plot", type=click.Path(dir_okay=False), help="Picture of TS against score.")
@device_option
@overwrite_option
def fit(
    files, models, source_file, model, threshold, ts, width, extension, jobs, output, plot, device, overwrite
):
    """Likelihood fits of candidates in FILES: datasets of one field, FITS or the YAML of several."""
    import astropy.units as u

    from ..catalog.candidates import Candidates
    from ..estimators.detector import DLSourceDetector
    from ..likelihood.gammapy import CandidateFitEstimator
    from ..likelihood.search import IterativeSearch

    suffixes = {"output": LIST_SUFFIXES, "plot": PICTURES}
    paths = prepare({"output": output, "plot": plot}, overwrite, (*files, models, source_file), suffixes)
    listed = None if source_file is None else Candidates.read(source_file)
    fits = CandidateFitEstimator(width=width * u.deg, test_extension=extension, n_jobs=jobs)
    if listed is None:
        detector = DLSourceDetector(model=model, threshold=threshold, device=device)
        search = IterativeSearch(detector, fits=fits, ts_threshold=ts)
    datasets = read_datasets(files, models)
    if listed is None:
        candidates = search.run(datasets)
        for number, counts in enumerate(candidates.meta["search"]["rounds"], start=1):
            console.print(f"round {number}: {counts['new']} new, {counts['significant']} significant")
    else:
        candidates = fits.run(datasets, listed)
    print_fits(candidates, ts)
    candidates.write(paths["output"], overwrite=overwrite)
    if plot is not None:
        save_plot("plot_ts_against_score", paths["plot"], overwrite, candidates, ts=ts)
    print_paths(paths)
