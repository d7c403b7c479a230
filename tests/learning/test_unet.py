# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of the multi-resolution U-Net."""

import pytest
import torch
from numpy.testing import assert_allclose

from gammapy_asid.learning.unet import MultiResolutionUNet, UNetConfig

CONFIG = UNetConfig(inputs=(3, 2, 1, 1), conditions=5, widths=(6, 8, 10, 12), embedding=7)


def make_inputs(config, size, n=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        level: torch.randn(n, channels, size >> level, size >> level, generator=generator)
        for level, channels in enumerate(config.inputs)
        if channels
    }


@pytest.fixture
def network():
    torch.manual_seed(3)
    network = MultiResolutionUNet(CONFIG)
    for name, parameter in network.named_parameters():
        # The conditioning starts at zero and the head at rare sources: neither would show an error.
        if "film" in name or "head" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    network(make_inputs(CONFIG, 64, n=4, seed=1), torch.randn(4, 5))
    return network.eval()


@torch.no_grad()
@pytest.mark.parametrize("shape", [(32, 32), (40, 72)])
def test_output_shape(network, shape):
    inputs = {i: torch.randn(2, c, shape[0] >> i, shape[1] >> i) for i, c in enumerate(CONFIG.inputs)}
    output = network(inputs, torch.zeros(2, 5))
    assert output.shape == (2, 5, *shape)
    assert torch.isfinite(output).all()


@torch.no_grad()
def test_untrained_network_predicts_rare_sources():
    torch.manual_seed(0)
    network = MultiResolutionUNet(CONFIG).eval()
    probability = torch.sigmoid(network(make_inputs(CONFIG, 32), torch.zeros(1, 5))[:, :2])
    assert float(probability.mean()) < 0.1


@torch.no_grad()
def test_tile_equals_field(network):
    # A tile's inner part must not know where it was cut.
    size, start, width, margin = 256, 40, 208, 88
    inputs, conditions = make_inputs(CONFIG, size), torch.randn(1, 5)
    whole = network(inputs, conditions)
    cuts = {level: slice(start >> level, (start + width) >> level) for level in inputs}
    tile = {level: image[..., cuts[level], cuts[level]] for level, image in inputs.items()}
    cut = network(tile, conditions)
    inner = slice(margin, width - margin)
    outer = slice(start + margin, start + width - margin)
    assert_allclose(cut[..., inner, inner], whole[..., outer, outer], atol=1e-4)
    assert not torch.allclose(cut[..., :4, :4], whole[..., start : start + 4, start : start + 4], atol=1e-4)


@torch.no_grad()
def test_shift_of_the_coarsest_pixel_shifts_the_output(network):
    inputs, conditions = make_inputs(CONFIG, 256), torch.zeros(1, 5)
    whole = network(inputs, conditions)
    moved = network({i: torch.roll(v, 8 >> i, -1) for i, v in inputs.items()}, conditions)
    assert_allclose(moved[..., 104:152, 112:160], whole[..., 104:152, 104:152], atol=1e-4)


@torch.no_grad()
def test_fields_of_a_batch_are_independent(network):
    inputs, conditions = make_inputs(CONFIG, 64, n=3), torch.randn(3, 5)
    together = network(inputs, conditions)
    alone = network({i: v[1:2] for i, v in inputs.items()}, conditions[1:2])
    assert_allclose(together[1:2], alone, atol=1e-5)


@torch.no_grad()
def test_instrument_matters(network):
    inputs = make_inputs(CONFIG, 64)
    one, other = (network(inputs, torch.full((1, 5), v)) for v in (0.0, 1.0))
    assert float((one - other).abs().max()) > 1e-3


@torch.no_grad()
def test_levels_without_bands():
    config = UNetConfig(inputs=(3, 0, 1, 0), conditions=5, widths=(6, 8, 10, 12), embedding=7)
    network = MultiResolutionUNet(config).eval()
    inputs = make_inputs(config, 64)
    assert set(inputs) == {0, 2}
    assert network(inputs, torch.zeros(1, 5)).shape == (1, 5, 64, 64)


def test_every_parameter_learns(network):
    network.train()
    network(make_inputs(CONFIG, 64, n=2), torch.randn(2, 5)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


@torch.no_grad()
def test_one_image_alone_is_that_in_a_batch(network):
    """Layers are merged for one image only."""
    inputs, conditions = make_inputs(CONFIG, 32, n=2), torch.randn(2, 5)
    alone = [network({k: v[i : i + 1] for k, v in inputs.items()}, conditions[i : i + 1]) for i in (0, 1)]
    assert_allclose(torch.cat(alone), network(inputs, conditions), atol=1e-5)
