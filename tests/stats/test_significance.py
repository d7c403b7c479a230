# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of the likelihood's view of a field."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from gammapy_asid.inputs.batch import FieldBatch
from gammapy_asid.stats.correlation import correlate, fast_length
from gammapy_asid.stats.known_sky import known_sky, local_normalisation
from gammapy_asid.stats.significance import (
    BAND_CHANNELS,
    channel_names,
    compress,
    network_inputs,
    score_terms,
    signed_significance,
    significance_maps,
)

LEVELS = (1, 0)
SIZE = 64


def gaussian(sigma, half=8):
    r2 = np.add.outer(np.arange(-half, half + 1) ** 2, np.arange(-half, half + 1) ** 2)
    kernel = np.exp(-r2 / (2 * sigma**2))
    return torch.tensor(kernel / kernel.sum(), dtype=torch.float32)


def make_batch(n=2, rate=(4.0, 1.0), seed=0, known=True, source=0.0):
    """Flat fields in two bands, with a source of given expected counts a band at their middle."""
    generator = torch.Generator().manual_seed(seed)
    kernels = torch.stack([gaussian(1.5), gaussian(1.0)])[None].repeat(n, 1, 1, 1)
    counts, background = [], []
    for band, level in enumerate(LEVELS):
        size = SIZE >> level
        flat = torch.full((n, size, size), rate[band])
        signal = torch.zeros(n, size, size)
        middle = size // 2
        signal[:, middle - 8 : middle + 9, middle - 8 : middle + 9] = source * kernels[0, band]
        background.append(flat if known else torch.ones_like(flat))
        counts.append(torch.poisson(flat + signal, generator=generator))
    ones = [torch.ones_like(c) for c in counts]
    return FieldBatch(
        levels=LEVELS,
        counts=counts,
        background=background,
        mask=ones,
        exposure=[o.clone() for o in ones],
        kernels=kernels,
        spectra=torch.tensor([[0.7, 0.3], [0.4, 0.6]]).expand(n, 2, 2),
        conditions=torch.zeros(n, 3),
        has_background=torch.full((n,), known),
        pixel_size=torch.full((n,), 0.1),
    )


def test_correlate_is_a_direct_sum():
    generator = torch.Generator().manual_seed(1)
    image, kernel = torch.rand(2, 1, 21, 34, generator=generator), torch.rand(1, 1, 5, 5, generator=generator)
    expected = torch.nn.functional.conv2d(image, kernel, padding=2)
    assert_allclose(correlate(image, kernel[:, 0][:, None]), expected, rtol=1e-4)


@pytest.mark.parametrize("rate", [0.05, 0.3, 3.0, 100.0])
def test_significance_is_normal_on_pure_background(rate):
    generator = torch.Generator().manual_seed(2)
    background = torch.full((8, 128, 128), rate)
    counts = torch.poisson(background, generator=generator)
    ones = torch.ones_like(background)
    terms = score_terms(counts, background, ones, ones, gaussian(2.0)[None])
    inner = signed_significance(*terms)[:, 16:-16, 16:-16]
    # The signed root of a likelihood ratio of mu counts is off by a fraction of 1 / sqrt(mu).
    mu = rate / float((gaussian(2.0) ** 2).sum())
    assert abs(float(inner.mean())) < 0.02 + 0.3 / np.sqrt(mu)
    assert_allclose(float(inner.std()), 1, atol=0.06)
    # 2.3 % above two sigma; few counts make the tail lumpy.
    assert 0.012 < float((inner > 2).float().mean()) < 0.035


def test_significance_of_a_source():
    # Asimov: an amplitude a has the likelihood ratio 2 sum((b + s) ln(1 + s / b) - s).
    kernel, background, amplitude = gaussian(1.5), 200.0, 400.0
    signal = torch.zeros(1, 41, 41)
    signal[0, 12:29, 12:29] = amplitude * kernel
    sky = torch.full_like(signal, background)
    ones = torch.ones_like(signal)
    terms = score_terms(sky + signal, sky, ones, ones, kernel[None])
    found = float(signed_significance(*terms)[0, 20, 20])
    s = signal.double()
    expected = float(torch.sqrt(2 * ((background + s) * torch.log1p(s / background) - s).sum()))
    assert expected > 5
    assert_allclose(found, expected, rtol=0.05)
    assert int(signed_significance(*terms).argmax()) == 20 * 41 + 20


