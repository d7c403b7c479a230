# Licensed under a 3-clause BSD style license - see LICENSE
"""Command emission."""

import click

from .common import console, device_option, overwrite_option, prepare, print_paths
from .inputs import input_file

__all__ = ["emission"]


@click.command()
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
    with console.status("Generating"):
        library = generator.library(fields, seed)
    library.save(paths["library"], overwrite)
    print_paths(paths)
