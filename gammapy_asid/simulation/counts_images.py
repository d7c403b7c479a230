# Licensed under a 3-clause BSD style license - see LICENSE
"""Counts and sources of patches as images that a network can learn, and back.

Counts are stabilised after Anscombe 1948 (Biometrika 35, 246): the noise of an image of many counts is one
everywhere. Each source is a Gaussian mark, whose height tells its expected significance.
"""

import torch
import torch.nn.functional as F

__all__ = ["FAINTEST", "counts_of", "mark_sources", "read_marks", "stabilised"]

#: Expected significance of the faintest sources that are marked, from which a detection counts.
FAINTEST = 2.0
#: Standard deviation of a mark in finest pixels: ratios of neighbours tell its middle.
WIDTH = 1.0
#: Lowest height of what is read as a mark. Those of the faintest sources have a height of one; a generated
#: image has some noise.
LOWEST = 0.7
#: Lowest value of a pixel in the logarithms that tell the middle of a mark.
FLOOR = 0.05


def stabilised(counts):
    """Counts with noise of unit variance, ``2 sqrt(counts + 3/8)``.

    Parameters
    ----------
    counts : `~torch.Tensor`
        Counts.
    """
    return 2 * torch.sqrt(counts + 0.375)


def counts_of(values):
    """Counts of stabilised ones, rounded; undoes `stabilised`.

    Parameters
    ----------
    values : `~torch.Tensor`
        Stabilised counts.
    """
    return torch.round((values.clamp(min=0) / 2) ** 2 - 0.375).clamp(min=0)


def mark_sources(patch, x, y, significance, n_patches, size):
    """Image of the sources of patches.

    Parameters
    ----------
    patch, x, y, significance : `~torch.Tensor`
        Patch, position in pixels and expected significance of each source, shape ``(n_sources,)``. Those
        fainter than `FAINTEST` and those outside of their patch are left out.
    n_patches, size : int
        Number of patches and their side in pixels.

    Returns
    -------
    marks : `~torch.Tensor`
        Shape ``(n_patches, size, size)``. The mark of a source has the height ``1 + ln(significance / 2)``;
        where marks overlap the higher one counts.
    """
    inside = (x > -0.5) & (x < size - 0.5) & (y > -0.5) & (y < size - 0.5)
    kept = inside & (significance >= FAINTEST)
    patch, x, y, significance = (v[kept] for v in (patch, x, y, significance))
    grid = torch.arange(size, device=x.device)
    along_x, along_y = (torch.exp(-0.5 * ((v[:, None] - grid) / WIDTH) ** 2) for v in (x, y))
    height = 1 + torch.log(significance / FAINTEST)
    own = height[:, None, None] * along_y[:, :, None] * along_x[:, None, :]
    marks = torch.zeros(n_patches, size**2, device=x.device)
    marks.scatter_reduce_(0, patch[:, None].expand(-1, size**2), own.flatten(1), "amax")
    return marks.view(n_patches, size, size)


def read_marks(marks):
    """Sources of an image of them: its peaks; undoes `mark_sources` where sources are apart.

    Parameters
    ----------
    marks : `~torch.Tensor`
        Shape ``(n_patches, size, size)``.

    Returns
    -------
    patch, x, y, significance : `~torch.Tensor`
        Patch, position in pixels and expected significance of each source, shape ``(n_sources,)``.
    """
    highest = F.max_pool2d(marks[:, None], 3, 1, 1)[:, 0]
    patch, row, column = torch.nonzero((marks == highest) & (marks > LOWEST / 2), as_tuple=True)
    # Beyond the edge nothing is known
    logarithm = torch.log(F.pad(marks.clamp(min=FLOOR), (1, 1, 1, 1), value=torch.nan))
    row, column = row + 1, column + 1
    middle = logarithm[patch, row, column]
    shift_x = _shift(logarithm[patch, row, column - 1], middle, logarithm[patch, row, column + 1])
    shift_y = _shift(logarithm[patch, row - 1, column], middle, logarithm[patch, row + 1, column])
    height = torch.exp(middle + (shift_x**2 + shift_y**2) / (2 * WIDTH**2))
    kept = height > LOWEST
    x, y = column - 1 + shift_x, row - 1 + shift_y
    # What is read lower than the faintest mark is one of these, with noise
    significance = FAINTEST * torch.exp((height - 1).clamp(min=0))
    return tuple(v[kept] for v in (patch, x, y, significance))


def _shift(before, middle, after):
    """Middle of a mark from the logarithms of three pixels, of which one beside may be NaN."""
    sides = torch.stack([-0.5 - WIDTH**2 * (before - middle), 0.5 + WIDTH**2 * (after - middle)])
    return sides.nanmean(0).clamp(-0.5, 0.5)
