# Licensed under a 3-clause BSD style license - see LICENSE
"""Commands that hand candidates to fermipy and read its results: fermipy write and fermipy read."""

import click

from ..utils.files import LIST_SUFFIXES
from .candidates import print_fits
from .command import Commands
from .common import expanded, prepare, print_paths
from .inputs import input_file
from .options import Number, overwrite_option

__all__ = ["fermipy"]


@click.group(cls=Commands)
def fermipy():
    """Likelihood analysis of candidates with fermipy and the Fermitools."""


@fermipy.command(
    examples="""
    gammapy-asid fermipy write candidates.fits --evfile ft1.fits --scfile ft2.fits -o crab
    gammapy-asid fermipy write candidates.fits --template config.yaml -o crab
    python crab/analysis.py                          # where fermipy and the Fermitools are
    """
)
@click.argument("candidates", type=input_file)
@click.option(
    "--output", "-o", default="asid-fermipy", show_default=True, help="Folder of configuration and script."
)
@click.option("--evfile", help="Events (FT1), or a text file that lists several.")
@click.option("--scfile", help="Spacecraft file (FT2).")
@click.option("--ltcube", help="Livetime cube.")
@click.option("--template", type=input_file, help="Your configuration of fermipy (YAML) to extend.")
@click.option(
    "--roi-width",
    type=Number(above=0, high=180),
    help="Side of the region, deg; by default what the sources need.",
)
@overwrite_option
def write(candidates, output, evfile, scfile, ltcube, template, roi_width, overwrite):
    """Write config.yaml, sources.xml and analysis.py for CANDIDATES, or any table of sources.

    Run analysis.py where fermipy and the Fermitools are.
    """
    from ..catalog.candidates import Candidates
    from ..likelihood.fermipy.handoff import write_fermipy

    paths = write_fermipy(
        Candidates.read(candidates), expanded(output), evfile, scfile, ltcube, roi_width, template, overwrite
    )
    print_paths({path.name: path for path in paths})


@fermipy.command(
    examples="""
    gammapy-asid fermipy read crab/results.fits -o fitted.fits
    gammapy-asid fermipy read crab/results.fits --candidates candidates.fits -o fitted.fits
    """
)
@click.argument("results", type=input_file)
@click.option(
    "--candidates",
    type=input_file,
    help="Candidates (FITS) that were handed over, which get the results; by default all sources are taken.",
)
@click.option(
    "--output",
    "-o",
    default="fitted.fits",
    show_default=True,
    help="Candidates with the fits (FITS, ECSV, CSV, REG or YAML).",
)
@overwrite_option
def read(results, candidates, output, overwrite):
    """Take over RESULTS of fermipy: a file of gta.write_roi (FITS, NPY) or a source library (XML)."""
    from ..catalog.candidates import Candidates
    from ..likelihood.fermipy.results import read_fermipy

    paths = prepare({"output": output}, overwrite, (results, candidates), {"output": LIST_SUFFIXES})
    fitted = read_fermipy(results, None if candidates is None else Candidates.read(candidates))
    fitted.write(paths["output"], overwrite=overwrite)
    print_fits(fitted)
    print_paths(paths)
