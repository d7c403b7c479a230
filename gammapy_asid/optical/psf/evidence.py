# Licensed under a 3-clause BSD style license - see LICENSE
"""How far a PSF may differ from a profile, as the stars tell (MacKay 1992, Neural Computation 4, 415)."""

import numpy as np
from scipy.linalg import cho_factor, cho_solve

__all__ = ["is_sampled", "most_probable"]

#: Standard deviations, relative to the profile, among which the stars choose that of what differs from it:
#: the part that is equal all around, and the rest.
RADIAL = (0.02, 0.1, 0.5)
RELATIVE = (0.005, 0.02, 0.06, 0.2, 0.6)
#: Stars with a pixel in the square between splines that are nearer than a pixel: fewer leave it open what
#: is between the pixels.
SAMPLED = 8


def most_probable(matrix, vector, spread, n_splines, n_radial, crowded, is_sampled=True):
    """Solution with those widths of the prior that make the data most probable (evidence).

    The widths are chosen one after the other: that of the radial part with the splines at their narrowest. In
    crowds it is the narrowest too, or the light of unresolved sources would be taken for wings.

    Parameters
    ----------
    matrix, vector : `~numpy.ndarray`
        Normal equations of splines, radial part, change over the field; shapes ``(n, n)``, ``(n,)``.
    spread : `~numpy.ndarray`
        Standard deviations of the prior, to be multiplied with `RELATIVE` and `RADIAL`, shape ``(n,)``.
    n_splines, n_radial : int
        Numbers of the splines and of the terms of the radial part.
    crowded : bool
        Whether the image is a crowd.
    is_sampled : bool
        Whether pixels lie between each two splines. Else they are held at the second width, or what they do
        between the pixels would be free.

    Returns
    -------
    solution : `~numpy.ndarray`
        Shape ``(n,)``.
    """

    def solve(relative, radial):
        prior = spread.copy()
        prior[:n_splines] *= relative
        prior[n_splines : n_splines + n_radial] *= radial
        # In units of the prior: the matrix is one plus what the data add
        scaled = matrix * prior * prior[:, None]
        scaled[np.diag_indices(len(prior))] += 1
        factor = cho_factor(scaled, lower=True, overwrite_a=True, check_finite=False)
        solution = cho_solve(factor, vector * prior, check_finite=False)
        evidence = 0.5 * (vector * prior) @ solution - np.log(np.diag(factor[0])).sum()
        return evidence, relative, radial, solution * prior

    relatives = RELATIVE[1:] if is_sampled else RELATIVE[1:2]
    radials = RADIAL if is_sampled and not crowded else RADIAL[:1]
    best = max((solve(RELATIVE[0], radial) for radial in radials), key=lambda found: found[0])
    return max([best] + [solve(relative, best[2]) for relative in relatives], key=lambda found: found[0])[3]


def is_sampled(spacing, n_stars):
    """Whether pixels of stars lie between each two splines, so that the stars tell their whole shape.

    Parameters
    ----------
    spacing : float
        Distance of the splines in pixels.
    n_stars : int
        Stars, each at another place on its pixel.

    Returns
    -------
    is_sampled : bool
        False for few stars narrower than the pixels show.
    """
    return spacing >= 1 or n_stars * spacing**2 > SAMPLED
