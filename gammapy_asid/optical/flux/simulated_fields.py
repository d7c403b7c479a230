# Licensed under a 3-clause BSD style license - see LICENSE
"""Simulated images prepared as those of users: the library measures sky, noise and point spread function."""

import warnings

import numpy as np

from ..images import OpticalImage, prepare_image
from ..images.pixels import ArrayPixels
from ..psf import PSF

__all__ = ["prepared_image"]

#: Share of images whose point spread function is measured; that of others is given with a small error.
MEASURED = 0.85

#: Sources on which a point spread function that is called uncertain was measured at least: with fewer it can
#: be anything, and with these it is still right to some per cent.
UNCERTAIN = 10

#: Share of the images that tell the noise of sources by a map of errors instead of the gain.
MAPPED = 0.2

#: Standard deviation of the change of the sky from the middle to an edge, in units of its noise.
SLOPE = 0.5


def prepared_image(simulated, number, valid, rng):
    """One simulated image, prepared.

    Parameters
    ----------
    simulated : `~gammapy_asid.optical.simulator.SimulatedImages`
        Images above the true sky.
    number : int
        Number of the image.
    valid : `~numpy.ndarray`
        Its pixels that are not masked, bool of shape ``(ny, nx)``.
    rng : `~numpy.random.Generator`
        Source of random numbers.

    Returns
    -------
    prepared : `~gammapy_asid.optical.images.PreparedImage` or None
        Image with pixels of the same size; None if it has no pixels that can be used.
    """
    batch = simulated.batch
    signal, variance, saturated, psf = (
        getattr(batch, name)[number].numpy() for name in ("signal", "variance", "saturated", "psf")
    )
    axes = (np.linspace(-1, 1, n) * rng.normal(0, SLOPE) for n in signal.shape)
    electrons = float(simulated.electrons[number])
    known = {}
    if np.isfinite(electrons):
        mapped = rng.random() < MAPPED
        known = {"error": ArrayPixels(np.sqrt(variance))} if mapped else {"gain": electrons}
    image = OpticalImage(
        data=ArrayPixels((signal + np.add.outer(*axes)).astype(np.float32)),
        mask=ArrayPixels(~valid),
        full=ArrayPixels(saturated),
        **known,
    )
    if rng.random() < MEASURED:
        prepared = _measured(image)
        if prepared is not None:
            return prepared
    try:
        prepared = prepare_image(image, psf=PSF(terms=psf))
    except ValueError:
        return None
    return prepared if prepared.binning == 1 else None


def _measured(image):
    """Image prepared with its own point spread function, None where users would have to give one."""
    try:
        with warnings.catch_warnings():
            # That the point spread function is uncertain
            warnings.simplefilter("ignore")
            prepared = prepare_image(image)
    except ValueError:
        return None
    psf = prepared.psf
    usable = psf.fwhm_err is not None or psf.n_stars >= UNCERTAIN
    return prepared if usable and prepared.binning == 1 else None
