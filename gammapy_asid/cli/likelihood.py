# Licensed under a 3-clause BSD style license - see LICENSE
"""Commands that judge candidates with the likelihood: fit and catalog."""

from importlib.util import find_spec
from pathlib import Path

import click
from rich.markup import escape

from ..utils.files import FITS_SUFFIXES
from .candidates import print_fits
from .classify import classify_option, classify_with, prior_option
from .common import (
    PICTURES,
    console,
    device_option,
    expanded,
    model_option,
    overwrite_option,
    prepare,
    print_paths,
    save_plot,
    threshold_option,
)
from .inputs import files_argument, input_file, models_option, read_datasets, say_known_sky

__all__ = ["catalog", "fit"]

jobs_option = click.option(
    "--jobs", "-j", default=1, show_default=True, type=click.IntRange(min=1), help="Number of processes."
)
width_option = click.option(
    "--width", default=4.0, show_default=True, help="Side of the region of each fit, deg."
)
extension_option = click.option("--extension", is_flag=True, help="Test each candidate for extension too.")


@click.command()
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
    "--ts", default=25.0, show_default=True, help="Test statistic from which a source is significant."
)
@width_option
@extension_option
@jobs_option
@click.option(
    "--output", "-o", default="fitted.fits", show_default=True, help="Candidates with their TS (FITS)."
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

    suffixes = {"output": FITS_SUFFIXES, "plot": PICTURES}
    paths = prepare({"output": output, "plot": plot}, overwrite, (*files, models, source_file), suffixes)
    listed = None if source_file is None else Candidates.read(source_file)
    datasets = read_datasets(files, models)
    fits = CandidateFitEstimator(width=width * u.deg, test_extension=extension, n_jobs=jobs)
    if listed is None:
        detector = DLSourceDetector(model=model, threshold=threshold, device=device)
        candidates = IterativeSearch(detector, fits=fits, ts_threshold=ts).run(datasets)
        for number, counts in enumerate(candidates.meta["search"]["rounds"], start=1):
            console.print(f"round {number}: {counts['new']} new, {counts['significant']} significant")
    else:
        candidates = fits.run(datasets, listed)
    print_fits(candidates, ts)
    candidates.write(paths["output"], overwrite=overwrite)
    if plot is not None:
        save_plot("plot_ts_against_score", paths["plot"], overwrite, candidates, ts=ts)
    print_paths(paths)


@click.command()
@click.argument("files", nargs=-1, type=input_file)
@models_option
@click.option(
    "--counts",
    type=input_file,
    help="Counts cube, or events with --energy-range.",
)
@click.option("--exposure", type=input_file, help="Exposure (gtexpcube2).")
@click.option("--psf", type=input_file, help="Point spread function (gtpsf).")
@click.option("--emission", type=input_file, help="Interstellar emission.")
@click.option("--isotropic", type=input_file, help="Isotropic spectrum (text).")
@click.option("--frame", type=click.Choice(["galactic", "icrs"]), help="Frame of HEALPix maps without one.")
@click.option("--energy-range", nargs=2, type=float, help="Lowest and highest energy of events, GeV.")
@model_option
@threshold_option
@click.option(
    "--emission-error", type=float, help="Flag what is lost where the known sky errs by this share."
)
@click.option("--fit/--no-fit", "with_fits", default=True, show_default=True, help="Likelihood fits.")
@click.option("--fit-above", default=0.0, help="Score from which candidates are fitted; by default all are.")
@width_option
@extension_option
@click.option(
    "--associate",
    "counterparts",
    multiple=True,
    metavar="NAME=FILE",
    help="Catalogue to associate with, the one to prefer first; may be given several times. "
    "By default 4FGL-DR4 where fermipy is installed.",
)
@classify_option
@prior_option
@click.option(
    "--folder", type=click.Path(file_okay=False), help="Keeps what is done: an interrupted run goes on there."
)
@jobs_option
@click.option("--output", "-o", default="catalog.fits", show_default=True, help="Catalogue (FITS).")
@device_option
@overwrite_option
def catalog(
    files,
    models,
    counts,
    exposure,
    psf,
    emission,
    isotropic,
    frame,
    energy_range,
    model,
    threshold,
    emission_error,
    with_fits,
    fit_above,
    width,
    extension,
    counterparts,
    classify,
    prior,
    folder,
    jobs,
    output,
    device,
    overwrite,
):
    """Make a catalogue of FILES, Gammapy datasets, or of the maps of the Fermi tools.

    Sources are found and measured on tiles of the sky, fitted, and associated with known ones.
    """
    from ..catalog.catalog_table import write_catalog
    from ..estimators.detector import DLSourceDetector
    from ..survey.survey import DLSkySurvey

    maps = {"counts": counts, "exposure": exposure, "psf": psf}
    paths = prepare(
        {"output": output},
        overwrite,
        inputs=(*files, models, *maps.values(), emission, isotropic),
        suffixes={"output": FITS_SUFFIXES},
    )
    _check_maps(files, maps)
    known = _catalogs(counterparts)
    if files:
        datasets = read_datasets(files, models)
    else:
        datasets = _read_maps(maps, emission, isotropic, frame, energy_range)
    own = classify_with(classify, prior, device)
    detector = DLSourceDetector(model, threshold, emission_error=emission_error, classify=own, device=device)
    folders = {name: None if folder is None else expanded(folder) / name for name in ("survey", "fits")}
    candidates = DLSkySurvey(detector, folder=folders["survey"], n_jobs=jobs).run(datasets)
    say_known_sky(datasets)
    console.print(f"{len(candidates)} candidates with a score of {threshold:g} and more")
    if with_fits:
        candidates = _fitted(datasets, candidates, width, extension, folders["fits"], jobs, fit_above)
    if known:
        candidates = _associated(candidates, known)
    write_catalog(candidates, paths["output"], overwrite=overwrite)
    print_paths(paths)


def _fitted(datasets, candidates, width, extension, folder, jobs, score_min):
    """Candidates with their fits, the first of which are printed."""
    import astropy.units as u

    from ..likelihood.gammapy import CandidateFitEstimator
    from ..survey.sky_fits import SkyFitEstimator

    fits = CandidateFitEstimator(width=width * u.deg, test_extension=extension)
    fitted = SkyFitEstimator(fits, folder=folder, n_jobs=jobs, score_min=score_min).run(datasets, candidates)
    print_fits(fitted)
    return fitted


def _check_maps(files, maps):
    """Refuse datasets beside maps, and maps of which one is missing."""
    if files and any(maps.values()):
        raise click.UsageError("Give datasets, or maps with --counts, --exposure and --psf, not both")
    missing = [f"--{name}" for name, file in maps.items() if file is None]
    if missing and not files:
        raise click.UsageError(f"Give FILES, or also {', '.join(missing)}")


def _read_maps(maps, emission, isotropic, frame, energy_range):
    """Datasets of the maps of the Fermi tools."""
    import astropy.units as u

    from ..inputs.read_maps import dataset_from_files

    energies = energy_range * u.GeV if energy_range else None
    with console.status("Reading the maps"):
        return [
            dataset_from_files(
                **maps, emission=emission, isotropic=isotropic, frame=frame, energy_range=energies
            )
        ]


def _associated(candidates, known):
    """Candidates with their counterparts, how many is printed."""
    from ..catalog.association import associate

    candidates = associate(candidates, known)
    for name, result in candidates.meta["association"]["catalogs"].items():
        console.print(
            f"{result['associations']} associated with {escape(name)}; chance alone gives "
            f"{100 * result['false_match_rate']:.1f} % of the candidates a counterpart"
        )
    return candidates


def _catalogs(counterparts):
    """Catalogues to associate with, by name; refused before any work is done."""
    from ..catalog.counterparts import Counterparts
    from ..utils.table_files import read_any_table

    pairs = []
    for entry in counterparts:
        name, _, file = entry.partition("=")
        if not name or not file:
            raise click.UsageError(f"--associate {entry}: give NAME=FILE")
        pairs.append((name, expanded(file)))
    if len({name for name, _ in pairs}) < len(pairs):
        raise click.UsageError("--associate: two catalogues have the same name")
    if not counterparts:
        # Its import would run git to find its version
        fermipy = find_spec("fermipy")
        if fermipy is None:
            console.print("No association: name a catalogue with --associate")
            return {}
        pairs = [("4FGL-DR4", Path(fermipy.origin).parent / "data" / "catalogs" / "gll_psc_v35.fit")]
    return {name: Counterparts.from_catalog(name, read_any_table(file)) for name, file in pairs}
