# Licensed under a 3-clause BSD style license - see LICENSE
"""Fit of the amplitudes of sources, and of the level of the background at them, in one band."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from .known_sky import MIN_BACKGROUND
from .source_stamps import STAMP_HALF, nearest_pixel, on_level, sample_psf, stamp_index

__all__ = ["BandData", "BandFit"]

# Prior width of the level of the background relative to that of the known sky, where it is a prediction and
# where not.
LEVEL_PRIOR = (0.05, 0.1)

# Range of that level: beyond it a fit has run away.
LEVEL_RANGE = (0.3, 3.0)

# Relative error of the known sky over the size of a source.
STRUCTURE = 0.02


class BandData:
    """Data of one band on stamps around sources: what stays the same during a fit."""

    def __init__(self, batch, band, tables, field, x, y):
        self.level, self.tables = batch.levels[band], tables
        self.half = STAMP_HALF[self.level]
        self.shape = batch.counts[band].shape
        self.column, self.row = nearest_pixel(x, y, self.level, self.shape)
        self.index = stamp_index(self.shape, field, self.column, self.row, self.half)
        # Photons of a source fall on valid sky only.
        self.exposure = self._padded(batch.exposure[band] * batch.mask[band])
        self.weight = self.exposure[self.index]
        self.valid = (self.weight > 0).float()
        self.counts = self.cut(batch.counts[band]) * self.valid
        self.prior = torch.where(batch.has_background, *LEVEL_PRIOR).to(x)[field]
        #: Whether there are data: a band without says nothing.
        self.present = bool(self.valid.any())

    def _padded(self, image):
        """Flattened images with a border."""
        return F.pad(image, [self.half] * 4).flatten()

    def cut(self, image):
        """Stamps of an image.

        Parameters
        ----------
        image : `~torch.Tensor`
            Shape ``(n_fields, ny, nx)``.

        Returns
        -------
        stamps : `~torch.Tensor`
            Shape ``(n, k, k)``.
        """
        return self._padded(image)[self.index]

    def total(self, stamps):
        """Image of all stamps together, flattened and with a border.

        Parameters
        ----------
        stamps : `~torch.Tensor`
            Shape ``(n, k, k)``.

        Returns
        -------
        image : `~torch.Tensor`
            For `cut` by ``index``, or for `inner`.
        """
        image = torch.zeros_like(self.exposure)
        return image.index_add_(0, self.index.flatten(), stamps.flatten()) * self.exposure

    def inner(self, image):
        """Images of `total` without the border, shape as the counts of the batch.

        Parameters
        ----------
        image : `~torch.Tensor`
            Result of `total`.

        Returns
        -------
        images : `~torch.Tensor`
            Shape ``(n_fields, ny, nx)``.
        """
        n, ny, nx = self.shape
        inside = slice(self.half, -self.half)
        return image.view(n, ny + 2 * self.half, nx + 2 * self.half)[:, inside, inside]


@dataclass(frozen=True, kw_only=True)
class _Photons:
    """Where the photons of sources at some positions fall, on stamps."""

    #: Share of the photons in each pixel.
    share: torch.Tensor
    #: The same at the exposure of the pixel, and its derivatives with respect to the position.
    psf: torch.Tensor
    psf_x: torch.Tensor
    psf_y: torch.Tensor
    #: That of all sources of amplitude 1 together.
    crowd: torch.Tensor

    @classmethod
    def at(cls, data, x, y):
        """Those of sources at positions in finest pixels, shape ``(n,)``."""
        local = on_level(x, data.level) - data.column, on_level(y, data.level) - data.row
        source = sample_psf(data.tables, *local, data.half)
        psf, psf_x, psf_y = source * data.weight
        crowd = torch.maximum(data.total(source[0])[data.index], psf)
        return cls(share=source[0], psf=psf, psf_x=psf_x, psf_y=psf_y, crowd=crowd)


@dataclass(frozen=True, kw_only=True)
class BandFit:
    """Amplitudes of sources and level of the background in one band; each step of a fit makes a new one."""

    data: BandData
    photons: _Photons
    #: Known sky on the stamps, and the factor on it, shape ``(n,)``.
    sky: torch.Tensor
    factor: torch.Tensor
    amplitude: torch.Tensor
    #: Expected counts of all sources, and of the others on each stamp, as the last step found them.
    image: torch.Tensor
    others: torch.Tensor

    @classmethod
    def start(cls, data, sky, x, y):
        """No photons of the sources yet.

        Parameters
        ----------
        data : `BandData`
            Data.
        sky : `~torch.Tensor`
            Known sky, shape as the counts of the batch.
        x, y : `~torch.Tensor`
            Positions in finest pixels, shape ``(n,)``.

        Returns
        -------
        fit : `BandFit`
            First state.
        """
        return cls(
            data=data,
            photons=_Photons.at(data, x, y),
            sky=data.cut(sky),
            factor=torch.ones_like(x),
            amplitude=torch.zeros_like(x),
            image=x.new_zeros(data.shape),
            others=torch.zeros_like(data.counts),
        )

    def with_sky(self, sky):
        """With another known sky, its level not yet fitted.

        Parameters
        ----------
        sky : `~torch.Tensor`
            Known sky, shape as the counts of the batch.

        Returns
        -------
        fit : `BandFit`
            New state.
        """
        return replace(self, sky=self.data.cut(sky), factor=torch.ones_like(self.factor))

    def moved(self, x, y):
        """With the sources at other positions.

        Parameters
        ----------
        x, y : `~torch.Tensor`
            Positions in finest pixels, shape ``(n,)``.

        Returns
        -------
        fit : `BandFit`
            New state.
        """
        return replace(self, photons=_Photons.at(self.data, x, y)) if self.data.present else self

    def stepped(self):
        """After a step of amplitude and background level, beside the other sources as they were before it.

        Fisher scoring; sources that overlap share the information, so that all can step
        at once (De Pierro 1995, IEEE TMI 14, 132).
        """
        if not self.data.present:
            return self
        total = self.data.total(self.photons.share * self.amplitude[:, None, None])
        others = (total[self.data.index] - self.own).clamp(min=0)
        now = replace(self, image=self.data.inner(total), others=others)
        excess, weight = now._residual_terms()
        psf, sky, prior = self.photons.psf, self.sky, self.data.prior
        gradient_a = (psf * excess).sum((1, 2))
        gradient_c = (sky * excess).sum((1, 2)) + (1 - self.factor) / prior**2
        aa, ac, cc = now._level_terms(self.photons.crowd, weight)
        determinant = aa * cc - ac**2
        amplitude = (self.amplitude + (cc * gradient_a - ac * gradient_c) / determinant).clamp(min=0)
        factor = (self.factor + (aa * gradient_c - ac * gradient_a) / determinant).clamp(*LEVEL_RANGE)
        return replace(now, amplitude=amplitude, factor=factor)

    @property
    def own(self):
        """Expected counts of the source itself."""
        return self.amplitude[:, None, None] * self.photons.psf

    @property
    def expected(self):
        """Model of the stamps."""
        return (self.factor[:, None, None] * self.sky + self.others + self.own).clamp(min=MIN_BACKGROUND)

    def _residual_terms(self):
        """Relative excess of the counts over the model, and the weight of squared terms, on valid pixels."""
        model, valid = self.expected, self.data.valid
        return (self.data.counts / model - 1) * valid, valid / model

    def _level_terms(self, photons, weight):
        """Information of amplitude and level of the background: both shares and the mixed one."""
        psf, sky = self.photons.psf, self.sky
        # A source that no pixel sees has the error of a thousand photons
        aa = (psf * photons * weight).sum((1, 2)) + 1e-6
        ac = (psf * sky * weight).sum((1, 2))
        return aa, ac, (sky**2 * weight).sum((1, 2)) + 1 / self.data.prior**2

    def amplitude_error(self):
        """Error of the amplitude with the background's level free and its structure uncertain."""
        psf, valid = self.photons.psf, self.data.valid
        aa, ac, cc = self._level_terms(psf, valid / self.expected)
        area = 1 / (psf**2).sum((1, 2)).clamp(min=1e-3)
        structure = STRUCTURE * (self.sky * valid).mean((1, 2)) * area
        return torch.hypot(torch.sqrt(cc / (aa * cc - ac**2)), structure)

    def position_terms(self):
        """Gradient and information of the position in pixels of the finest level."""
        excess, weight = self._residual_terms()
        a = self.amplitude[:, None, None] / 2**self.data.level
        sx, sy = a * self.photons.psf_x, a * self.photons.psf_y
        gradient = torch.stack([(sx * excess).sum((1, 2)), (sy * excess).sum((1, 2))], -1)
        xx, xy, yy = ((u * v * weight).sum((1, 2)) for u, v in ((sx, sx), (sx, sy), (sy, sy)))
        return gradient, torch.stack([torch.stack([xx, xy], -1), torch.stack([xy, yy], -1)], -2)

    def likelihood_ratio(self):
        """Test statistic of the amplitude, the background's level kept."""
        model = self.expected
        without = (model - self.own).clamp(min=MIN_BACKGROUND)
        terms = self.data.counts * torch.log(model / without) - (model - without)
        return 2 * (terms * self.data.valid).sum((1, 2))

    def residuals(self):
        """Counts minus model over the root of the model, to which an empty pixel adds half a count."""
        model = self.expected
        return (self.data.counts - model) / torch.sqrt(model + 0.5) * self.data.valid

    def at_centre(self, stamps):
        """Values of stamps at the pixels of the sources.

        Parameters
        ----------
        stamps : `~torch.Tensor`
            Shape ``(n, k, k)``.

        Returns
        -------
        values : `~torch.Tensor`
            Shape ``(n,)``.
        """
        return stamps[:, self.data.half, self.data.half]
