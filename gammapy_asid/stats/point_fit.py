# Licensed under a 3-clause BSD style license - see LICENSE
"""Maximum-likelihood fit of many point sources at once: where the ensembles start from."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from ..utils.tensor_rows import TensorRows
from .known_sky import MIN_BACKGROUND, known_sky
from .source_stamps import STAMP_HALF, nearest_pixel, on_level, sample_psf, stamp_index

__all__ = ["PointFit", "fit_sources"]

# Prior widths: of the position in nominal finest pixels, and of the level of the
# background relative to that of the known sky, where it is a prediction and where not.
POSITION_PRIOR = 1.5

LEVEL_PRIOR = (0.05, 0.1)

# Relative error of the known sky over the size of a source.
STRUCTURE = 0.02

# Longest step in nominal finest pixels.
LONGEST_STEP = 0.5

# Steps of the fit: amplitudes alone, then with positions; after some the level of the sky is found anew.
AMPLITUDE_STEPS, N_STEPS, SKY_STEPS = 5, 16, (4, 10)


@dataclass
class PointFit(TensorRows):
    """Fitted sources, tensors with one row per source.

    Parameters
    ----------
    x, y : `~torch.Tensor`
        Position in finest pixels, shape ``(n,)``.
    counts, counts_error : `~torch.Tensor`
        Expected counts on the whole sky in each band and their error, shape ``(n, n_bands)``.
    background, neighbours : `~torch.Tensor`
        Counts per pixel of the known sky and of the other sources at the source, shape ``(n, n_bands)``.
    information : `~torch.Tensor`
        Fisher information of the position in finest pixels, shape ``(n, 2, 2)``.
    ts : `~torch.Tensor`
        Likelihood ratio of the source in each band, its position given, shape ``(n, n_bands)``.
    residuals : list of `~torch.Tensor`
        Per band, shape ``(n, size, size)``: counts minus model over the root of the model.
    """

    x: torch.Tensor
    y: torch.Tensor
    counts: torch.Tensor
    counts_error: torch.Tensor
    background: torch.Tensor
    neighbours: torch.Tensor
    information: torch.Tensor
    ts: torch.Tensor
    residuals: list


class _Band:
    """Stamps of one band, and the fit of amplitudes and of the background's level on them."""

    def __init__(self, batch, band, tables, field, x, y):
        self.level, self.tables, self.field = batch.levels[band], tables, field
        self.half = STAMP_HALF[self.level]
        self.shape = batch.counts[band].shape
        self.column, self.row = nearest_pixel(x, y, self.level, self.shape)
        self.index = stamp_index(self.shape, field, self.column, self.row, self.half)
        # Photons of a source fall on valid sky only.
        self.exposure = self.pad(batch.exposure[band] * batch.mask[band])
        self.weight = self.exposure[self.index]
        self.valid = (self.weight > 0).float()
        self.counts = self.cut(batch.counts[band]) * self.valid
        self.amplitude = torch.zeros(len(x), device=x.device)
        self.image = torch.zeros(self.shape, device=x.device)
        self.prior = torch.where(batch.has_background, *LEVEL_PRIOR).to(x)[field]

    def pad(self, image):
        """Flattened images with a border."""
        return F.pad(image, [self.half] * 4).flatten()

    def cut(self, image):
        """Stamps of an image."""
        return self.pad(image)[self.index]

    def set_sky(self, sky):
        """Take a known sky, its level not yet fitted."""
        self.sky = self.cut(sky)
        self.factor = torch.ones_like(self.amplitude)

    def total(self, stamps):
        """Image of all stamps together, flattened and with a border."""
        image = torch.zeros_like(self.exposure)
        return image.index_add_(0, self.index.flatten(), stamps.flatten()) * self.exposure

    def move(self, x, y):
        """Put the sources at positions: their photons on the stamps, the slopes of these, the crowd."""
        local = on_level(x, self.level) - self.column, on_level(y, self.level) - self.row
        self.source = sample_psf(self.tables, *local, self.half)
        self.psf, self.psf_x, self.psf_y = self.source * self.weight
        self.crowd = torch.maximum(self.total(self.source[0])[self.index], self.psf)

    def meet(self):
        """See what the other sources put on each stamp."""
        image = self.total(self.source[0] * self.amplitude[:, None, None])
        self.others = (image[self.index] - self.own).clamp(min=0)
        n, ny, nx = self.shape
        inner = slice(self.half, -self.half)
        self.image = image.view(n, ny + 2 * self.half, nx + 2 * self.half)[:, inner, inner]

    @property
    def own(self):
        """Expected counts of the source itself."""
        return self.amplitude[:, None, None] * self.psf

    @property
    def expected(self):
        """Model of the stamps."""
        return (self.factor[:, None, None] * self.sky + self.others + self.own).clamp(min=MIN_BACKGROUND)

    def fit_amplitude(self):
        """One step of amplitude and background level.

        Fisher scoring; sources that overlap share the information, so that all can step
        at once (De Pierro 1995, IEEE TMI 14, 132).
        """
        model = self.expected
        excess, weight = (self.counts / model - 1) * self.valid, self.valid / model
        gradient_a = (self.psf * excess).sum((1, 2))
        gradient_c = (self.sky * excess).sum((1, 2)) + (1 - self.factor) / self.prior**2
        aa = (self.psf * self.crowd * weight).sum((1, 2)) + 1e-6
        ac = (self.psf * self.sky * weight).sum((1, 2))
        cc = (self.sky**2 * weight).sum((1, 2)) + 1 / self.prior**2
        determinant = aa * cc - ac**2
        self.amplitude = (self.amplitude + (cc * gradient_a - ac * gradient_c) / determinant).clamp(min=0)
        self.factor = (self.factor + (aa * gradient_c - ac * gradient_a) / determinant).clamp(0.3, 3)

    def amplitude_error(self):
        """Error of the amplitude with the background's level free and its structure uncertain."""
        weight = self.valid / self.expected
        aa = (self.psf**2 * weight).sum((1, 2)) + 1e-6
        ac = (self.psf * self.sky * weight).sum((1, 2))
        cc = (self.sky**2 * weight).sum((1, 2)) + 1 / self.prior**2
        area = 1 / (self.psf**2).sum((1, 2)).clamp(min=1e-3)
        structure = STRUCTURE * (self.sky * self.valid).mean((1, 2)) * area
        return torch.hypot(torch.sqrt(cc / (aa * cc - ac**2)), structure)

    def position_terms(self):
        """Gradient and information of the position in pixels of the finest level."""
        model, a = self.expected, self.amplitude[:, None, None] / 2**self.level
        excess, weight = (self.counts / model - 1) * self.valid, self.valid / model
        sx, sy = a * self.psf_x, a * self.psf_y
        gradient = torch.stack([(sx * excess).sum((1, 2)), (sy * excess).sum((1, 2))], -1)
        xx, xy, yy = ((u * v * weight).sum((1, 2)) for u, v in ((sx, sx), (sx, sy), (sy, sy)))
        return gradient, torch.stack([torch.stack([xx, xy], -1), torch.stack([xy, yy], -1)], -2)

    def likelihood_ratio(self):
        """Test statistic of the amplitude, the background's level kept."""
        model = self.expected
        without = (model - self.own).clamp(min=MIN_BACKGROUND)
        terms = self.counts * torch.log(model / without) - (model - without)
        return 2 * (terms * self.valid).sum((1, 2))