def test_significance_of_bands_and_trial_spectra():
    batch = make_batch(rate=(50.0, 20.0), source=80.0)
    images = zip(
        batch.counts, batch.background, batch.mask, batch.exposure, batch.kernels.unbind(1), strict=True
    )
    bands, combined = significance_maps(batch, [score_terms(*rows) for rows in images])
    assert [b.shape[-1] for b in bands] == [32, 64]
    assert combined.shape == (2, 2, 64, 64)
    middle = combined[:, :, 30:35, 30:35].amax((-2, -1))
    single = torch.stack([b[:, b.shape[1] // 2, b.shape[1] // 2] for b in bands])
    # Both bands together show more than either alone.
    assert bool((middle.amax(1) > single.amax(0)).all())


def test_negative_significance_of_a_hole():
    sky, ones = torch.full((1, 33, 33), 10.0), torch.ones(1, 33, 33)
    terms = score_terms(0 * sky, sky, ones, ones, gaussian(2.0)[None])
    # No photon where mu = 1 / sum(P^2) x 10 are expected: sqrt(2 mu).
    mu = 10 / float((gaussian(2.0) ** 2).sum())
    assert_allclose(float(signed_significance(*terms)[0, 16, 16]), -np.sqrt(2 * mu), rtol=1e-3)


def normalisation(factor, source=0.0, known=True, seed=3):
    generator = torch.Generator().manual_seed(seed)
    background = torch.linspace(5, 15, 32).expand(4, 32, 32).contiguous()
    expected = factor * background
    expected[:, 15:17, 15:17] += source
    counts = torch.poisson(expected, generator=generator)
    return local_normalisation(counts, background, torch.full((4,), 6.0), torch.full((4,), known))


@pytest.mark.parametrize("known", [True, False])
def test_local_normalisation(known):
    ratio = normalisation(1.2, known=known)
    # Clipping at 2.5 standard deviations costs 2 %.
    assert_allclose(float(ratio.mean()), 1.2, rtol=0.025)
    bright = normalisation(1.2, source=2000.0, known=known)
    assert_allclose(float(bright.mean()), float(ratio.mean()), rtol=0.01)
    assert_allclose(bright[:, 14:18, 14:18], 1.2, rtol=0.12)


def test_prior_of_the_normalisation():
    empty, sky = torch.zeros(1, 16, 16), torch.full((1, 16, 16), 1e-3)
    ratio = local_normalisation(empty, sky, torch.tensor([4.0]), torch.tensor([True]))
    # A hundredth of a photon expected, none seen: nothing learnt.
    assert_allclose(ratio, 1, atol=0.02)


def test_known_sky_keeps_the_shape_of_the_prediction():
    batch = make_batch(rate=(40.0, 10.0))
    batch = replace(batch, counts=[1.3 * b for b in batch.background])
    for sky, background in zip(known_sky(batch), batch.background, strict=True):
        assert_allclose(sky / background, 1.3, rtol=0.03)


def test_network_inputs():
    batch = make_batch()
    inputs = network_inputs(batch, profiled=True)
    names = channel_names(batch, 2, profiled=True)
    assert inputs[1].shape == (2, len(names[1]), 32, 32) == (2, BAND_CHANNELS + 1, 32, 32)
    assert inputs[0].shape == (2, len(names[0]), 64, 64) == (2, BAND_CHANNELS + 2 * 2 + 1 + 1 + 2, 64, 64)
    assert_allclose(inputs[0][:, 2], torch.log1p(batch.counts[1]), rtol=1e-6)
    assert_allclose(inputs[0][:, names[0].index(("mask",))], 1)
    first = network_inputs(batch, profiled=False)
    for level, maps in first.items():
        assert torch.equal(maps, inputs[level][:, : maps.shape[1]])


def test_without_prediction_both_views_are_equal():
    inputs = network_inputs(make_batch(known=False))
    assert_allclose(inputs[1][:, 0], inputs[1][:, 1], rtol=1e-5)


def test_absent_band_is_silent():
    batch = make_batch()
    spectra = batch.spectra.clone()
    spectra[:, :, 0] = 0
    empty = torch.zeros_like(batch.counts[0])
    batch = replace(
        batch,
        spectra=spectra,
        counts=[empty, batch.counts[1]],
        mask=[empty, batch.mask[1]],
        background=[empty, batch.background[1]],
        exposure=[empty, batch.exposure[1]],
        kernels=batch.kernels * torch.tensor([0.0, 1.0])[:, None, None],
    )
    inputs = network_inputs(batch)
    assert torch.isfinite(inputs[0]).all()
    assert not inputs[1].any()


def test_masked_pixels_do_not_influence():
    batch = make_batch(rate=(20.0, 5.0))
    mask = [m.clone() for m in batch.mask]
    mask[0][:, 10:20, 10:20] = 0
    mask[1][:, 20:40, 20:40] = 0
    counts = [c * m for c, m in zip(batch.counts, mask, strict=True)]
    background = [b * m for b, m in zip(batch.background, mask, strict=True)]
    clean = network_inputs(replace(batch, counts=counts, background=background, mask=mask))
    glare = [c + 1e4 * (1 - m) for c, m in zip(counts, mask, strict=True)]
    dirty = network_inputs(replace(batch, counts=glare, background=background, mask=mask))
    for level in clean:
        inside = mask[1 - level][:, None]
        assert_allclose(clean[level] * inside, dirty[level] * inside, atol=1e-4)
        assert torch.isfinite(clean[level]).all()
    # A hole is no deficit.
    around = clean[0][:, 0, 18:42, 18:42] * mask[1][:, 18:42, 18:42]
    assert float(around.abs().amax()) < 2 * float(compress(torch.tensor(5.0)))


def test_to_device():
    batch = make_batch()
    moved = batch.to("meta")
    assert moved.counts[0].device.type == moved.kernels.device.type == "meta"
    assert batch.counts[0].device.type == "cpu"
    assert len(moved) == 2
    assert {f.name for f in fields(moved)} == set(vars(batch))


def test_fast_length():
    lengths = [2**a * 3**b * 5**c for a in range(1, 13) for b in range(9) for c in range(7)]
    fast = np.unique(lengths)
    n = np.arange(1, 5001)
    assert [fast_length(int(i)) for i in n] == fast[np.searchsorted(fast, n)].tolist()
