# Licensed under a 3-clause BSD style license - see LICENSE
"""Stars that hide beside brighter ones: rounds of a search in what the fit of all others leaves."""

import numpy as np
from scipy.ndimage import maximum_filter
from scipy.signal import fftconvolve

from ..batch import HALF
from ..fit.joint import joint_fit

__all__ = ["CROWD", "N_HIDDEN", "search", "with_hidden"]

#: Sources a pixel from which on a part of an image is a crowd: one in 50 pixels, where stars of usual seeing
#: (3 pixels wide) begin to overlap.
CROWD = 0.02

#: Side of the parts that are searched, and how far they reach beyond what is kept of them.
TILE, OVERLAP = 256, 2 * HALF + 8

#: Least significance of a source beside its neighbours, and of a new one in what is left (as crowdsource).
KEPT, FOUND = 4.0, 5.0

#: Least light of a new source over what the model has there: errors of the point spread function are less.
SHARE = 0.03

#: Share beyond which a source stands alone.
LARGEST = 10.0

#: Numbers of which a calibration makes the score of a new source.
N_HIDDEN = 4

#: Distance in pixels from known sources below which nothing new is looked for, and error of a new position.
APART, ERROR = 0.9, 0.3

#: Distance in pixels of the nodes of the sky that is fitted besides: it takes up stars too faint to be told.
SKY_MESH = 50.0


def with_hidden(prepared, x, y, error, rounds):
    """Complete a list of sources where they are crowded.

    All sources are fitted together, and peaks in the residual image, filtered with the point spread
    function, are added (after Schlafly et al. 2018, ApJS 234, 39) if they are significant beside all others.
    Other parts of the image stay as they are.

    Parameters
    ----------
    prepared : `~gammapy_asid.optical.images.PreparedImage`
        Image.
    x, y, error : `~numpy.ndarray`
        Positions of sources in pixels of the image and their errors, shape ``(n,)``.
    rounds : int
        Rounds of the search.

    Returns
    -------
    x, y, error : `~numpy.ndarray`
        Positions of all sources and their errors, shape ``(m,)``.
    known : `~numpy.ndarray`
        Number of each in the given list, -1 for new ones, shape ``(m,)``.
    evidence : `~numpy.ndarray`
        What tells true from false among the new ones, shape ``(m, N_HIDDEN)``: logarithms of the significance
        beside the neighbours, of the light over that of the model there, of the mean square of what the fit
        leaves around it, and of the median of that in the image.
    """
    binning = prepared.binning
    x, y = prepared.binned(x, y)
    parts = []
    for tile in prepared.tiles(TILE, OVERLAP):
        near = np.flatnonzero(_within(x, tile.xs) & _within(y, tile.ys))
        sides = zip((tile.ys, tile.xs), prepared.shape, strict=True)
        area = np.prod([min(part.stop, n) - max(part.start, 0) for part, n in sides])
        found = x[near], y[near], error[near] / binning, near, np.full((len(near), N_HIDDEN), np.nan)
        if rounds and len(near) > CROWD * area:
            corner = np.array([tile.xs.start, tile.ys.start])
            batch = prepared.batch(tile.ys, tile.xs)
            found = search(batch, x[near] - corner[0], y[near] - corner[1], *found[2:4], rounds)
            found = found[0] + corner[0], found[1] + corner[1], *found[2:]
        # A known source belongs where it was: the fit may move it over an edge
        there = [np.where(found[3] >= 0, old[found[3]], new) for old, new in ((x, found[0]), (y, found[1]))]
        own = _within(there[0], tile.inner_xs) & _within(there[1], tile.inner_ys)
        parts.append([values[own] for values in found])
    given = x, y
    x, y, error, known, evidence = (np.concatenate(values) for values in zip(*parts, strict=True))
    ny, nx = prepared.shape
    beyond = ~(_within(x, slice(0, nx)) & _within(y, slice(0, ny)))
    x[beyond], y[beyond] = (values[known[beyond]] for values in given)
    return *prepared.original(x, y), error * binning, known, evidence


def _within(values, part):
    return (values >= part.start - 0.5) & (values < part.stop - 0.5)


def search(batch, x, y, error, known, rounds):
    """Search one image.

    Parameters
    ----------
    batch : `~gammapy_asid.optical.batch.ImageBatch`
        One image.
    x, y, error : `~numpy.ndarray`
        Positions of sources in pixels and their errors, shape ``(n,)``.
    known : `~numpy.ndarray`
        Number of each, shape ``(n,)``.
    rounds : int
        Rounds, at least one.

    Returns
    -------
    x, y, error, known, evidence : `~numpy.ndarray`
        Sources after the rounds, see `with_hidden`.
    """
    contrast = np.full(len(x), np.nan)
    for i in range(rounds + 1):
        fit = joint_fit(batch, x, y, position_error=error.astype(np.float32), sky_mesh=SKY_MESH)
        significance = np.nan_to_num((fit.flux / fit.flux_err).numpy())
        # The network knows more of its own sources than this
        kept = (significance > KEPT) | (known >= 0)
        x, y = fit.x.numpy()[kept], fit.y.numpy()[kept]
        error, known, contrast, significance = (v[kept] for v in (error, known, contrast, significance))
        # Those of the last round have to be significant beside all others, too
        if i == rounds:
            break
        new_x, new_y, share = _peaks(batch, fit)
        if len(x) and len(new_x):
            apart = np.hypot(new_x[:, None] - x, new_y[:, None] - y).min(1) > APART
            new_x, new_y, share = new_x[apart], new_y[apart], share[apart]
        if not len(new_x):
            break
        added = (x, new_x), (y, new_y), (contrast, share)
        x, y, contrast = (np.concatenate(pair) for pair in added)
        error = np.concatenate([error, np.full(len(new_x), ERROR)])
        known = np.concatenate([known, np.full(len(new_x), -1)])
    numbers = [np.log(np.maximum(significance, 1)), contrast, *_misfit(fit, batch, kept)]
    return x, y, error, known, np.stack(np.broadcast_arrays(*numbers), 1)


def _misfit(fit, batch, kept):
    """Logarithms of the mean square of what is left around each source, and of its median in the image."""
    chi2 = np.log(np.clip(np.nan_to_num(fit.chi2.numpy()[kept], nan=1.0), 1e-2, None))
    scaled = (fit.residual**2 / batch.variance)[batch.valid]
    return chi2, np.log(max(float(scaled.median()) if len(scaled) else 1.0, 1e-2))


def _peaks(batch, fit):
    """Significant peaks of what a fit leaves, and the logarithm of their share in the light."""
    kernel = batch.kernels[0].numpy().astype(float)
    weight = (batch.valid / batch.variance)[0].numpy().astype(float)
    information = np.maximum(fftconvolve(weight, kernel[::-1, ::-1] ** 2, mode="same"), 1e-9)
    light, model = (
        fftconvolve(image[0].numpy() * weight, kernel[::-1, ::-1], mode="same") / information
        for image in (fit.residual, fit.model)
    )
    significance = light * np.sqrt(information)
    share = light / np.maximum(model, 1e-3)
    peak = (significance == maximum_filter(significance, 3)) & (significance > FOUND) & (weight > 0)
    y, x = np.nonzero(peak & (share > SHARE))
    return x.astype(float), y.astype(float), np.log(np.minimum(share[y, x], LARGEST))
