# Licensed under a 3-clause BSD style license - see LICENSE
"""What the library finds and measures in a frame, in the form that the peers' lists have."""

import time
import warnings

import numpy as np
from astropy.table import Table

from gammapy_asid.optical.detector import OpticalSourceDetector
from gammapy_asid.optical.field import fitted_tiles
from gammapy_asid.optical.images import prepare_image, read_image

from .sdss_frames import ZERO_POINT

__all__ = ["our_sources"]

#: Distance in pixels of the nodes of the sky that is fitted together with the sources.
SKY_MESH = 50.0


def our_sources(frame, model="optical", flux_model="joint", threshold=0.5, own_psf=False):
    """Sources of the library with their fluxes.

    Parameters
    ----------
    frame : `~benchmarks.optical.sdss_frames.Frame`
        Frame: its image, gain and saturated pixels are used, but not what SDSS knows of the noise.
    model, flux_model : str
        Names or paths of the models.
    threshold : float
        Lowest score.
    own_psf : bool
        The point spread function is measured on the image in place of SDSS's.

    Returns
    -------
    sources : `~astropy.table.Table`
        ``x, y, flux, flux_err, rank`` (the score); its meta data hold the seconds.
    """
    image = read_image(
        frame.data,
        mask=frame.saturated,
        gain=frame.gain,
        zero_point=ZERO_POINT,
        psf=None if own_psf else frame.psf,
    )
    detector = OpticalSourceDetector(model=model, threshold=threshold)
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prepared = prepare_image(image)
        table = _fitted(prepared, detector.run(prepared).table)
    seconds = time.perf_counter() - start
    table.meta["seconds"] = seconds
    return table


def _fitted(prepared, found):
    """Positions of the network and fluxes of the joint fit."""
    columns = {"x": "xcentroid", "y": "ycentroid", "rank": "score", "error": "x_err"}
    table = Table({name: np.asarray(found[column], dtype=float) for name, column in columns.items()})
    table["flux"], table["flux_err"] = np.full((2, len(table)), np.nan)
    tiles = fitted_tiles(prepared, table["x"].data, table["y"].data, table["error"].data, sky_mesh=SKY_MESH)
    for tile in tiles:
        for name in ("flux", "flux_err"):
            table[name][tile.rows] = getattr(tile.fit, name)[tile.own].numpy() * tile.noise
    return table
