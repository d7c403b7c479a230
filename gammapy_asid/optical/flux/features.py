# Licensed under a 3-clause BSD style license - see LICENSE
"""What the ensemble sees of a fitted source: the fit, what it leaves, the neighbours, the camera."""

from dataclasses import dataclass

import torch

from ...utils.devices import inference
from ...utils.tensor_rows import TensorRows
from ..channels import conditions
from ..fit.bound import nearest_neighbours
from ..fit.joint import POSITION_ERROR, joint_fit
from ..fit.profiles import nearest_pixels
from ..fit.stamps import source_stamps
from .surroundings import CONFUSION, N_SURROUNDINGS, surroundings

__all__ = ["N_FEATURES", "FluxFeatures", "flux_features", "flux_fit"]

#: Widths of the Gaussian weights with which what is left around a source is summed, in units of the width
#: (FWHM) of a star: its core, galaxies of several sizes, and the sky around.
WIDTHS = (0.3, 0.6, 1.0, 1.7, 2.8)

#: Neighbours that are seen one by one, and how far they matter, in the same unit.
SEEN, FAR = 3, 4.0

#: Error of a flux that no fit is better than, relative: the unit in which fluxes of bright ones are learned.
SYSTEMATIC = 0.03

#: Distance in pixels of the nodes of the sky that is fitted with the sources. Backgrounds of crowds are wrong
#: by much of their light; a closer mesh would take that of galaxies.
SKY_MESH = 32

#: Numbers of `~gammapy_asid.optical.channels.conditions` that describe the point spread function.
DESCRIBED = 8

#: Numbers that describe a source.
N_FEATURES = 12 + 3 * len(WIDTHS) + 6 + 2 * SEEN + DESCRIBED + N_SURROUNDINGS

#: Where among them light beyond that of a star is, over that of the star, within the width of a star.
EXTENT = 9 + 3 * 2 + 1

#: Where among those of the stamp the level of the sky around is.
LEVEL = 3 * len(WIDTHS) + 2

#: Sources whose stamps are in memory at a time.
_CHUNK = 1024


@dataclass
class FluxFeatures(TensorRows):
    """Features of ``k`` sources and the scale on which their fluxes are learned.

    Parameters
    ----------
    inputs : `~torch.Tensor`
        Shape ``(k, N_FEATURES)``.
    flux, error : `~torch.Tensor`
        Flux of the fit and its error, in signal units; shape ``(k,)``.
    crowding : `~torch.Tensor`
        One for a source alone, more where neighbours share its pixels; shape ``(k,)``.
    density : `~torch.Tensor`
        Sources of its image in the area of a square of the full width at half maximum, shape ``(k,)``.
    """

    inputs: torch.Tensor
    flux: torch.Tensor
    error: torch.Tensor
    crowding: torch.Tensor
    density: torch.Tensor

    def __len__(self):
        return len(self.flux)

    @property
    def significance(self):
        """Flux over error."""
        return self.flux / self.error

    @property
    def extent(self):
        """Positive measure of the light beyond that of a star, 1 for stars."""
        return torch.exp(self.inputs[:, EXTENT])

    @property
    def confusion(self):
        """Scatter of what is left around usual sources of the image, 1 where that is noise."""
        return torch.exp(self.inputs[:, CONFUSION - N_SURROUNDINGS])

    @property
    def start(self):
        """Flux of the fit on the scale ``asinh(F / 2 error)``."""
        return torch.asinh(self.significance.clamp(min=-3) / 2)

    @property
    def width(self):
        """Error of the fit on that scale, with `SYSTEMATIC`."""
        significance = self.significance.clamp(min=0)
        return torch.sqrt((1 + (SYSTEMATIC * significance) ** 2) / (4 + significance**2))

    def target(self, flux):
        """Deviation of a flux from the fit in units of its error.

        Parameters
        ----------
        flux : `~torch.Tensor`
            True flux, shape ``(k,)``.
        """
        return (torch.asinh(flux / (2 * self.error)) - self.start) / self.width


def flux_fit(batch, x, y, image=None):
    """Fit of sources as the ensemble knows it.

    Parameters
    ----------
    batch, x, y, image
        See `~gammapy_asid.optical.fit.joint.joint_fit`.
    """
    return joint_fit(batch, x, y, image, sky_mesh=SKY_MESH)


