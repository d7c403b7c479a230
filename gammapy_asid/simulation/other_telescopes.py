# Licensed under a 3-clause BSD style license - see LICENSE
"""Places as other imaging telescopes see them: other point spread functions and backgrounds."""

from dataclasses import replace

import numpy as np

from ..inputs.response import RAD, normalise_psf

__all__ = ["other_telescope"]

#: How fast the width may fall with energy, as the exponent of a power law: that of H.E.S.S. hardly does.
LARGEST_SLOPE = 0.25
#: Share of the photons in a second, wider Gaussian, and its width over that of the first.
TAIL, TAIL_WIDTH = (0.0, 0.35), (1.7, 3.0)
#: Share of telescopes without a second Gaussian.
PURE = 0.4
#: Interval of the exponent by which the spectrum of the background differs.
BACKGROUND_SLOPE = (-0.3, 0.3)


def other_telescope(place, rng, width, background):
    """A place as another telescope sees it.

    The point spread function is a Gaussian, or two of them, whose width falls with energy.

    Parameters
    ----------
    place : `~gammapy_asid.simulation.scenes.StampResponse`
        Place with the exposure of the result.
    rng : `~numpy.random.Generator`
        Source of the draws.
    width : tuple of float
        Interval of the Gaussian width in deg, drawn logarithmically.
    background : tuple of float
        Interval of the background over that of the place, drawn logarithmically.

    Returns
    -------
    place : `~gammapy_asid.simulation.scenes.StampResponse`
        The other place.
    """
    response = place.response
    edges = np.nan_to_num(response.sub_edges, nan=1e3)
    tev = np.sqrt(edges[:, 1:] * edges[:, :-1]) / 1e3
    sigma = np.exp(rng.uniform(*np.log(width))) * tev ** -rng.uniform(0, LARGEST_SLOPE)
    sigma = np.clip(sigma, *width)
    tail = rng.uniform(*TAIL) * (rng.random() >= PURE)
    tail_sigma = sigma * rng.uniform(*TAIL_WIDTH)
    density = sum(
        share / s[..., None] ** 2 * np.exp(-0.5 * (RAD / s[..., None]) ** 2)
        for share, s in ((1 - tail, sigma), (tail, tail_sigma))
    )
    factor = np.exp(rng.uniform(*np.log(background)))
    middle = np.sqrt(np.array(response.bands.edges[1:]) * np.array(response.bands.edges[:-1])) / 1e3
    factor = factor * middle ** rng.uniform(*BACKGROUND_SLOPE)
    return replace(
        place,
        response=replace(response, psf=normalise_psf(density)),
        background=place.background * factor[:, None, None],
        other=True,
    )
