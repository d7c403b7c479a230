# Licensed under a 3-clause BSD style license - see LICENSE
"""What the photons allow: limits on detection and position with all else known."""

import numpy as np
import torch

__all__ = ["asimov_terms", "asimov_ts", "position_covariance", "sample_offsets", "source_image"]

#: Pixels nearer than this to a source, in pixels, are integrated on a grid finer by a factor: there the point
#: spread function is steep.
NEAR, OVERSAMPLE = 10, 5


def source_image(x, y, counts, response, shape):
    """Expected counts of a point source in the bands, on the finest pixels.

    Parameters
    ----------
    x, y : float
        Pixel coordinates, 0 at the centre of the first pixel.
    counts : `~numpy.ndarray`
        Expected counts on the whole sky in each sub-band, shape ``(n_bands, n_sub)``.
    response : `~gammapy_asid.inputs.Response`
        Instrument response; its point spread function is used.
    shape : tuple of int
        Image shape ``(ny, nx)``.

    Returns
    -------
    image : `~numpy.ndarray`
        Expected counts, shape ``(n_bands, ny, nx)``.
    """
    size = response.pixel_size
    rows, columns = np.arange(shape[0]) - y, np.arange(shape[1]) - x
    profiles = np.einsum("bs,bsr->br", counts, response.psf) * np.radians(size) ** 2
    distance = np.hypot(rows[:, None], columns) * size

    near_row, near_column = np.abs(rows) < NEAR, np.abs(columns) < NEAR
    near = np.ix_(np.arange(len(profiles)), near_row, near_column)
    step = (np.arange(OVERSAMPLE) - (OVERSAMPLE - 1) / 2) / OVERSAMPLE
    fine_row, fine_column = rows[near_row][:, None] + step, columns[near_column][:, None] + step
    fine = np.hypot(fine_row[:, None, :, None], fine_column[:, None, :]) * size

    image = np.stack([np.interp(distance, response.rad, profile, right=0) for profile in profiles])
    image[near] = [np.interp(fine, response.rad, profile, right=0).mean(axis=(2, 3)) for profile in profiles]
    return image


def asimov_ts(source, background):
    """Expected test statistic of a source of known shape on a known background.

    Likelihood ratio of the expected counts themselves (Cowan et al. 2011, EPJC 71, 1554).

    Parameters
    ----------
    source, background : `~numpy.ndarray`
        Expected counts, of one shape.

    Returns
    -------
    ts : float
        ``2 sum[(s + b) ln(1 + s / b) - s]``.

    Raises
    ------
    ValueError
        If there is no background where the source has counts.
    """
    source, background = (torch.tensor(np.asarray(v, dtype=float)) for v in (source, background))
    if ((source > 0) & (background <= 0)).any():
        raise ValueError(
            "The background is not positive where the source has counts: the limit is not defined"
        )
    return float(asimov_terms(source, background).sum())


def asimov_terms(source, background):
    """Terms of the expected test statistic, see `asimov_ts`, pixel by pixel.

    Parameters
    ----------
    source, background : `~torch.Tensor`
        Expected counts, of one shape.

    Returns
    -------
    terms : `~torch.Tensor`
        Shape of the counts.
    """
    ratio = torch.where(background > 0, source / background.clamp(min=1e-12), 0.0)
    return 2 * ((source + background) * torch.log1p(ratio) - source)


def position_covariance(source, gradient, background):
    """Cramer-Rao bound on the position of a source whose flux is free.

    Parameters
    ----------
    source : `~numpy.ndarray`
        Expected counts of the source, any shape.
    gradient : `~numpy.ndarray`
        Its derivatives with respect to the two coordinates, shape ``(2, ...)``.
    background : `~numpy.ndarray`
        Expected counts of all else.

    Returns
    -------
    covariance : `~numpy.ndarray`
        Shape ``(2, 2)``, in the unit of the coordinates squared.
    """
    derivatives = np.stack([*gradient, source]).reshape(3, -1).astype(float)
    expected = (source + background).ravel()
    valid = expected > 0
    derivatives = derivatives[:, valid]
    information = (derivatives / expected[valid]) @ derivatives.T
    return np.linalg.inv(information)[:2, :2]


def sample_offsets(covariance, n_draws=20, seed=0):
    """Offsets of normally distributed positions.

    Parameters
    ----------
    covariance : `~numpy.ndarray`
        Covariance of each position, shape ``(n, 2, 2)``.
    n_draws : int
        Draws for each position.
    seed : int
        Seed.

    Returns
    -------
    offset : `~numpy.ndarray`
        Distances from the true position, shape ``(n, n_draws)``.
    """
    factor = np.linalg.cholesky(covariance)
    normal = np.random.default_rng(seed).standard_normal((len(factor), 2, n_draws))
    return np.linalg.norm(factor @ normal, axis=1)
