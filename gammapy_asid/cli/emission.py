# Licensed under a 3-clause BSD style license - see LICENSE
"""Command emission."""

import click

from .command import command
from .common import prepare, print_paths
from .inputs import input_file
from .options import device_option, overwrite_option
from .progress import doing

__all__ = ["emission"]


@command(
    examples="""
    gammapy-asid train fine-emission -o runs
    gammapy-asid emission runs/fine-emission.safetensors --fields 100 -o structure.safetensors
    """
)
@click.argument("model", type=input_file)
@click.option(
    "--output", "-o", default="structure.safetensors", show_default=True, help="File of the library."
)
@click.option(
    "--fields",
    type=click.IntRange(1, 10**6),
    default=1000,
    show_default=True,
    help="Number of fields: a thousand of 12 x 12 deg take 5 MB and a quarter of an hour.",
)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Seed of the fields.")
@device_option
@overwrite_option
def emission(model, output, fields, seed, device, overwrite):
    """Generate fine structure of interstellar emission with MODEL, weights of the recipe fine-emission."""
    from ..tasks.generative.model import GenerativeModel

    paths = prepare({"library": output}, overwrite, (model,), {"library": (".safetensors",)})
    generator = GenerativeModel.load(model, device)
    with doing("Generating"):
        library = generator.library(fields, seed)
    library.save(paths["library"], overwrite)
    print_paths(paths)
