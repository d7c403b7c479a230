# Licensed under a 3-clause BSD style license - see LICENSE
"""Maximum-likelihood fit of many point sources at once: where the ensembles start from."""

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from ..simulation.kernels import PHASES
from .features import MIN_BACKGROUND, known_sky
from .rows import Rows

__all__ = [
    "SourceFit",
    "fit_sources",
    "nearest_pixel",
    "on_level",
    "position_information",
    "sample_psf",
    "source_images",
    "source_stamps",
]

# Half width of the stamps in pixels of each level.
STAMP_HALF = (10, 8, 6, 5)
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
class SourceFit(Rows):
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


def on_level(x, level):
    """Coordinate in pixels of a level of a coordinate in finest pixels."""
    return (x + 0.5) / 2**level - 0.5


def sample_psf(tables, dx, dy, half):
    """Point spread function on stamps, and its derivatives.

    Parameters
    ----------
    tables : `~torch.Tensor`
        One band of `~gammapy_asid.simulation.kernels.psf_tables`, shape ``(3, size, size)``.
    dx, dy : `~torch.Tensor`
        Position of the source relative to the middle of its stamp in pixels, shape ``(n,)``.
    half : int
        Half width of the stamps.

    Returns
    -------
    psf : `~torch.Tensor`
        Shape ``(3, n, 2 * half + 1, 2 * half + 1)``.
    """
    offset = torch.arange(-half, half + 1, device=dx.device, dtype=dx.dtype)
    reach = tables.shape[-1] / (2 * PHASES)
    grid = torch.stack(
        torch.broadcast_tensors(
            (offset - dx[:, None])[:, None, :] / reach, (offset - dy[:, None])[:, :, None] / reach
        ),
        -1,
    )
    # One image a source, so that threads share them.
    images = tables.expand(len(dx), -1, -1, -1)
    sampled = F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return sampled.transpose(0, 1)


def stamp_index(shape, field, column, row, half):
    """Places of stamps in flattened images with a border of their half width.

    Parameters
    ----------
    shape : tuple of int
        ``(n_fields, ny, nx)`` of the images.
    field, column, row : `~torch.Tensor`
        Field and central pixel of each stamp, shape ``(n,)``.
    half : int
        Half width.

    Returns
    -------
    index : `~torch.Tensor`
        Shape ``(n, 2 * half + 1, 2 * half + 1)``.
    """
    offset = torch.arange(2 * half + 1, device=column.device)
    rows, columns = row[:, None, None] + offset[:, None], column[:, None, None] + offset
    return (field[:, None, None] * (shape[1] + 2 * half) + rows) * (shape[2] + 2 * half) + columns


def source_stamps(images, field, column, row, half):
    """Stamps of images around pixels, zero outside.

    Parameters
    ----------
    images : `~torch.Tensor`
        Shape ``(n_fields, ny, nx)``.
    field, column, row : `~torch.Tensor`
        Field and central pixel of each stamp, shape ``(n,)``.
    half : int
        Half width.

    Returns
    -------
    stamps : `~torch.Tensor`
        Shape ``(n, 2 * half + 1, 2 * half + 1)``.
    """
    return F.pad(images, [half] * 4).flatten()[stamp_index(images.shape, field, column, row, half)]


