# Licensed under a 3-clause BSD style license - see LICENSE
"""Commands that hand candidates to fermipy and read its results: fermipy write and fermipy read."""

import click

from ..utils.files import FITS_SUFFIXES
from .candidates import print_fits
from .common import expanded, overwrite_option, prepare, print_paths
from .inputs import input_file

__all__ = ["fermipy"]


@click.group()
def fermipy():
    """Likelihood analysis of candidates with fermipy and the Fermitools."""


@fermipy.command()
@click.argument("candidates", type=input_file)
@click.option(
    "--output", "-o", default="asid-fermipy", show_default=True, help="Folder of configuration and script."
)
@click.option("--evfile", help="Events (FT1), or a text file that lists several.")
@click.option("--scfile", help="Spacecraft file (FT2).")
@click.option("--ltcube", help="Livetime cube.")
@click.option("--config", type=input_file, help="Your configuration to extend.")
@click.option("--roi-width", type=float, help="Side of the region, deg; by default what the sources need.")
@overwrite_option
def write(candidates, output, evfile, scfile, ltcube, config, roi_width, overwrite):
    """Write config.yaml, sources.xml and analysis.py for CANDIDATES, or any table of sources.

    Run analysis.py where fermipy and the Fermitools are.
    """
    from ..catalog.candidates import Candidates
    from ..likelihood.fermipy.handoff import write_fermipy

    paths = write_fermipy(
        Candidates.read(candidates), expanded(output), evfile, scfile, ltcube, roi_width, config, overwrite
    )
    print_paths({path.name: path for path in paths})


@fermipy.command()
@click.argument("results", type=input_file)
@click.option(
    "--candidates",
    type=input_file,
    help="Candidates (FITS) that were handed over, which get the results; by default all sources are taken.",
)
@click.option("--output", "-o", default="fitted.fits", show_default=True, help="Candidates with the fits.")
@overwrite_option
def read(results, candidates, output, overwrite):
    """Take over RESULTS of fermipy: a file of gta.write_roi (FITS, NPY) or a source library (XML)."""
    from ..catalog.candidates import Candidates
    from ..likelihood.fermipy.results import read_fermipy

    paths = prepare({"output": output}, overwrite, (results, candidates), {"output": FITS_SUFFIXES})
    fitted = read_fermipy(results, None if candidates is None else Candidates.read(candidates))
    fitted.write(paths["output"], overwrite=overwrite)
    print_fits(fitted)
    print_paths(paths)