@inference()
def flux_features(batch, fit, given_x, given_y):
    """Features of fitted sources.

    Parameters
    ----------
    batch : `~gammapy_asid.optical.batch.ImageBatch`
        Images.
    fit : `~gammapy_asid.optical.fit.joint.JointFit`
        Fit of all of their sources.
    given_x, given_y : `~torch.Tensor`
        Positions before the fit, shape ``(k,)``.

    Returns
    -------
    features : `FluxFeatures`
        In the order of the sources; not finite where the fit is not.
    """
    fwhm = batch.fwhm[fit.image]
    index, distance = nearest_neighbours(fit.image, fit.x, fit.y, FAR * fwhm)
    near = distance / fwhm[:, None]
    ratio = torch.nan_to_num(fit.flux[index] / fit.flux.clamp(min=0)[:, None].maximum(fit.flux_err[:, None]))
    there = near.isfinite()
    shared = (torch.exp(-0.5 * (near / 0.6) ** 2) * ratio.clamp(0, 100) * there).sum(1)
    described = conditions(batch)[fit.image, :DESCRIBED]
    moved = torch.hypot(fit.x - given_x, fit.y - given_y) / (POSITION_ERROR * fwhm)
    own = [
        torch.asinh(fit.flux / fit.flux_err) / 2,
        torch.log(fit.flux_err),
        torch.log(fit.chi2 + 0.1).clamp(-3, 8),
        fit.good,
        fit.saturated.float(),
        moved,
        there.float().sum(1) / 8,
        torch.log1p(shared),
        (torch.exp(-near) * there).sum(1),
    ]
    parts = [
        _stamp_features(batch, fit, rows, fwhm[rows]) for rows in torch.arange(len(fit)).split(_CHUNK)
    ] or [(torch.zeros(0, 3 * len(WIDTHS) + 9), torch.zeros(0))]
    around, alone = (torch.cat(part) for part in zip(*parts, strict=True))
    crowding = (fit.flux_err / alone).clamp(1, 100)
    beyond = around[:, [*range(1, 3 * len(WIDTHS), 3), LEVEL]]
    usual = torch.stack([own[2], around[:, LEVEL + 1], own[0], around[:, LEVEL + 4]], 1)
    of_image, density = surroundings(batch, fit, beyond, usual)
    fade = torch.exp(-near[:, :SEEN])
    inputs = torch.cat(
        [
            torch.stack(own, 1),
            around,
            fade,
            fade * torch.asinh(ratio[:, :SEEN].clamp(-10, 1e4)),
            described,
            of_image,
        ],
        1,
    )
    return FluxFeatures(inputs.clamp(-1e3, 1e3), fit.flux, fit.flux_err, crowding * (1 + shared), density)


def _stamp_features(batch, fit, rows, fwhm):
    """Features of what is around sources, and the error that each would have alone."""
    stamps = source_stamps(batch, fit, rows=rows)
    column, row = nearest_pixels(fit.x[rows], fit.y[rows])
    offset = torch.arange(stamps.alone.shape[-1]) - stamps.alone.shape[-1] // 2.0
    x = (offset - (fit.x[rows] - column)[:, None])[:, None, :]
    y = (offset - (fit.y[rows] - row)[:, None])[:, :, None]
    r2 = (x**2 + y**2) / fwhm[:, None, None] ** 2
    good = (stamps.valid & ~stamps.saturated).float()
    variance = stamps.variance.clamp(min=1e-6)
    left = stamps.residual * good
    alone = ((stamps.profile**2 * good / variance).sum((1, 2)) + 1e-12).rsqrt()
    error = fit.flux_err[rows]
    light = stamps.profile * torch.nan_to_num(fit.flux[rows].clamp(min=0).maximum(3 * error))[:, None, None]
    columns = []
    for width in WIDTHS:
        weight = torch.exp(-0.5 * r2 / width**2) * good
        own = (weight * light).sum((1, 2)) + 1e-6
        total = (weight * left).sum((1, 2))
        noise = torch.sqrt((weight**2 * variance).sum((1, 2)) + 1e-6)
        beside = (weight * stamps.neighbours).sum((1, 2))
        columns += [torch.asinh(v) / 2 for v in (total / noise, 3 * total / own, beside / own)]
    # Lopsided and elongated light, whatever its direction
    weight = torch.exp(-0.5 * r2 / WIDTHS[1] ** 2) * left
    noise = torch.sqrt((torch.exp(-r2 / WIDTHS[1] ** 2) * variance * good * r2).sum((1, 2)) + 1e-6)
    columns.append(torch.asinh(_length(weight * x, weight * y) / noise / fwhm) / 2)
    columns.append(torch.asinh(_length(weight * (x**2 - y**2), weight * 2 * x * y) / noise / fwhm**2) / 2)
    # The sky where the source hardly is
    far = good * (r2 > 1.5**2)
    count = far.sum((1, 2)) + 1
    level = (left.clamp(-5, 5) * far).sum((1, 2)) / count
    spread = torch.sqrt((left**2 / variance * far).sum((1, 2)) / count + 1e-3)
    columns += [torch.asinh(level / alone / ((stamps.profile**2).sum((1, 2)) + 1e-6)) / 2, torch.log(spread)]
    middle = slice(offset.numel() // 2 - 1, offset.numel() // 2 + 2)
    columns.append(torch.asinh((left / torch.sqrt(variance))[:, middle, middle].amax((1, 2))) / 2)
    columns.append(torch.log(variance[:, middle, middle].mean((1, 2))))
    columns += [torch.log(error / alone), good.mean((1, 2)), torch.log(alone)]
    return torch.stack(columns, 1), alone


def _length(x, y):
    return torch.hypot(x.sum((1, 2)), y.sum((1, 2)))