def add_stamps(stamps, field, column, row, shape):
    """Sum of stamps around pixels, shape ``(n_fields, ny, nx)``: the reverse of `source_stamps`."""
    half = stamps.shape[-1] // 2
    n_fields, ny, nx = shape
    wide = n_fields, ny + 2 * half, nx + 2 * half
    image = torch.zeros(int(np.prod(wide)), device=stamps.device)
    image.index_add_(0, stamp_index(shape, field, column, row, half).flatten(), stamps.flatten())
    return image.view(wide)[:, half : half + ny, half : half + nx]


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
    batch : `~gammapy_asid.networks.FieldBatch`
        Fields of one instrument.
    tables : `~torch.Tensor`
        Result of `~gammapy_asid.simulation.kernels.psf_tables`.
    field, x, y : `~torch.Tensor`
        Field and start position in finest pixels of each source, shape ``(n,)``.
    free_position : bool
        Fit the positions too.
    sky : list of `~torch.Tensor`, optional
        Everything but the sources per band, shape as the counts; by default it is found from the data.

    Returns
    -------
    fit : `SourceFit`
        Fitted sources.
    """
    nominal = (0.1 * batch.scale / batch.pixel_size[field])[:, None]
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
    return SourceFit(
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


def source_images(tables, levels, shape, field, x, y, counts):
    """Images of sources of an average spectrum.

    Parameters
    ----------
    tables : `~torch.Tensor`
        Result of `~gammapy_asid.simulation.kernels.psf_tables`.
    levels : tuple of int
        Resolution level of each band.
    shape : tuple of int
        ``(n_fields, ny, nx)`` in finest pixels.
    field, x, y : `~torch.Tensor`
        Field and position in finest pixels of each source, shape ``(n,)``.
    counts : `~torch.Tensor`
        Expected counts on the whole sky, shape ``(n, n_bands)``.

    Returns
    -------
    images : list of `~torch.Tensor`
        Per band, shape ``(n_fields, ny / 2**level, nx / 2**level)``.
    """
    images = []
    for band, level in enumerate(levels):
        size = (shape[0], shape[1] >> level, shape[2] >> level)
        column, row = nearest_pixel(x, y, level, size)
        psf = sample_psf(
            tables[band], on_level(x, level) - column, on_level(y, level) - row, STAMP_HALF[level]
        )[0]
        images.append(add_stamps(counts[:, band, None, None] * psf, field, column, row, size))
    return images


def nearest_pixel(x, y, level, shape):
    """Pixel of a level in which each source lies, the nearest one if it lies outside."""
    ny, nx = shape[-2:]
    column = torch.round(on_level(x, level)).long().clamp(0, nx - 1)
    return column, torch.round(on_level(y, level)).long().clamp(0, ny - 1)


def position_information(tables, levels, expected, weight, field, x, y, counts):
    """Fisher information of the position of sources, all else known: its inverse is the Cramer-Rao bound.

    Parameters
    ----------
    tables : `~torch.Tensor`
        Result of `~gammapy_asid.simulation.kernels.psf_tables`.
    levels : tuple of int
        Resolution level of each band.
    expected, weight : list of `~torch.Tensor`
        Per band, shape ``(n_fields, ny / 2**level, nx / 2**level)``: expected counts of everything,
        and the share of a source's photons that each pixel keeps.
    field, x, y : `~torch.Tensor`
        Field and position in finest pixels of each source, shape ``(n,)``.
    counts : `~torch.Tensor`
        Expected counts on the whole sky, shape ``(n, n_bands)``.

    Returns
    -------
    information : `~torch.Tensor`
        Of x, y (finest pixels) and the relative amplitude of each band, shape
        ``(n, n_bands, 3, 3)``: bands add.
    """
    parts = []
    for band, level in enumerate(levels):
        half = STAMP_HALF[level]
        column, row = nearest_pixel(x, y, level, expected[band].shape)
        local = on_level(x, level) - column, on_level(y, level) - row
        psf = sample_psf(tables[band], *local, half) * source_stamps(weight[band], field, column, row, half)
        model = source_stamps(expected[band], field, column, row, half)
        slopes = counts[:, band, None, None] * torch.stack([psf[1] / 2**level, psf[2] / 2**level, psf[0]])
        inverse = torch.where(model > 0, 1 / model.clamp(min=MIN_BACKGROUND), 0.0)
        parts.append(torch.einsum("inyx,jnyx,nyx->nij", slopes, slopes, inverse))
    return torch.stack(parts, 1)
