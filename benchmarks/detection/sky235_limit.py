# Licensed under a 3-clause BSD style license - see LICENSE
"""Information limit of the simulated sky 235: each true source alone, all else known."""

from functools import partial

import numpy as np
from scipy.stats import norm

from gammapy_asid.evaluation import angular_separation, offset_summary
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
    ts : `~numpy.ndarray`
        Expected TS, shape ``(n_true,)``.
    covariance : `~numpy.ndarray`
        Of the position in deg2, shape ``(n_true, 2, 2)``.
    """
    counts = sub_band_counts(dnde, response)
    _, once = np.unique(sky.true_id, return_index=True)
    ts, covariance = np.zeros(len(sky.lon)), np.zeros((len(sky.lon), 2, 2))
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
            ts[i] = asimov_ts(own, others)
            covariance[i] = position_covariance(own, share * slope / (2 * STEP * PIXEL_SIZE), others)
    return ts, covariance


def parser():
    """Arguments."""
    return arguments(__doc__, "limit235", data=True)


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    sky = load_sky235(args.data)
    response = sky_response(args.data)
    ts, covariance = information_limit(sky, load_spectra(sky, args.data), response)
    result = {}
    for limit in (25, 16, 9):
        found = ts > limit
        row = {"recall": found.mean()} | {
            name: found[cut].mean() for name, cut in cuts(sky.flux, sky.lat).items()
        }
        # The significance found in one observation scatters by one around the expected one
        row["recall with Poisson scatter"] = norm.cdf(np.sqrt(ts) - np.sqrt(limit)).mean()
        result[f"TS>{limit}"] = row | offset_summary(sample_offsets(covariance[found]).ravel())
    bright = sky.flux > BRIGHT
    result["S1>4.5e-10"] = offset_summary(sample_offsets(covariance[bright]).ravel())
    write(args.output, result)


if __name__ == "__main__":
    main()
