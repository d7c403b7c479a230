# Licensed under a 3-clause BSD style license - see LICENSE
"""Parts of a map without data, which look like parts without photons."""

import numpy as np
from gammapy.maps import HpxGeom
from scipy.ndimage import binary_dilation, distance_transform_cdt
from scipy.optimize import brentq

from ..utils.digests import digest
from .rebin import block_sum, pad_to_block

__all__ = ["unobserved"]

#: Expected counts from which a window without any shows that nothing was observed there. Predictions may be
#: wrong by a factor, and a large map holds 1e5 windows and more.
ENOUGH = 50.0
#: The same where there is no prediction, but a level from the counts themselves.
ENOUGH_OF_COUNTS = 100.0
#: Heights over widths of windows.
ASPECTS = (1, 4, 1 / 4, 16, 1 / 16)
#: Counts of the cells that tell the lowest level of a map, and which quantile that is.
CELL_COUNTS, LOWEST = 5, 0.1
#: Results that are kept.
KEPT = 16
#: Cells of the first look that hold as many expected counts as a window needs.
CELLS = 64
#: An energy bin without any counts is judged by the level of all bins, give or take this factor.
BIN_FACTOR = 5.0


def unobserved(counts, expected, valid, geom):
    """Pixels whose zero counts can only mean that nothing was observed.

    These form windows that hold no counts at all where many are expected: the sky outside the region of a
    selection of events, a hole, a strip, or an energy bin. The prediction is scaled to the counts where it
    is higher. Without a prediction the lowest level of the counts themselves stands for it, in all
    energies together.

    Parameters
    ----------
    counts : `~numpy.ndarray`
        Counts, shape ``(n_energies, ...)``.
    expected : `~numpy.ndarray`, optional
        Their prediction, same shape.
    valid : `~numpy.ndarray`
        True for pixels that count, same shape.
    geom : `~gammapy.maps.WcsGeom` or `~gammapy.maps.HpxGeom`
        Image geometry.

    Returns
    -------
    unobserved : `~numpy.ndarray`
        True for such pixels among the valid ones, same shape.
    """
    key = digest([counts, expected, valid, geom])
    if key not in _found:
        if len(_found) >= KEPT:
            del _found[next(iter(_found))]
        _found[key] = np.packbits(_unobserved(counts, expected, valid, geom))
    return np.unpackbits(_found[key], count=counts.size).astype(bool).reshape(counts.shape)


#: Results by the digest of what they were made from: each estimator prepares the same data again.
_found = {}


def _unobserved(counts, expected, valid, geom):
    fold = _Fold(geom)
    counts = np.where(valid, np.nan_to_num(counts), 0)
    missing = np.zeros(counts.shape, bool)
    total = fold.image(counts.sum(axis=0))
    if expected is None:
        area = np.nan_to_num(geom.solid_angle().to_value("deg2")) * np.ones(geom.data_shape)
        area = fold.image(np.where(valid.any(axis=0), area, 0))
        missing |= fold.flat(_empty_windows(total, _lowest_level(total, area) * area, ENOUGH_OF_COUNTS))
        return missing & valid
    expected = np.where(valid, np.nan_to_num(expected), 0)
    missing |= fold.flat(_empty_windows(total, fold.image(expected.sum(axis=0)), ENOUGH))
    there = ~missing.any(axis=0)
    level = _level(counts.sum(axis=0)[there] > 0, expected.sum(axis=0)[there])
    for own, predicted, lost in zip(counts, expected, missing, strict=True):
        if own.any():
            # What lies beside parts that are found already has to be empty for itself
            predicted = np.where(lost, 0, predicted)
            lost |= fold.flat(_empty_windows(fold.image(own), fold.image(predicted), ENOUGH))
        elif level * predicted.sum() > BIN_FACTOR * ENOUGH:
            lost[...] = True
    return missing & valid


class _Fold:
    """Images of a map as stacks of rectangles: one for WCS, faces of the sphere for HEALPix."""

    def __init__(self, geom):
        self.shape, self.place = geom.data_shape, None
        if isinstance(geom, HpxGeom):
            import healpy

            nside, sky = int(geom.nside[0]), geom.get_coord().skycoord.spherical
            ipix = healpy.ang2pix(nside, sky.lon.deg.ravel(), sky.lat.deg.ravel(), lonlat=True)
            x, y, face = healpy.pix2xyf(nside, ipix)
            # A map of a part of the sky has few faces, and only a part of them
            self.place = np.unique(face, return_inverse=True)[1], y - y.min(), x - x.min()

    def image(self, values):
        """Stack of images, shape ``(n, ny, nx)``."""
        if self.place is None:
            return values[None]
        image = np.zeros([int(index.max()) + 1 for index in self.place], dtype=values.dtype)
        image[self.place] = values.ravel()
        return image

    def flat(self, image):
        """Values in the shape of the map."""
        return image[0] if self.place is None else image[self.place].reshape(self.shape)


