# Licensed under a 3-clause BSD style license - see LICENSE
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from gammapy_asid.evaluation.interpretation import embed
from gammapy_asid.stats.template_spectra import TEMPLATES
from gammapy_asid.tasks.classification.explanation import TARGETS, explain_candidates
from gammapy_asid.tasks.classification.model import ClassificationModel
from gammapy_asid.tasks.classification.network import ClassConfig, ClassNetwork, class_inputs
from gammapy_asid.tasks.classification.stamps import CandidateStamps

N, YEARS, BANDS, SIZE, SCALARS = 3, 5, 2, 9, 14


@pytest.fixture(scope="module")
def stamps():
    """Sources of some counts in a flat sky; the first flares in the third year of the second band."""
    generator = torch.Generator().manual_seed(1)
    rest = torch.full((N, BANDS, SIZE, SIZE), 4.0)
    own = torch.zeros_like(rest)
    own[..., 4, 4] = 30
    share = torch.full((N, YEARS, BANDS), 1 / YEARS)
    mean = share[..., None, None] * (rest + own)[:, None]
    mean[0, 2, 1, 4, 4] += 60
    counts = torch.poisson(mean, generator=generator)
    centre = counts[..., 4, 4]
    return CandidateStamps(
        scalars=torch.randn(N, SCALARS, generator=generator),
        deviances=torch.rand(N, len(TEMPLATES), generator=generator) * 20,
        best=torch.full((N,), 50.0),
        counts=counts.to(torch.int16),
        expected=(rest + own).half(),
        own=own.half(),
        valid=torch.ones_like(rest, dtype=torch.bool),
        share=share,
        excess=centre - share * 34,
        information=share * 34,
    )


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(2)
    network = ClassNetwork(ClassConfig(BANDS, SCALARS, (6, 6, 6), 8, 2)).eval()
    for weight in network.heads.weights:
        weight.data *= 3
    return network


@pytest.mark.parametrize("target", TARGETS)
def test_shares_add_up(network, stamps, target):
    explanation, shares = explain_candidates(network, stamps, target, n_steps=200)
    assert shares.shape == (N, BANDS, YEARS)
    assert np.abs(explanation.difference).max() > 0.01
    assert_allclose(explanation.missing, 0, atol=0.05 * np.abs(explanation.difference).max())
    # Images that stay and numbers of the fit have the rest
    rest = explanation.attributions["numbers"].sum(axis=1)
    rest = rest + explanation.attributions["still"].sum(axis=(1, 2, 3))
    assert_allclose(shares.sum(axis=(1, 2)) + rest, explanation.difference - explanation.missing, atol=1e-5)


def test_flare_is_where_the_light_is(stamps):
    class Flares(torch.nn.Module):
        """Odds of an AGN: the largest excess of a year in the second band."""

        def __init__(self):
            super().__init__()
            self.register_buffer("low", torch.zeros(1))
            self.number_norm = SimpleNamespace(running_mean=torch.zeros(SCALARS + len(TEMPLATES) + 5))

        def forward(self, numbers, still, moving, curve):
            odds = moving[:, 3, :, 4, 4].amax(dim=1) + 0 * (numbers.sum(1) + still.sum((1, 2, 3)))
            zero = torch.zeros_like(odds)
            return torch.stack([zero, odds + 0 * curve.sum((1, 2)), zero, zero, zero], dim=1)

    _, shares = explain_candidates(Flares().eval(), stamps.select(torch.tensor([0])), "AGN", "occlusion")
    assert np.unravel_index(np.abs(shares[0]).argmax(), shares[0].shape) == (1, 2)
    assert np.count_nonzero(np.abs(shares[0]) > 1e-6) == 1
    assert shares[0].max() > 1


def test_other_targets(network, stamps):
    with pytest.raises(ValueError, match="real, AGN, PSR, PWN-SNR, FSRQ, got 'BCU'"):
        explain_candidates(network, stamps, "BCU")


def test_embedding_of_the_last_layer(network, stamps):
    card = SimpleNamespace(to_bands=lambda: None)
    model = ClassificationModel(card, network, "cpu")
    points = embed(model, stamps.select(torch.tensor([0, 1, 2, 0, 1])))
    assert points.shape == (5, 2)
    assert_allclose(points[:2], points[3:], atol=1e-5)
    hidden = model.last_layer(stamps)
    assert_allclose(hidden, network.last_layer(*class_inputs(stamps)).detach(), atol=1e-5)
