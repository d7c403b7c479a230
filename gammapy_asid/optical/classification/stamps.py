# Licensed under a 3-clause BSD style license - see LICENSE
"""What the classifier sees of each source: stamps without neighbours, and what fits say of them."""

from dataclasses import dataclass
from typing import NamedTuple

import torch

from ...utils.tensor_rows import TensorRows
from ..fit.joint import joint_fit
from ..fit.profiles import nearest_pixels
from ..fit.stamps import source_stamps
from .evidence import likelihood_gains
from .templates import TEMPLATES, places, template_tables

__all__ = ["N_CHANNELS", "N_NUMBERS", "SIZE", "ClassStamps", "cut_sources"]

#: Side of the stamps in pixels: for the widest point spread function (FWHM 6 pixels) 3.5 times that.
SIZE = 21

#: Channels of the stamps, and numbers beside them.
N_CHANNELS = 6
N_NUMBERS = 2 * (len(TEMPLATES) - 1) + 16

#: Inclined disks at the end of the templates.
N_ANGLES = 4

#: Outer radii over the width of the point spread function of what counts as core, its edge and around it.
RINGS = (0.6, 1.2, 2.0)

#: Smallest variance, and share of a star's light on usable pixels without which nothing is said.
LEAST, SEEN = 1e-2, 0.1

#: Sources in memory at a time.
_CHUNK = 512


@dataclass
class ClassStamps(TensorRows):
    """Sources as the classifier sees them; tensors with a row a source.

    Parameters
    ----------
    pixels : `~torch.Tensor`
        Source, its fit as a star and what is left, in units of the noise; what is left in units of the star's
        peak; neighbours; usable pixels. Shape ``(k, N_CHANNELS, SIZE, SIZE)``.
    numbers : `~torch.Tensor`
        Gains in likelihood by galaxies of several sizes, and what else fits say, shape ``(k, N_NUMBERS)``.
    magnitude : `~torch.Tensor`
        ``-2.5 log10`` of the flux of the fit as a star over the noise of a pixel, NaN where there is none.
    snr : `~torch.Tensor`
        Significance of a star.
    seen : `~torch.Tensor`
        Whether a tenth of a star's light falls on usable pixels, bool.
    """

    pixels: torch.Tensor
    numbers: torch.Tensor
    magnitude: torch.Tensor
    snr: torch.Tensor
    seen: torch.Tensor

    def __len__(self):
        return len(self.numbers)


def cut_sources(batch, x, y, image=None, rows=None, fit=None, position_error=None):
    """Stamps of the sources of images, each without its neighbours.

    Parameters
    ----------
    batch : `~gammapy_asid.optical.batch.ImageBatch`
        Images.
    x, y : `~torch.Tensor`
        Positions of all sources in pixels, shape ``(k,)``.
    image : `~torch.Tensor`, optional
        Image of each, by default the first.
    rows : `~torch.Tensor`, optional
        Numbers of the sources that are wanted, by default all.
    fit : `~gammapy_asid.optical.fit.joint.JointFit`, optional
        Fit of all sources, if it is there already.
    position_error : `~torch.Tensor`, optional
        See `~gammapy_asid.optical.fit.joint.joint_fit`.

    Returns
    -------
    stamps : `ClassStamps`
        One row for each source that is wanted.
    """
    image = torch.zeros(len(x), dtype=torch.long) if image is None else image
    fit = joint_fit(batch, x, y, image, 1, position_error) if fit is None else fit
    rows = torch.arange(len(x)) if rows is None else rows
    tables = template_tables(batch.psf, batch.fwhm)
    parts = [_cut(batch, fit, tables, own) for own in rows.split(_CHUNK)]
    return ClassStamps.cat(parts or [_empty()])


def _empty():
    pixels, numbers, none = torch.zeros(0, N_CHANNELS, SIZE, SIZE), torch.zeros(0, N_NUMBERS), torch.zeros(0)
    return ClassStamps(pixels, numbers, none, none, none.bool())


