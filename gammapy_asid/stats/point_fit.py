# Licensed under a 3-clause BSD style license - see LICENSE
"""Maximum-likelihood fit of many point sources at once: where the ensembles start from."""

from dataclasses import dataclass, replace

import torch

from ..utils.tensor_rows import TensorRows
from .band_fit import BandData, BandFit
from .known_sky import known_sky

__all__ = ["PointFit", "fit_sources"]

# Prior width of the position in nominal finest pixels.
POSITION_PRIOR = 1.5

# Longest step in nominal finest pixels.
LONGEST_STEP = 0.5

# Steps of the fit: amplitudes alone, then with positions; after some the level of the sky is found anew.
AMPLITUDE_STEPS, N_STEPS, SKY_STEPS = 5, 16, (4, 10)


@dataclass(kw_only=True)
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
    expected, own : list of `~torch.Tensor`
        Expected counts on the same stamps: of all that is there, and of the source itself.
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
    expected: list
    own: list


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
    bands = [
        BandFit.start(BandData(batch, band, tables[band], field, x, y), image, x, y)
        for band, image in enumerate(known_sky(batch) if sky is None else sky)
    ]
    start = place = torch.stack([x, y], -1)
    nominal = batch.nominal[field, None]
    for step in range(N_STEPS):
        if free_position and step > AMPLITUDE_STEPS:
            bands = [band.moved(*place.unbind(-1)) for band in bands]
        bands = [band.stepped() for band in bands]
        if free_position and step >= AMPLITUDE_STEPS:
            place = _next_place(bands, place, start, nominal)
        if step in SKY_STEPS and sky is None:
            bands = _with_new_sky(bands, batch)
    return _fitted([band.moved(*place.unbind(-1)).stepped() for band in bands], place)


def _with_new_sky(bands, batch):
    """The level of the sky is found better without the sources."""
    rest = [counts - band.image for counts, band in zip(batch.counts, bands, strict=True)]
    sky = known_sky(replace(batch, counts=rest))
    return [band.with_sky(image) for band, image in zip(bands, sky, strict=True)]


def _fitted(bands, place):
    """Result of a fit."""

    def per_band(value):
        return torch.stack([value(band) for band in bands], -1)

    return PointFit(
        x=place[:, 0],
        y=place[:, 1],
        counts=per_band(lambda band: band.amplitude),
        counts_error=per_band(BandFit.amplitude_error),
        background=per_band(lambda band: band.factor * band.at_centre(band.sky)),
        neighbours=per_band(lambda band: band.at_centre(band.others)),
        information=sum(band.position_terms()[1] for band in bands),
        ts=per_band(BandFit.likelihood_ratio),
        residuals=[band.residuals() for band in bands],
        expected=[band.expected for band in bands],
        own=[band.own for band in bands],
    )


def _next_place(bands, place, start, nominal):
    """Positions after a step, with a prior around those of the start; shape ``(n, 2)``."""
    terms = [band.position_terms() for band in bands if band.data.present]
    if not terms:
        return place
    gradient, information = (sum(parts) for parts in zip(*terms, strict=True))
    prior = 1 / (POSITION_PRIOR * nominal) ** 2
    gradient = gradient - prior * (place - start)
    shift = torch.linalg.solve(information + prior[..., None] * torch.eye(2, device=place.device), gradient)
    length = shift.norm(dim=-1, keepdim=True).clamp(min=1e-9)
    return place + shift * (LONGEST_STEP * nominal / length).clamp(max=1)
