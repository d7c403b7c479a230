# Licensed under a 3-clause BSD style license - see LICENSE
"""Sky of blocks where sources lie on sources, told from the blocks around."""

import numpy as np
from scipy.ndimage import distance_transform_edt

__all__ = ["beside_crowds"]

#: Share of the blocks of an image that have the spread of the sky and little else.
CALM = 0.2

#: Spread over that of calm blocks from which sources are taken for its reason: vignetting changes it less.
NOISY = 1.3

#: Least excess of the level over that of calm blocks, in units of their spread: deeper and shallower parts of
#: a mosaic differ in noise, not in level.
BRIGHT = 1.0


def beside_crowds(level, noise, spread):
    """Level and noise of the sky on a mesh, without what crowds of sources and large galaxies add.

    In the core of a cluster of stars no pixel shows the sky: what any statistic of the pixels gives there is
    made by stars, many times above noise and level of the sky, and would hide the fainter ones. Such blocks
    get the values of the nearest calm ones.

    Parameters
    ----------
    level, noise, spread : `~numpy.ndarray`
        Level and noise of each block, and how far its pixels spread, shape ``(rows, columns)``.

    Returns
    -------
    level, noise : `~numpy.ndarray`
        Same shape.
    """
    reference = np.quantile(spread, CALM)
    calm = spread <= NOISY * reference
    excess = level - np.median(level[calm])
    crowded = ~calm & (excess > BRIGHT * reference)
    if not crowded.any():
        return level, noise
    nearest = tuple(distance_transform_edt(crowded, return_distances=False, return_indices=True))
    return level[nearest], noise[nearest]
