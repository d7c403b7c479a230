# Licensed under a 3-clause BSD style license - see LICENSE
"""The command that shows results on a page: view."""

from pathlib import Path

import click

from .command import command
from .common import expanded, prepare, print_paths
from .inputs import input_file
from .options import overwrite_option

__all__ = ["view"]

#: Files of a folder of results, those that know most of the sources first.
RESULTS = ("catalog.fits", "fitted.fits", "candidates.fits")

#: Name of the page in a folder of results.
PAGE = "view.html"


@command(
    examples="""
    gammapy-asid view asid-demo/
    gammapy-asid view fitted.fits --dataset field.fits -o field.html
    """
)
@click.argument("results", type=click.Path())
@click.option(
    "--dataset",
    "-d",
    "files",
    multiple=True,
    type=input_file,
    help="Data of the field, for another image of the counts than that of the results; may be repeated.",
)
@click.option("--output", "-o", help=f"HTML page; by default {PAGE} in the folder of the results.")
@overwrite_option
def view(results, files, output, overwrite):
    """Write RESULTS, a folder or a file of candidates, as one HTML page.

    The page shows the sky, candidates to click, their table, spectra and TS. It needs no network.
    """
    from ..catalog.candidates import Candidates
    from ..plots.view import write_view
    from .inputs import read_datasets

    path = expanded(results)
    sources, others = _files(path)
    output = output or sources.parent / PAGE
    paths = prepare({"page": output}, overwrite, (sources, *files), {"page": (".html", ".htm")})
    candidates = Candidates.read(sources)
    used = [sources.name]
    if not candidates.maps:
        # A catalogue has none, the candidates that it was made of have
        with_maps = [(other.name, own) for other in others if (own := Candidates.read(other)).maps]
        if with_maps:
            used.append(with_maps[0][0])
            candidates = Candidates(
                candidates.table, with_maps[0][1].maps, with_maps[0][1].meta | candidates.meta
            )
    dataset = read_datasets(files, None) if files else None
    write_view(candidates, paths["page"], dataset, overwrite, [*used, *(Path(file).name for file in files)])
    print_paths(paths)


def _files(path):
    """File of the sources, and others of the same folder that may hold their maps."""
    if path.is_file():
        return path, []
    if not path.is_dir():
        raise FileNotFoundError(f"There is no folder or file {path}: give what detect, fit or catalog wrote")
    found = [path / name for name in RESULTS if (path / name).is_file()]
    if not found:
        raise ValueError(f"{path} has none of {', '.join(RESULTS)}: give the file of candidates itself")
    return found[0], found[1:]
