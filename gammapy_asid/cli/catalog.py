# Licensed under a 3-clause BSD style license - see LICENSE
"""Command that makes a catalogue: catalog."""

from importlib.util import find_spec
from pathlib import Path

import click
from rich.markup import escape

from ..utils.files import FITS_SUFFIXES, LIST_SUFFIXES
from ..utils.words import counted
from .candidates import print_fits
from .classify import classify_option, classify_with, prior_option
from .command import command
from .common import console, expanded, prepare, print_paths
from .inputs import (
    fits_file,
    input_file,
    models_option,
    read_datasets,
    say_known_sky,
    set_models,
)
from .options import (
    Number,
    device_option,
    extension_option,
    jobs_option,
    model_option,
    overwrite_option,
    rising,
    threshold_option,
    width_option,
)
from .progress import doing

__all__ = ["catalog"]


@command(
    examples="""
    gammapy-asid catalog sky.fits.gz --associate 3FHL=gll_psch_v13.fit.gz -o catalog.fits
    gammapy-asid catalog sky.fits.gz --folder work --jobs 4 -o catalog.fits   # goes on if interrupted
    gammapy-asid catalog --counts events.fits --exposure exposure.fits --psf psf.fits --energy-range 50 2000
    """
)
@click.argument("files", nargs=-1, type=input_file)
@models_option
@click.option(
    "--counts",
    type=fits_file,
    help="Counts cube, or events with --energy-range.",
)
@click.option("--exposure", type=fits_file, help="Exposure (gtexpcube2).")
@click.option("--psf", type=fits_file, help="Point spread function (gtpsf).")
@click.option("--emission", type=fits_file, help="Interstellar emission.")
@click.option("--isotropic", type=input_file, help="Isotropic spectrum (text).")
@click.option("--frame", type=click.Choice(["galactic", "icrs"]), help="Frame of HEALPix maps without one.")
@click.option(
    "--energy-range",
    nargs=2,
    type=Number(above=0),
    callback=rising,
    help="Lowest and highest energy of events, GeV.",
)
@model_option
@threshold_option
@click.option(
    "--emission-error",
    type=Number(above=0, below=1),
    help="Flag what is lost where the known sky errs by this share.",
)
@click.option("--fit/--no-fit", "with_fits", default=True, show_default=True, help="Likelihood fits.")
@click.option(
    "--fit-above",
    default=0.0,
    type=Number(0, 1),
    help="Score from which candidates are fitted; by default all are.",
)
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
@click.option(
    "--output",
    "-o",
    default="catalog.fits",
    show_default=True,
    help="Catalogue (FITS), or candidates (ECSV, CSV, REG or YAML).",
)
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
    others = {"emission": emission, "isotropic": isotropic, "frame": frame, "energy_range": energy_range}
    _check_maps(files, maps, others)
    paths = prepare(
        {"output": output},
        overwrite,
        inputs=(*files, models, *maps.values(), emission, isotropic),
        suffixes={"output": LIST_SUFFIXES},
    )
    known = _catalogs(counterparts)
    own = classify_with(classify, prior, device)
    detector = DLSourceDetector(model, threshold, emission_error=emission_error, classify=own, device=device)
    datasets = read_datasets(files, models) if files else _read_maps(maps, others, models)
    folders = {name: None if folder is None else expanded(folder) / name for name in ("survey", "fits")}
    candidates = DLSkySurvey(detector, folder=folders["survey"], n_jobs=jobs).run(datasets)
    say_known_sky(datasets)
    console.print(f"{counted(len(candidates), 'candidate')} with a score of {threshold:g} and more")
    if with_fits:
        candidates = _fitted(datasets, candidates, width, extension, folders["fits"], jobs, fit_above)
    if known:
        candidates = _associated(candidates, known)
    else:
        console.print("No association: name a catalogue with --associate NAME=FILE")
    if paths["output"].name.lower().endswith(FITS_SUFFIXES):
        write_catalog(candidates, paths["output"], overwrite=overwrite)
    else:
        candidates.write(paths["output"], overwrite=overwrite)
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


def _check_maps(files, maps, others):
    """Refuse datasets beside maps, maps of which one is missing, and what would not be used."""
    if files and any(maps.values()):
        raise click.UsageError("Give datasets, or maps with --counts, --exposure and --psf, not both")
    unused = [f"--{name.replace('_', '-')}" for name, value in others.items() if value is not None]
    if files and unused:
        raise click.UsageError(f"{', '.join(unused)} is for maps: give those with --counts, or leave it out")
    if others["isotropic"] and not others["emission"]:
        raise click.UsageError("--isotropic belongs to an interstellar emission: give that with --emission")
    missing = [f"--{name}" for name, file in maps.items() if file is None]
    if missing and not files:
        raise click.UsageError(f"Give FILES, or also {', '.join(missing)}")


def _read_maps(maps, others, models):
    """Datasets of the maps of the Fermi tools."""
    import astropy.units as u
    from gammapy.datasets import Datasets

    from ..inputs.read_maps import dataset_from_files

    energies = others["energy_range"]
    others = others | {"energy_range": None if energies is None else energies * u.GeV}
    with doing("Reading the maps"):
        datasets = Datasets([dataset_from_files(**maps, **others)])
    if models is not None:
        set_models(datasets, models)
    return datasets


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
            return {}
        pairs = [("4FGL-DR4", Path(fermipy.origin).parent / "data" / "catalogs" / "gll_psc_v35.fit")]
    return {name: Counterparts.from_catalog(name, read_any_table(file)) for name, file in pairs}