def _cut(batch, fit, tables, rows):
    image, x, y = fit.image[rows], fit.x[rows], fit.y[rows]
    column, row = nearest_pixels(x, y)
    stamps = source_stamps(batch, fit, SIZE, rows)
    usable = stamps.valid & ~stamps.saturated
    templates = places(tables, image, x - column, y - row, SIZE)
    star = templates[:, 0]
    own, others = torch.where(usable, stamps.alone, 0.0), stamps.neighbours
    weight = torch.where(usable, 1 / stamps.variance.clamp(min=LEAST), 0.0)
    gains, alone = likelihood_gains(own, weight, templates)
    model = alone[:, 0, None, None] * star
    root, left = weight.sqrt(), torch.where(usable, own - model, 0.0)
    peak = model.amax((1, 2), keepdim=True).clamp(min=3)
    pixels = [
        torch.asinh(own * root / 3),
        torch.asinh(model * root / 3),
        torch.asinh(left * root),
        (5 * left / peak).clamp(-5, 5),
        torch.asinh(others * root / 3),
        usable.float() - stamps.saturated.float(),
    ]
    part = (star * usable).sum((1, 2))
    numbers = _numbers(
        _Fitted(gains, alone, own, left, others, weight, star, part), stamps, batch.fwhm[image]
    )
    magnitude = torch.where(alone[:, 0] > 0, -2.5 * torch.log10(alone[:, 0].clamp(min=1e-6)), torch.nan)
    snr = gains[:, 0].clamp(min=0).sqrt()
    return ClassStamps(torch.stack(pixels, 1), numbers, magnitude, snr, part > SEEN)


class _Fitted(NamedTuple):
    """Stamps and what fits say of them."""

    gains: torch.Tensor
    alone: torch.Tensor
    own: torch.Tensor
    left: torch.Tensor
    others: torch.Tensor
    weight: torch.Tensor
    star: torch.Tensor
    part: torch.Tensor


def _numbers(fitted, stamps, fwhm):
    """Numbers beside the stamps, of order one."""
    usable = stamps.valid & ~stamps.saturated
    offset = torch.arange(SIZE) - SIZE // 2
    square = offset[:, None] ** 2 + offset**2
    near, wide, far = (square <= (part * fwhm[:, None, None]) ** 2 for part in RINGS)
    total = fitted.gains[:, :1].clamp(min=4)
    gain = fitted.gains[:, 1:] - fitted.gains[:, :1]
    # Disks by how well they fit, not by their angles
    gain = torch.cat([gain[:, :-N_ANGLES], gain[:, -N_ANGLES:].sort(1, descending=True).values], 1)
    values = [torch.asinh(gain / 2), (gain / total).clamp(-1, 3) * 3, 0.5 * total.log()]
    noise, flux = fitted.left * fitted.weight.sqrt(), fitted.alone[:, 0].abs().clamp(min=1)
    for ring in (near, wide & ~near, far & ~wide):
        ring = ring & usable
        number = ring.sum((1, 2)).clamp(min=1)
        values += [
            ((noise**2 * ring).sum((1, 2)) / number).clamp(1e-2, 1e4).log()[:, None],
            # Light left over, in units of the star's, and of its noise
            ((fitted.left * ring).sum((1, 2)) / flux).clamp(-2, 2)[:, None],
            torch.asinh((noise * ring).sum((1, 2)) / number.sqrt())[:, None],
        ]
    # One pixel alone: what a cosmic ray explains
    spike = (fitted.own.clamp(min=0) ** 2 * fitted.weight * near).amax((1, 2))
    crowd = (fitted.others.abs() * fitted.star).sum((1, 2)) / (
        (fitted.own.abs() * fitted.star).sum((1, 2)) + 1
    )
    values += [
        v[:, None]
        for v in (
            (fitted.alone[:, 1:].norm(dim=1) / flux).clamp(max=2),
            torch.asinh((spike - fitted.gains[:, 0]) / 4),
            crowd.clamp(max=5),
            fwhm.log(),
            fitted.part,
            (stamps.saturated & wide).any(2).any(1).float(),
        )
    ]
    return torch.cat(values, 1).nan_to_num()
