# Licensed under a 3-clause BSD style license - see LICENSE
"""Trails as lines: pieces that the network sees, joined and followed through gaps and stars."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import binary_dilation, map_coordinates
from scipy.special import expit
from skimage.morphology import remove_small_objects, skeletonize
from skimage.transform import probabilistic_hough_line

__all__ = ["trail_pixels"]

#: Logit of the network from which on pixels may begin a line: one in three are of trails.
SEED = -0.5

#: Least length of a piece in pixels, and largest gap in it; a line is half as long again, and eight times as
#: long as wide, which is 16 times half of its width. Cosmic rays and galaxies seen edge-on are shorter.
PIECE, GAP, LONGER, SLENDER = 20, 6, 1.5, 16

#: Length in pixels of the windows along a line that are judged one by one, each half in the next.
WINDOW = 24

#: Significance of light in a window, and least mean probability there, with which a line goes on; or the
#: probability alone.
SIGNIFICANT, HINT, LIKELY = 4.0, 0.02, 0.3

#: Windows without a sign of the line behind which it has ended.
LOST = 4

#: Sides of a line in pixels on which the sky beside it is measured, and the distance from it.
BESIDE, AWAY = 8, 1.5

#: Signal in units of the noise beyond which a pixel belongs to a star and counts as that much.
CLIP = 5.0

#: Light in units of the noise below which a pixel hardly belongs to a line: chosen on simulated images.
FAINT = 0.2

#: Largest curvature in 1 / pixel: satellites and aeroplanes cross images in nearly straight lines.
BENT = 2e-3

#: Steps in which a line grows at most; each may double it.
ROUNDS = 40

#: Pixels beside a line that belong to it where others begin, and their share in a piece that does.
TAKEN, SHARED = 3, 0.5


@dataclass(frozen=True)
class _Curve:
    """A bent line: offset across a straight one by a polynomial in the distance along it."""

    x: float
    y: float
    cosine: float
    sine: float
    bend: tuple
    start: float
    stop: float
    half: float = 0.0

    def places(self, along, across):
        """Pixels x and y, shape ``(len(along), len(across))``."""
        along = along[:, None]
        offset = np.polyval(self.bend, along) + across
        return self.x + along * self.cosine - offset * self.sine, (
            self.y + along * self.sine + offset * self.cosine
        )

    def pixels(self, shape):
        """Pixels of the line, bool."""
        dy, dx = (
            axis - place
            for axis, place in zip(np.ogrid[: shape[0], : shape[1]], (self.y, self.x), strict=True)
        )
        along = dx * self.cosine + dy * self.sine
        across = dy * self.cosine - dx * self.sine - np.polyval(self.bend, along)
        return (np.abs(across) <= self.half) & (along >= self.start) & (along <= self.stop)


@dataclass(frozen=True)
class _Windows:
    """Windows along a line, arrays ``(n,)``: middle, significance, mean probability, centre, weight."""

    along: np.ndarray
    significance: np.ndarray
    chance: np.ndarray
    centre: np.ndarray
    weight: np.ndarray

    @property
    def blind(self):
        """Windows without enough pixels to tell."""
        return ~np.isfinite(self.significance)

    @property
    def good(self):
        """Windows in which the line is seen."""
        seen = (self.significance > SIGNIFICANT) & (self.chance > HINT)
        return ~self.blind & (seen | (self.chance > LIKELY))


def trail_pixels(logits, signal, valid, fwhm):
    """Pixels of the trails of an image.

    The network sees 44 pixels around each; a trail goes on for hundreds. Straight pieces of what it marks (by
    a Hough transform) are followed as long as its light or the network's probability shows, through stars
    that hide it; what is no line, such as rings and edges of galaxies, is left out.

    Parameters
    ----------
    logits : `~numpy.ndarray`
        Logit of the probability that a pixel belongs to a trail, shape ``(ny, nx)``.
    signal : `~numpy.ndarray`
        Image in units of the noise, of the same shape.
    valid : `~numpy.ndarray`
        Pixels with data, bool.
    fwhm : float
        Width of the point spread function in pixels.

    Returns
    -------
    pixels : `~numpy.ndarray`
        Bool, of the same shape.
    """
    pixels = np.zeros(logits.shape, bool)
    seeds = remove_small_objects((logits > SEED) & valid, max_size=PIECE)
    if not seeds.any():
        return pixels
    chance = expit(logits.astype(np.float32)) * valid
    light = np.where(valid, np.clip(signal, -CLIP, CLIP), np.nan)
    taken = np.zeros(logits.shape, bool)
    for curve in _pieces(seeds):
        place = [
            np.round(v).astype(int) for v in curve.places(np.arange(curve.start, curve.stop), np.zeros(1))
        ]
        if taken[place[1], place[0]].mean() > SHARED:
            continue
        curve = _followed(curve, chance, light, fwhm)
        if curve is not None:
            own = curve.pixels(logits.shape)
            pixels |= own
            taken |= binary_dilation(own, iterations=TAKEN)
    return pixels & valid


def _pieces(seeds):
    """Straight pieces of what is marked, the longest first."""
    found = probabilistic_hough_line(
        skeletonize(seeds), threshold=PIECE // 2, line_length=PIECE, line_gap=GAP, rng=0
    )
    ends = np.array(found, float).reshape(-1, 2, 2)
    length = np.hypot(*(ends[:, 1] - ends[:, 0]).T)
    for i in np.argsort(-length, kind="stable"):
        middle, (cosine, sine) = ends[i].mean(0), (ends[i, 1] - ends[i, 0]) / length[i]
        yield _Curve(*middle, cosine, sine, (0.0,), -length[i] / 2, length[i] / 2)


def _followed(curve, chance, light, fwhm):
    """The curve as far as it shows, None if it is no line."""
    across = np.arange(-np.ceil(2 * fwhm + BESIDE + 2), np.ceil(2 * fwhm + BESIDE + 2) + 1)
    for i in range(ROUNDS):
        before = curve
        curve, share = _longer(curve, chance, light, fwhm, across)
        if curve is None or (len(curve.bend) == 3 and abs(curve.bend[0]) > BENT / 2):
            return None
        moved = max(abs(curve.start - before.start), abs(curve.stop - before.stop))
        if moved < WINDOW / 2 and i > 1:
            break
    length = curve.stop - curve.start
    if length < max(LONGER * PIECE, SLENDER * curve.half) or share < SHARED:
        return None
    return curve


def _longer(curve, chance, light, fwhm, across):
    """The curve after a look beyond both ends, and the share of its windows that show it."""
    reach = np.clip((curve.stop - curve.start) / 2, WINDOW, 3 * WINDOW)
    count = int(np.ceil((curve.stop - curve.start + 2 * reach) / (WINDOW // 2))) + 1
    along = np.floor(curve.start - reach) + np.arange(count * (WINDOW // 2))
    x, y = curve.places(along, across)
    strips = [map_coordinates(image, [y, x], order=1, cval=np.nan) for image in (chance, light)]
    known = (along >= curve.start) & (along <= curve.stop)
    middle, half = _width(*(strip[known] for strip in strips), across)
    half = max(half, fwhm / 2)
    windows = _windows(along, across - middle, half, *strips)
    first, last = _run(windows, (curve.start + curve.stop) / 2)
    own = np.arange(first, last + 1)
    seen = own[windows.good[own]]
    if len(seen) < 2:
        return None, 0.0
    start, stop = (windows.along[k] + side * WINDOW / 4 for k, side in ((first, -1), (last, 1)))
    # Two ends tell no bend, and a short line tells none that would hold beyond it
    degree = 2 if stop - start > 3 * WINDOW and len(seen) > 3 else 1
    shift = np.polyfit(
        windows.along[seen], windows.centre[seen] + middle, degree, w=np.sqrt(windows.weight[seen])
    )
    bend = tuple(np.polyadd(curve.bend, shift))
    return replace(curve, bend=bend, start=start, stop=stop, half=half), len(seen) / len(own)


def _width(chance, light, across):
    """Middle and half of the width of a line, where probability and light say it is one."""
    chance = np.nan_to_num(chance).mean(0)
    seen = np.isfinite(light).any(0)
    light = np.nanmedian(np.where(seen, light, 0.0), axis=0)
    centre = len(across) // 2
    top = centre - 2 + int(np.argmax(chance[centre - 2 : centre + 3]))
    outside = chance <= 0.5 * chance[top]
    excess = light - np.median(light[outside & seen]) if (outside & seen).any() else light
    # The network marks the blur around bright lines, too, and tells no more of those that are hardly seen
    if excess[top] > 2 * FAINT:
        outside |= excess < FAINT
    below = np.flatnonzero(outside)
    first = below[below < top].max(initial=-1) + 1
    last = below[below > top].min(initial=len(across)) - 1
    return (across[first] + across[last]) / 2, (last - first + 1) / 2


def _windows(along, across, half, chance, light):
    """What windows along a line show of it: medians along it, which stars hardly change."""
    parts = [sliding_window_view(v, WINDOW, axis=0)[:: WINDOW // 2] for v in (chance, light)]
    distance = np.abs(across)
    inner = distance <= half
    beside = (distance > half + AWAY) & (distance <= half + AWAY + BESIDE)
    seen = np.isfinite(parts[1])
    count, others = (seen[:, part].sum((1, 2)) for part in (inner, beside))
    enough = (count > 0.3 * WINDOW * inner.sum()) & (others > WINDOW)
    chance, light = (part[enough] for part in parts)
    empty = ~np.isfinite(light).any(2, keepdims=True)
    column = np.nanmedian(np.where(empty, 0.0, light), axis=2)
    sky = light[:, beside]
    level = np.nanmedian(sky, axis=(1, 2))
    # Half of a unit: in clipped crowds nothing else would be left of the scatter
    noise = np.maximum(1.4826 * np.nanmedian(np.abs(sky - level[:, None, None]), axis=(1, 2)), 0.5)
    excess = column - level[:, None]
    # The error of a median is a quarter larger than that of a mean
    error = 1.25 * noise * np.sqrt(1 / count[enough] + 1 / others[enough])
    mean = np.nan_to_num(chance).mean(2)
    near = distance <= half + 2
    weight = np.clip(excess, 0, None)[:, near] + 3 * mean[:, near]
    total = np.maximum(weight.sum(1), 1e-6)
    columns = np.full((4, len(enough)), np.nan)
    columns[:, enough] = (
        excess[:, inner].mean(1) / error,
        mean[:, inner].mean(1),
        weight @ across[near] / total,
        total,
    )
    middle = along[: len(along) - WINDOW + 1 : WINDOW // 2] + (WINDOW - 1) / 2
    return _Windows(middle, *columns)


def _run(windows, place):
    """First and last window of a line through a place, with gaps of less than `LOST` windows."""
    begin = int(np.argmin(np.abs(windows.along - place)))
    ends = []
    for direction in (-1, 1):
        order = np.arange(begin, len(windows.along) if direction > 0 else -1, direction)
        # Windows that see nothing, such as masked ones, count half
        cost = np.where(windows.good[order], 0, np.where(windows.blind[order], 0.5, 1.0))
        total = np.cumsum(cost)
        since = total - np.maximum.accumulate(np.where(windows.good[order], total, 0))
        lost = np.flatnonzero(since > LOST)
        reached = order[: lost[0]] if len(lost) else order
        seen = reached[windows.good[reached]]
        ends.append(seen[-1] if len(seen) else begin)
    return ends
