# Licensed under a 3-clause BSD style license - see LICENSE
"""The likelihood's own view of a field: significance of a source at every pixel."""

import torch
import torch.nn.functional as F

from .correlation import correlate, correlate_pairs
from .known_sky import MIN_BACKGROUND, known_sky, upsample
from .profiled import profiled_score_terms

__all__ = [
    "channel_names",
    "extended_maps",
    "network_inputs",
    "score_terms",
    "signed_significance",
    "significance_maps",
]


def score_terms(counts, background, mask, exposure, kernels):
    """Terms of the score test for a source at each pixel on a known sky.

    For a source of amplitude ``a`` with expected counts ``a e P`` (exposure
    ``e``, point spread function ``P``) on a background ``b``, the derivative of
    the log-likelihood at ``a = 0`` is ``sum(e P (n / b - 1))`` with variance
    ``sum((e P)**2 / b)`` (Rao 1948, Proc. Camb. Phil. Soc. 44, 50).

    Parameters
    ----------
    counts, background, mask, exposure : `~torch.Tensor`
        Shape ``(..., ny, nx)``.
    kernels : `~torch.Tensor`
        Shape ``(..., k, k)``.

    Returns
    -------
    observed, expected, information : `~torch.Tensor`
        ``sum(e P n / b)``, ``sum(e P)`` and ``sum((e P)**2 / b)``, shape ``(..., ny, nx)``.
    """
    weight = exposure * mask
    images = [weight * counts / background, weight, weight**2 / background]
    return tuple(correlate_pairs(images, [kernels, kernels**2], ((0, 0), (1, 0), (2, 1))))


def signed_significance(observed, expected, information):
    """Significance from score terms, with the skewness of small counts.

    The weighted sum of Poisson counts is replaced by one scaled Poisson
    variable of equal mean and variance (Bohm & Zech 2014, NIM A 748, 1); the
    significance is the signed root of its likelihood ratio (Cash 1979).

    Parameters
    ----------
    observed, expected, information : `~torch.Tensor`
        Results of `score_terms`, or sums of them over bands.

    Returns
    -------
    significance : `~torch.Tensor`
        In standard deviations, shape of the input.
    """
    scale = expected / information.clamp(min=1e-12)
    n = (observed * scale).clamp(min=1e-9)
    mu = (expected * scale).clamp(min=1e-9)
    ratio = 2 * (n * torch.log(n / mu) - n + mu)
    return torch.sign(n - mu) * torch.sqrt(ratio.clamp(min=0))


def compress(significance):
    """Variance-stabilised significance: linear near zero, logarithmic far out.

    Parameters
    ----------
    significance : `~torch.Tensor`
        In standard deviations.

    Returns
    -------
    compressed : `~torch.Tensor`
        Half of it near zero.
    """
    return 2 * torch.asinh(significance / 4)


def significance_maps(batch, terms):
    """Significance of a source at each pixel, per band and for trial spectra.

    Parameters
    ----------
    batch : `FieldBatch`
        Fields.
    terms : list of tuple of `~torch.Tensor`
        Per band the results of `score_terms`.

    Returns
    -------
    bands : list of `~torch.Tensor`
        Per band on its own pixels.
    combined : `~torch.Tensor`
        On the finest pixels, shape ``(n, n_spectra, ny, nx)``.
    """
    shape = [s << batch.levels[-1] for s in batch.counts[-1].shape[-2:]]
    bands, combined = [], None
    for band, own in enumerate(terms):
        bands.append(signed_significance(*own))
        weight = batch.spectra[:, :, band, None, None]
        fine = [upsample(term, shape)[:, None] for term in own]
        parts = [fine[0] * weight, fine[1] * weight, fine[2] * weight**2]
        combined = parts if combined is None else [a + b for a, b in zip(combined, parts, strict=True)]
    return bands, signed_significance(*combined)


def extended_maps(batch, background):
    """Significance of extended sources for the trial spectra.

    Sums over the pixels of the level stand for those over a band's own: filters are smooth on them.

    Parameters
    ----------
    batch : `FieldBatch`
        Fields.
    background : list of `~torch.Tensor`
        Known sky per band.

    Returns
    -------
    maps : list of `~torch.Tensor`
        For each extent, on the pixels of its level, shape ``(n, n_spectra, ny, nx)``.
    """
    shape = [s << batch.levels[-1] for s in batch.counts[-1].shape[-2:]]
    maps = []
    for extent_level, kernels in zip(batch.extent_levels, batch.extended, strict=True):
        combined = 0
        for band, level in enumerate(batch.levels):
            pooled = max(extent_level - level, 0)
            weight = batch.exposure[band] * batch.mask[band]
            images = torch.stack(
                [
                    weight * batch.counts[band] / background[band],
                    weight,
                    weight**2 / background[band] / 4**pooled,
                ],
                dim=1,
            )
            images = F.avg_pool2d(images, 2**pooled)
            kernel = kernels[:, band]
            terms = correlate(images, torch.stack([kernel, kernel, kernel**2], dim=1))
            size = [s >> extent_level for s in shape]
            terms = F.interpolate(terms, size=size, mode="bilinear") if terms.shape[-2:] != size else terms
            spectrum = batch.spectra[:, :, band]
            power = torch.stack([spectrum, spectrum, spectrum**2], dim=1)
            combined = combined + terms[:, :, None] * power[..., None, None]
        maps.append(signed_significance(*combined.unbind(1)))
    return maps