@torch.no_grad()
def fit_sources(batch, tables, field, x, y, free_position=True, sky=None):
    """Fit position, counts in each band and background level of point sources on their stamps.

    Fisher scoring of the Poisson likelihood, with priors on position and background; the
    sources are in one another's known sky.

    Parameters
    ----------
    batch : `~gammapy_asid.inputs.batch.FieldBatch`
        Fields of one instrument.
    tables : `~torch.Tensor`
        Result of `~gammapy_asid.inputs.psf.psf_tables`.
    field, x, y : `~torch.Tensor`
        Field and start position in finest pixels of each source, shape ``(n,)``.
    free_position : bool
        Fit the positions too.
    sky : list of `~torch.Tensor`, optional
        Everything but the sources per band, shape as the counts; by default it is found from the data.

    Returns
    -------
    fit : `PointFit`
        Fitted sources.
    """
    nominal = batch.nominal[field, None]
    bands = [_Band(batch, band, tables[band], field, x, y) for band in range(len(batch.levels))]
    for band, image in zip(bands, known_sky(batch) if sky is None else sky, strict=True):
        band.set_sky(image)
    # Bands that the data do not hold say nothing.
    present = [band for band in bands if band.valid.any()]
    start = torch.stack([x, y], -1)
    place = start.clone()
    prior = 1 / (POSITION_PRIOR * nominal) ** 2
    identity = torch.eye(2, device=x.device)
    for step in range(N_STEPS):
        gradient, information = 0.0, 0.0
        for band in present:
            # Positions are free from step AMPLITUDE_STEPS on.
            if step == 0 or (free_position and step > AMPLITUDE_STEPS):
                band.move(*place.unbind(-1))
            band.meet()
            band.fit_amplitude()
            g, i = band.position_terms()
            gradient, information = gradient + g, information + i
        if free_position and present and step >= AMPLITUDE_STEPS:
            gradient = gradient - prior * (place - start)
            shift = torch.linalg.solve(information + prior[..., None] * identity, gradient)
            length = shift.norm(dim=-1, keepdim=True).clamp(min=1e-9)
            place = place + shift * (LONGEST_STEP * nominal / length).clamp(max=1)
        if step in SKY_STEPS and sky is None:
            # Without the sources the level of the sky is found better.
            rest = [counts - band.image for counts, band in zip(batch.counts, bands, strict=True)]
            for band, image in zip(bands, known_sky(replace(batch, counts=rest)), strict=True):
                band.set_sky(image)
    for band in bands:
        band.move(*place.unbind(-1))
        band.meet()
        band.fit_amplitude()
    centre = [(slice(None), band.half, band.half) for band in bands]
    return PointFit(
        x=place[:, 0],
        y=place[:, 1],
        counts=torch.stack([band.amplitude for band in bands], -1),
        counts_error=torch.stack([band.amplitude_error() for band in bands], -1),
        background=torch.stack([b.factor * b.sky[c] for b, c in zip(bands, centre, strict=True)], -1),
        neighbours=torch.stack([b.others[c] for b, c in zip(bands, centre, strict=True)], -1),
        information=sum(band.position_terms()[1] for band in bands),
        ts=torch.stack([band.likelihood_ratio() for band in bands], -1),
        residuals=[
            (band.counts - band.expected) / torch.sqrt(band.expected + 0.5) * band.valid for band in bands
        ],
    )