def _lowest_level(counts, area):
    """Counts per deg2 where the map has the fewest, without those parts that have none."""
    side = 1
    while side < max(counts.shape[1:]):
        cells, size = (_cells(image, side) for image in (counts, area))
        good = (cells > 0) & (size > 0.5 * size.max())
        if good.any() and np.quantile(cells[good], LOWEST) >= CELL_COUNTS:
            return np.quantile(cells[good] / size[good], LOWEST)
        side *= 2
    return 0.0


def _cells(image, side):
    """Sums over square cells, with zeros beyond the rim."""
    return block_sum(pad_to_block(image, side), side)


def _empty_windows(counts, expected, enough):
    """Pixels of windows without counts where enough are expected, with the pixels at their rim."""
    missing = np.zeros(counts.shape, bool)
    if counts.sum() == 0 or expected.sum() < enough:
        return missing
    occupied = counts > 0
    # First on coarse cells, of which a window without counts holds some that are quite inside
    side = int(np.sqrt(enough / CELLS / expected.max()))
    if side > 1:
        cells = _cells(occupied.astype(int), side) > 0
        if not _windows(cells, _cells(expected, side), enough / 4).any():
            return missing
    for _ in range(10):
        # What was not observed says nothing of how well the prediction fits
        scale = _level(occupied[~missing], expected[~missing])
        now = _windows(occupied, scale * expected, enough)
        if np.array_equal(now, missing):
            break
        missing = now
    # Pixels at the rim are partly observed
    return binary_dilation(missing, np.ones((1, 3, 3), bool)) if missing.any() else missing


def _level(occupied, expected):
    """Counts over their prediction, at most 1, such that the right number of pixels holds any.

    A few bright sources that are not part of the prediction hardly change it.
    """
    good = expected > 0
    number = np.count_nonzero(occupied & good)
    # Many pixels in few classes of about the same prediction
    log = np.log(expected[good])
    in_class, edges = np.histogram(log, bins=200)
    per_pixel = np.exp(0.5 * (edges[1:] + edges[:-1]))

    def excess(log_level):
        return -in_class @ np.expm1(-np.exp(log_level) * per_pixel) - number

    if number == 0 or excess(0) <= 0:
        return min(number, 1.0)
    return np.exp(brentq(excess, -40, 0))


def _windows(occupied, expected, enough):
    """Union of the windows of several sizes that are not occupied where enough is expected."""
    union = np.zeros(occupied.shape, bool)
    filled, level = _integral(occupied), _integral(expected)
    largest = max(occupied.shape[1:])
    distance = np.stack([_distance(image, largest) for image in occupied])
    for aspect in ASPECTS:
        # Empty windows are no wider than twice the distance to the next count, and few can hold enough
        longer = max(aspect, 1 / aspect) * distance
        possible = expected.max() * (2.0 * distance - 1) * (2 * longer + 1) >= enough
        # Windows around these pixels may be empty; where one is not, larger ones are not either
        centres = np.nonzero((expected > 0) & possible)
        half = 0.5
        while half < 2 * largest and len(centres[0]):
            reach = int(half * np.sqrt(aspect)), int(half / np.sqrt(aspect))
            half *= np.sqrt(2)
            window = _window(centres, reach, occupied.shape)
            empty = _sums(filled, window) == 0
            centres, window = ([part[empty] for part in parts] for parts in (centres, window))
            enclosed = _sums(level, window)
            if (enclosed >= enough).any():
                union |= _cover([part[enclosed >= enough] for part in window], occupied.shape)
            # Larger windows than these are made of smaller ones that are empty as well
            centres = [part[enclosed < 4 * enough] for part in centres]
    return union


def _distance(occupied, largest):
    """Distance of pixels to the next occupied one in pixels, along the farther axis."""
    if not occupied.any():
        return np.full(occupied.shape, largest)
    return distance_transform_cdt(~occupied, "chessboard")


def _integral(image):
    """Sums over all pixels below and left, with a border of zeros."""
    image = image.astype(int if image.dtype == bool else float)
    return np.pad(image.cumsum(axis=1).cumsum(axis=2), ((0, 0), (1, 0), (1, 0)))


def _window(centres, reach, shape):
    """Image and limits in y and x of the windows around pixels, as far as they lie in the image."""
    number, *place = centres
    limits = [
        limit
        for at, far, size in zip(place, reach, shape[1:], strict=True)
        for limit in (np.maximum(at - far, 0), np.minimum(at + far + 1, size))
    ]
    return number, *limits


def _sums(integral, window):
    """Sums over windows."""
    n, y0, y1, x0, x1 = window
    return integral[n, y1, x1] - integral[n, y0, x1] - integral[n, y1, x0] + integral[n, y0, x0]


def _cover(window, shape):
    """Pixels in any of the windows."""
    n, y0, y1, x0, x1 = window
    change = np.zeros((shape[0], shape[1] + 1, shape[2] + 1), int)
    for y, x, sign in ((y0, x0, 1), (y1, x1, 1), (y0, x1, -1), (y1, x0, -1)):
        np.add.at(change, (n, y, x), sign)
    return change.cumsum(axis=1).cumsum(axis=2)[:, :-1, :-1] > 0
