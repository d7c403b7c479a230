# Licensed under a 3-clause BSD style license - see LICENSE
"""Shares of stars, galaxies and artefacts among the sources of an image, as they change with magnitude."""

import numpy as np
from scipy.special import expit

__all__ = ["estimated_shares"]

#: Change with magnitude of the logarithm of galaxies over stars. Published counts at high latitudes make it
#: 1.1 at 17 mag, 0.8 at 20 and 0.6 at 23 in r (galaxies: Yasuda et al. 2001, AJ 122, 1104; Capak et al. 2007,
#: ApJS 172, 99; stars: Juric et al. 2008, ApJ 673, 864); towards disks counts of faint stars rise more.
SLOPE, SLOPE_SPREAD = 0.75, 0.25

#: Spread of that logarithm at the middle magnitude, and of its curvature in 1/mag2, with which the slope
#: changes by 0.5 between 17 and 23 mag.
LEVEL_SPREAD, BEND_SPREAD = 2.0, 0.05

#: Magnitudes below and above the middle between which it changes.
REACH = (-8.0, 4.0)

#: Magnitudes over which the share of artefacts changes, sources by which that at one magnitude is drawn to
#: that of the whole image, and that of the whole image to the usual one.
WIDTH, OWN, WHOLE = 0.5, 4.0, 4.0

#: Rounds of the maximisation: shares settle to a thousandth.
ROUNDS = 60


def estimated_shares(likelihood, magnitude, usual):
    """Shares under which what is seen of the sources is most likely, together with what is known in general.

    Expectation maximisation (Saerens et al. 2002, Neural Computation 14, 21). The logarithm of galaxies over
    stars is a parabola in magnitude with a prior: where stars and galaxies look alike, it goes on from where
    they do not. Sources count by how well the two are told apart at their magnitude, since a little error of
    many likelihoods, all to one side, would weigh more than the few that are sure.

    Parameters
    ----------
    likelihood : `~numpy.ndarray`
        Of star, galaxy and artefact up to a factor, shape ``(n, 3)``.
    magnitude : `~numpy.ndarray`
        Magnitudes of any zero point, shape ``(n,)``.
    usual : `~numpy.ndarray`
        Shares of the three without any knowledge of the image.

    Returns
    -------
    shares : `~numpy.ndarray`
        Shape ``(n, 3)``, rows add to one.
    """
    knots = np.arange(magnitude.min(), magnitude.max() + WIDTH / 2, WIDTH / 2)
    near = np.exp(-0.5 * ((magnitude[:, None] - knots) / WIDTH) ** 2)
    counts = near.sum(axis=0)

    def smooth(values, level):
        at_knots = (near.T @ values + OWN * level) / (counts + OWN)
        return np.interp(magnitude, knots, at_knots)

    star, galaxy, _ = (likelihood * usual).T
    # Squared once more: many that tell next to nothing should not weigh as much as a few
    apart = smooth(((galaxy - star) / np.maximum(galaxy + star, 1e-300)) ** 2, 0.0) ** 2
    place = np.clip(magnitude - np.median(magnitude), *REACH)
    design = np.stack([np.ones_like(place), place, place**2], axis=1)
    mean, pull = np.array([0, SLOPE, 0]), np.array([LEVEL_SPREAD, SLOPE_SPREAD, BEND_SPREAD]) ** -2.0
    parabola, artefact = mean.copy(), np.full(len(place), usual[2])
    for _ in range(ROUNDS):
        share = expit(design @ parabola)
        posterior = likelihood * _joined(share, artefact)
        posterior /= np.maximum(posterior.sum(axis=1, keepdims=True), 1e-300)
        level = (posterior[:, 2].sum() + WHOLE * usual[2]) / (len(place) + WHOLE)
        artefact = smooth(posterior[:, 2], level)
        # A step of Newton's method for a logistic regression on what galaxies are expected
        weight = apart * (1 - posterior[:, 2])
        gradient = design.T @ (apart * posterior[:, 1] - weight * share) - pull * (parabola - mean)
        curvature = (design * (weight * share * (1 - share))[:, None]).T @ design + np.diag(pull)
        parabola = parabola + np.linalg.solve(curvature, gradient)
    return _joined(expit(design @ parabola), artefact)


def _joined(galaxy, artefact):
    return np.stack([(1 - galaxy) * (1 - artefact), galaxy * (1 - artefact), artefact], axis=1)
