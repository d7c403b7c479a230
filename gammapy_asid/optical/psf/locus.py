# Licensed under a 3-clause BSD style license - see LICENSE
"""Where stars are among the shapes of sources: one place for all of them, unlike galaxies and cosmic rays."""

import numpy as np

__all__ = ["find_locus"]

#: Change of the sizes and ellipticities of stars over the field.
SIZE_SPREAD = 0.03
#: Standard deviation of the kernel that smooths the density of all shapes: galaxies differ by more.
SMOOTH = 0.11
#: Shares of stars among the sources that are tried.
SHARES = np.array([0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 0.95])
#: Gain in the logarithm of the likelihood from which on stars are certain, in all and by star. On simulated
#: images with as few as 3 stars, or 8 among 300 galaxies, it is 10 or more and 1.6 or more by star; on those
#: without a star up to 23 in all (it grows with the number of galaxies), but at most 0.6 by star.
CERTAIN, BY_STAR = 6.0, 1.0
#: The same relative to the greatest gain of all: three cosmic rays among many stars may be alike.
RELATIVE = 0.2


def find_locus(moments):
    """Sources of the shape of stars.

    Sources are a mixture of stars, which have one shape but for its error, and of all else, whose density of
    shapes is smooth. Each source in turn is tried as the place of the stars by the likelihood of all others.
    Nothing is smaller than a star, so of the places that gain enough the smallest is taken.

    Parameters
    ----------
    moments : `~gammapy_asid.optical.psf.candidates.Moments`
        Sources.

    Returns
    -------
    members : `~numpy.ndarray`
        Which sources are stars rather than not, bool of shape ``(n,)``.
    middle : int
        The source in the middle of their place.
    is_certain : bool
        Whether they are stars beyond doubt, or only the best that there is.
    """
    features = np.column_stack([np.log(moments.sigma), *moments.ellipticity])
    distance = ((features[:, None] - features) ** 2).sum(-1)
    variance = np.add.outer(moments.error**2, moments.error**2)
    smooth = _normal(distance, variance + SMOOTH**2)
    np.fill_diagonal(smooth, 0)
    # Alone a source has no density around it: one that is as wide as that of all shapes
    smooth = (smooth.sum(1) + _normal(0, 0.5**2)) / len(moments)
    ratio = _normal(distance, variance) / smooth
    np.fill_diagonal(ratio, 1)
    gains = np.array([np.log1p(share * (ratio - 1)).sum(1) for share in SHARES])
    share, gain = SHARES[gains.argmax(0)], gains.max(0)
    members = share[:, None] * _normal(distance, variance + SIZE_SPREAD**2) > (1 - share[:, None]) * smooth
    np.fill_diagonal(members, True)
    highest = ((distance > 16 * variance) | (gain[:, None] >= gain)).all(1)
    certain = highest & (gain >= np.maximum(CERTAIN, BY_STAR * members.sum(1)))
    certain &= gain >= RELATIVE * gain.max()
    # Five galaxies may be alike too, but most others are smaller
    size = features[:, 0]
    is_smaller = np.subtract.outer(size, size) > 3 * np.sqrt(variance + SIZE_SPREAD**2)
    certain &= is_smaller.sum(1) <= members.sum(1)
    places = np.flatnonzero(certain if certain.any() else highest & (gain >= gain.max() / 2))
    middle = places[np.argmin(moments.sigma[places])]
    return members[middle], middle, bool(certain.any())


def _normal(distance, variance):
    """Density of a normal distribution in three dimensions."""
    return np.exp(-0.5 * distance / variance) * (2 * np.pi * variance) ** -1.5