#: Input channels of a band: two significances, counts and known sky.
BAND_CHANNELS = 4


def channel_names(bands, n_spectra, profiled):
    """Names of the input channels of the network, by resolution level.

    Parameters
    ----------
    bands : `~gammapy_asid.inputs.Bands`
        Bands.
    n_spectra : int
        Number of trial spectra.
    profiled : bool
        See `network_inputs`.

    Returns
    -------
    names : dict of int to list of tuple
        In the order of `network_inputs`: what is shown, of which band, extent or spectrum of the level.
    """
    names = {}
    for level in range(max(bands.levels) + 1):
        count = sum(own == level for own in bands.levels)
        names[level] = [("band", i, channel) for i in range(count) for channel in range(BAND_CHANNELS)]
    both = [(way, spectrum) for way in range(2) for spectrum in range(n_spectra)]
    names[0] += [("combined", *index) for index in both] + [("mask",)]
    for extent, level in enumerate(bands.extent_levels):
        names.setdefault(level, []).extend(("extent", extent, *index) for index in both)
    if profiled:
        for level in set(bands.levels):
            count = sum(own == level for own in bands.levels)
            names[level] += [("profiled", i) for i in range(count)]
        names[0] += [("profiled combined", spectrum) for spectrum in range(n_spectra)]
    return names


def _per_band(function, batch, background):
    """Results of a function of a band's images, for each band."""
    rows = zip(batch.counts, background, batch.mask, batch.exposure, batch.kernels.unbind(1), strict=True)
    return [function(*row) for row in rows]


def network_inputs(batch, profiled=False):
    """Input channels of the network, by resolution level.

    Parameters
    ----------
    batch : `FieldBatch`
        Fields.
    profiled : bool
        Whether the network takes the profiled significance, see `profiled_score_terms`.

    Returns
    -------
    inputs : dict of int to `~torch.Tensor`
        Shape ``(n, channels, ny / 2**level, nx / 2**level)``: per band of the level the
        significance on the known sky normalised to the data and on the known sky as
        given, the logarithm of counts and of the normalised known sky; on level 0 also
        the significances combined for the trial spectra, in both ways, and the mask. On the levels
        of the extents those of extended sources, in both ways. Last the significance with the level of the
        known sky free nearby, per band and on level 0 combined.
    """
    background = known_sky(batch)
    if profiled:
        terms, free = zip(*_per_band(profiled_score_terms, batch, background), strict=True)
    else:
        terms, free = _per_band(score_terms, batch, background), None
    ways = [(*significance_maps(batch, terms), extended_maps(batch, background))]
    if batch.has_background.any():
        known = batch.has_background[:, None, None]
        predicted = [torch.where(known, b, n) for b, n in zip(batch.background, background, strict=True)]
        predicted = [b.clamp(min=MIN_BACKGROUND) for b in predicted]
        given = significance_maps(batch, _per_band(score_terms, batch, predicted))
        ways.append((*given, extended_maps(batch, predicted)))
    # Without a prediction both are the same
    bands, combined, extended = zip(ways[0], ways[-1], strict=True)
    present = [
        (batch.spectra[:, 0, band] > 0).float()[:, None, None] * mask for band, mask in enumerate(batch.mask)
    ]
    inputs = {}
    for band, level in enumerate(batch.levels):
        channels = [
            *(compress(maps[band]) for maps in bands),
            torch.log1p(batch.counts[band]),
            # A hundredth of a count is as good as none
            torch.log(background[band] + 0.01),
        ]
        inputs.setdefault(level, []).extend(c * present[band] for c in channels)
    inputs[0].extend([m for maps in combined for m in compress(maps).unbind(1)] + [batch.field_mask])
    for level, *both in zip(batch.extent_levels, *extended, strict=True):
        inputs.setdefault(level, []).extend(m for image in both for m in compress(image).unbind(1))
    if free is not None:
        maps, total = significance_maps(batch, free)
        for band, level in enumerate(batch.levels):
            inputs[level].append(compress(maps[band]) * present[band])
        inputs[0].extend(compress(total).unbind(1))
    return {level: torch.stack(channels, 1) for level, channels in inputs.items()}
