# Licensed under a 3-clause BSD style license - see LICENSE
"""How far a PSF may differ from a profile, as the stars tell (MacKay 1992, Neural Computation 4, 415)."""

import numpy as np
from scipy.linalg import cho_factor, cho_solve

__all__ = ["most_probable"]

#: Standard deviations, relative to the profile, among which the stars choose that of what differs from it:
#: the part that is equal all around, and the rest.
RADIAL = (0.02, 0.1, 0.5)
RELATIVE = (0.005, 0.02, 0.06, 0.2, 0.6)


def most_probable(matrix, vector, spread, n_splines, n_radial, crowded):
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

    radials = RADIAL[:1] if crowded else RADIAL
    best = max((solve(RELATIVE[0], radial) for radial in radials), key=lambda found: found[0])
    return max([best] + [solve(relative, best[2]) for relative in RELATIVE[1:]], key=lambda found: found[0])[
        3
    ]
