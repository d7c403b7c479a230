# Licensed under a 3-clause BSD style license - see LICENSE
"""Information limit of the simulated sky 235: each true source alone, all else known or its level free."""

from functools import partial

import numpy as np
from scipy.stats import norm

from gammapy_asid.evaluation import angular_separation, offset_summary
from gammapy_asid.inputs.psf import psf_radius
from gammapy_asid.stats.image_bounds import asimov_ts, position_covariance, sample_offsets, source_image

from ..common import arguments, write
from ..skies.sky235 import PIXEL_SIZE, load_sky235
from ..skies.sky235_patches import sky_response
from ..skies.sky235_spectra import load_spectra
from .scoring import BRIGHT, cuts

__all__ = ["information_limit"]

NEEDS = "data, half an hour"

#: Half step of the numerical derivative with respect to position, in pixels.
STEP = 0.1
#: Radius of the disk in which the level of the emission is free, in units of the 68 % radius of a band.
FREE = 3.0
#: Distance from a patch centre in deg up to which sources count.
REACH = 10.0


def sub_band_counts(dnde, response, n_nodes=8):
    """Expected counts of each source in each sub-band, shape ``(n, n_bands, n_sub)``."""
    n_bands, n_sub = response.exposure.shape
    frac = (np.arange(n_nodes) + 0.5) / n_nodes
    low, width = response.sub_edges[:, :-1], np.diff(np.log(response.sub_edges), axis=1)
    energy = low[..., None] * np.exp(width[..., None] * frac)
    flux = (dnde(energy.ravel()).reshape(-1, *energy.shape) * energy).mean(axis=-1) * width
    return flux * response.exposure


def left_share(own, others, emission, distance, radius):
    """Share of the information on a source that is left if the sky around it has a free level.

    In each band the emission and an isotropic part have free factors within a disk.

    Parameters
    ----------
    own, others, emission : `~numpy.ndarray`
        Expected counts of the source, of all else, and of the emission in that, shape ``(n_bands, ny, nx)``.
    distance : `~numpy.ndarray`
        From the source in deg, shape ``(ny, nx)``.
    radius : `~numpy.ndarray`
        Of the disk in deg, shape ``(n_bands,)``.

    Returns
    -------
    share : `~numpy.ndarray`
        Shape ``(n_bands,)``.
    """
    inside = (distance < radius[:, None, None]) / others
    parts = np.stack([own, emission, np.ones_like(own)], axis=1)
    fisher = np.einsum("bpyx,bqyx,byx->bpq", parts, parts, inside)
    # Where the emission is flat both parts are one
    lost = np.einsum(
        "bp,bpq,bq->b", fisher[:, 0, 1:], np.linalg.pinv(fisher[:, 1:, 1:], hermitian=True), fisher[:, 0, 1:]
    )
    return 1 - lost / np.maximum((own**2 / others).sum((1, 2)), np.finfo(float).tiny)


def information_limit(sky, dnde, response):
    """Expected TS and position covariance of each true source.

    The maps of this sky hold the sum of the sources, sampled from HEALPix pixels with
    an exposure of their own. Each source takes of it the share that its spectrum and
    the point spread function give it, so that all shares add up to the map.

    Parameters
    ----------
    sky : `~benchmarks.skies.sky235.Sky`
        The sky.
    dnde : callable
        Spectra of `load_spectra`.
    response : `~gammapy_asid.inputs.Response`
        Response in the bands of the sky.

    Returns
    -------
    ts, free : `~numpy.ndarray`
        Expected TS with all else known, and with the level of the emission free (`left_share`), shape
        ``(n_true,)``.
    covariance : `~numpy.ndarray`
        Of the position in deg2, shape ``(n_true, 2, 2)``.
    """
    counts = sub_band_counts(dnde, response)
    _, once = np.unique(sky.true_id, return_index=True)
    ts, free, covariance = *np.zeros((2, len(sky.lon))), np.zeros((len(sky.lon), 2, 2))
    radius = FREE * psf_radius(response)
    for patch in range(sky.n_patches):
        emission, sources = sky.background([patch])[0], sky.sources([patch])[0]
        # Sources outside the patch reach into it: they are in its map but not in its list
        separation = angular_separation(
            sky.lon[once], sky.lat[once], sky.center_lon[patch], sky.center_lat[patch]
        )
        around = once[separation < REACH]
        x, y = sky.sky_to_pixel(np.full(len(around), patch), sky.lon[around], sky.lat[around])
        shape = sources.shape[-2:]
        total = sum(
            source_image(*at, counts[i], response, shape) for *at, i in zip(x, y, around, strict=True)
        )
        share = sources / np.maximum(total, np.finfo(float).tiny)

        listed = np.flatnonzero(sky.patch == patch)
        x, y = sky.sky_to_pixel(sky.patch[listed], sky.lon[listed], sky.lat[listed])
        for i, xi, yi in zip(listed, x, y, strict=True):
            image = partial(source_image, counts=counts[i], response=response, shape=shape)
            own = share * image(xi, yi)
            others = emission + np.maximum(sources - own, 0)
            slope = image(xi + STEP, yi) - image(xi - STEP, yi), image(xi, yi + STEP) - image(xi, yi - STEP)
            bands = np.array([asimov_ts(*pair) for pair in zip(own, others, strict=True)])
            rows, columns = np.indices(shape)
            distance = np.hypot(rows - yi, columns - xi) * PIXEL_SIZE
            ts[i], free[i] = bands.sum(), bands @ left_share(own, others, emission, distance, radius)
            covariance[i] = position_covariance(own, share * slope / (2 * STEP * PIXEL_SIZE), others)
    return ts, free, covariance


def parser():
    """Arguments."""
    return arguments(__doc__, "limit235", data=True)


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    sky = load_sky235(args.data)
    response = sky_response(args.data)
    known, free, covariance = information_limit(sky, load_spectra(sky, args.data), response)
    result = {}
    for limit, ts, name in [
        (v, *pair) for pair in ((known, ""), (free, ", level free")) for v in (25, 18, 16, 9)
    ]:
        found = ts > limit
        row = {"recall": found.mean()} | {
            cut_name: found[cut].mean() for cut_name, cut in cuts(sky.flux, sky.lat).items()
        }
        # The significance found in one observation scatters by one around the expected one
        row["recall with Poisson scatter"] = norm.cdf(np.sqrt(ts) - np.sqrt(limit)).mean()
        result[f"TS>{limit}{name}"] = row | offset_summary(sample_offsets(covariance[found]).ravel())
    bright = sky.flux > BRIGHT
    result["S1>4.5e-10"] = offset_summary(sample_offsets(covariance[bright]).ravel())
    write(args.output, result)


if __name__ == "__main__":
    main()
