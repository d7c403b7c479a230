# Licensed under a 3-clause BSD style license - see LICENSE
"""Command optical."""

import click
from rich.markup import escape

from ..utils.words import counted
from .columns import asymmetric_columns, flags_column, number_column
from .command import command
from .common import console, expanded, prepare, print_paths, save_plot
from .inputs import fits_file
from .options import Number, device_option, overwrite_option, threshold_option
from .progress import doing
from .tables import ROWS, print_flags, print_table

__all__ = ["optical"]

#: Files that a folder of results holds.
PRODUCTS = {
    "table": "sources.fits",
    "regions": "sources.reg",
    "masks": "masks.fits",
    "plot": "sources.png",
}


@command(
    examples="""
    gammapy-asid optical image.fits -o results
    gammapy-asid optical image.fits --hdu SCI --mask bad.fits --psf image.psf --gain 1.8 -o results
    gammapy-asid optical image.fits --no-classes --no-fluxes --threshold 0.8 -o results
    """
)
@click.argument("image", type=fits_file)
@click.option("--output", "-o", default="optical", show_default=True, help="Folder of the results.")
@click.option("--hdu", help="Extension with the image, by number or name; by default the first image.")
@click.option("--mask", type=fits_file, help="FITS image: pixels that are not 0 are not used.")
@click.option("--error", type=fits_file, help="FITS image: standard deviation of each pixel.")
@click.option("--psf", type=fits_file, help="Point spread function: FITS image or file of PSFEx.")
@click.option(
    "--gain", type=Number(above=0), help="Electrons in one unit of the data, in place of the header's."
)
@click.option("--saturation", type=Number(), help="Value from which on a pixel is saturated.")
@click.option("--zero-point", type=Number(), help="Magnitude of one unit of the data.")
@threshold_option
@click.option(
    "--rounds",
    default=0,
    show_default=True,
    type=click.IntRange(0, 20),
    help="Rounds of a search for stars that hide in crowds: four find most in a globular cluster, slowly.",
)
@click.option("--model", default="optical", show_default=True, help="Model name or weight file.")
@click.option("--classes/--no-classes", default=True, help="Tell stars from galaxies.", show_default=True)
@click.option("--fluxes/--no-fluxes", default=True, help="Measure fluxes.", show_default=True)
@device_option
@overwrite_option
def optical(
    image,
    output,
    hdu,
    mask,
    error,
    psf,
    gain,
    saturation,
    zero_point,
    threshold,
    rounds,
    model,
    classes,
    fluxes,
    device,
    overwrite,
):
    """Find the sources of IMAGE, a FITS image in one band; tell stars from galaxies, and measure them.

    The results are a table, regions for DS9, masks of cosmic rays and trails, and a picture.
    """
    from ..optical.detector import OpticalSourceDetector
    from ..optical.images import read_image
    from ..optical.source_files import write_masks

    known = {"mask": mask, "error": error, "psf": psf, "gain": gain, "saturation": saturation}
    inputs = (image, mask, error, psf)
    paths = prepare({key: expanded(output) / name for key, name in PRODUCTS.items()}, overwrite, inputs)
    detector = OpticalSourceDetector(model=model, threshold=threshold, device=device, rounds=rounds)
    measures = _measures(classes, fluxes, device)
    read = read_image(image, hdu=_number_or_name(hdu), zero_point=zero_point, **known)
    with doing("Measuring sky and point spread function"):
        prepared = detector.prepare(read)
    with doing("Looking for sources"):
        sources = detector.run(prepared)
    for name, estimator in measures.items():
        with doing(name):
            sources = estimator.run(prepared, sources)
    _print_sources(sources, prepared)
    with doing("Writing"):
        sources.write(paths["table"], overwrite)
        sources.write(paths["regions"], overwrite)
        write_masks(sources, paths["masks"], overwrite)
        save_plot("plot_optical", paths["plot"], overwrite, sources, read)
    print_paths(paths)


def _number_or_name(hdu):
    """Extension as it was given: a number is one."""
    return int(hdu) if hdu is not None and hdu.isdigit() else hdu


def _measures(classes, fluxes, device):
    """Estimators that are wanted, by what they do."""
    measures = {}
    if classes:
        from ..optical.classifier import OpticalSourceClassifier

        measures["Telling stars from galaxies"] = OpticalSourceClassifier(device=device)
    if fluxes:
        from ..optical.flux_estimator import OpticalFluxEstimator

        measures["Measuring fluxes"] = OpticalFluxEstimator(device=device)
    return measures


def _print_sources(sources, prepared):
    """Print what was found, and the first sources."""
    from ..optical.flags import OpticalFlag

    meta, image = sources.meta, prepared.image
    unit = f" in {image.unit}" if image.unit is not None else ""
    console.print(
        f"{escape(image.name)}: {image.shape[1]} x {image.shape[0]} pixels{escape(unit)}; point spread "
        f"function {meta['psf_fwhm']:.2f} pixels wide, {escape(meta['psf'])}",
        soft_wrap=True,
    )
    kinds = sources.kinds
    classes = [
        f"{(kinds == kind).sum()} {name}" for kind, name in (("star", "stars"), ("galaxy", "galaxies"))
    ]
    told = f": {', '.join(classes)}" if "star_prob" in sources.table.colnames else ""
    console.print(f"{counted(len(sources), 'source')} with a score of {meta['threshold']:g} and more{told}")
    for name, mask in sources.masks.items():
        console.print(f"{counted(mask.sum(), 'pixel')} of {name.replace('_', ' ')}s")
    table = sources.table[:ROWS]
    named = {"xcentroid": "x\n(pix)", "ycentroid": "y\n(pix)"}
    columns = [number_column(head, table[name], 1) for name, head in named.items()]
    decimals = {"score": ("Score", 2, 2), "star_prob": ("Star", 2, 1)}
    columns += [
        number_column(head, table[name], n, dropped)
        for name, (head, n, dropped) in decimals.items()
        if name in table.colnames
    ]
    if "flux" in table.colnames:
        columns += asymmetric_columns(table, "flux")
    if "mag" in table.colnames:
        columns.append(number_column("mag", table["mag"], 2))
    print_table([*columns, flags_column(OpticalFlag, table["flags"])], len(sources) - ROWS)
    print_flags(OpticalFlag, table["flags"])
