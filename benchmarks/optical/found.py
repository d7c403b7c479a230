# Licensed under a 3-clause BSD style license - see LICENSE
"""What the library finds and measures in a frame, in the form that the peers' lists have."""

import time
import warnings

import numpy as np
from astropy.table import Table

from gammapy_asid.optical.detector import OpticalSourceDetector
from gammapy_asid.optical.field import field_parts
from gammapy_asid.optical.flux_estimator import OpticalFluxEstimator
from gammapy_asid.optical.images import prepare_image, read_image

from .sdss_frames import ZERO_POINT

__all__ = ["our_sources"]

#: Distance in pixels of the nodes of the sky that is fitted together with the sources.
SKY_MESH = 50.0


def our_sources(frame, model="optical", flux_model="joint", threshold=0.5, own_psf=False, rounds=0):
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
    rounds : int
        Rounds of the search for hidden stars.

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
    detector = OpticalSourceDetector(model=model, threshold=threshold, rounds=rounds)
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prepared = prepare_image(image)
        found = detector.run(prepared)
        if flux_model == "joint":
            table = _fitted(prepared, found.table)
        else:
            table = _measured(OpticalFluxEstimator(model=flux_model).run(prepared, found).table)
    seconds = time.perf_counter() - start
    table.meta["seconds"] = seconds
    return table


def _fitted(prepared, found):
    """Positions of the network and fluxes of the joint fit."""
    columns = {"x": "xcentroid", "y": "ycentroid", "rank": "score", "error": "x_err"}
    table = Table({name: np.asarray(found[column], dtype=float) for name, column in columns.items()})
    table["flux"], table["flux_err"] = np.full((2, len(table)), np.nan)
    for part in field_parts(prepared, table["x"].data, table["y"].data):
        fit = part.fit(position_error=table["error"].data[part.near], sky_mesh=SKY_MESH)
        for name in ("flux", "flux_err"):
            table[name][part.rows] = getattr(fit, name)[part.own].numpy() * part.noise
    return table


def _measured(found):
    """Positions and fluxes of the estimators."""
    columns = {"x": "xcentroid", "y": "ycentroid", "rank": "score", "flux": "flux"}
    table = Table({name: np.asarray(found[column], dtype=float) for name, column in columns.items()})
    table["flux_err"] = (np.asarray(found["flux_errn"], float) + np.asarray(found["flux_errp"], float)) / 2
    return table
