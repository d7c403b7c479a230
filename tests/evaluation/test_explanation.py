# Licensed under a 3-clause BSD style license - see LICENSE
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from gammapy_asid.evaluation.explanation import explain
from gammapy_asid.evaluation.explanation_plots import plot_explanation

N, KINDS, BANDS, YEARS, SIZE = 40, 2, 3, 4, 5
#: Channels: all bands of the first kind, then all of the second.
BAND = np.tile(np.arange(BANDS), KINDS)


class Toy(nn.Module):
    """Class 1 for what is bright in band 2 and year 3 at the centre, less if the second feature is large."""

    def __init__(self, curved=True):
        super().__init__()
        self.curved = curved

    def forward(self, stamps, features, exposure):
        centre = stamps[:, 2, 3, 2, 2] + stamps[:, 5, 3, 2, 2]
        logit = (torch.tanh(centre) if self.curved else centre) - 0.5 * features[:, 1] + exposure
        return torch.stack([torch.zeros_like(logit), logit], dim=1)


@pytest.fixture(scope="module")
def inputs():
    generator = torch.Generator().manual_seed(0)
    return {
        "exposure": torch.rand(N, generator=generator),
        "stamps": torch.randn(N, KINDS * BANDS, YEARS, SIZE, SIZE, generator=generator),
        "features": torch.randn(N, 3, generator=generator),
    }


@pytest.mark.parametrize("method", ["gradients", "occlusion"])
def test_what_decides_is_found(inputs, method):
    network = Toy().eval()
    own = explain(network, inputs, 1, {"stamps": 0.0, "features": 0.0}, method, {"stamps": BAND})
    stamps = inputs["stamps"].numpy()
    expected = np.zeros((N, BANDS, YEARS))
    expected[:, 2, 3] = np.tanh(stamps[:, 2, 3, 2, 2] + stamps[:, 5, 3, 2, 2])
    assert_allclose(own.bands_and_years("stamps", BAND), expected, atol=0.01)
    expected = np.zeros((N, 3))
    expected[:, 1] = -0.5 * inputs["features"][:, 1]
    assert_allclose(own.attributions["features"], expected, atol=1e-5)
    assert_allclose(own.missing, 0, atol=0.01)
    with torch.no_grad():
        without = {name: torch.zeros_like(inputs[name]) for name in ("stamps", "features")}
        difference = (network(**inputs) - network(**(inputs | without)))[:, 1]
    assert_allclose(own.difference, difference, atol=1e-6)
    if method == "gradients":
        pixels = own.pixels("stamps")
        assert np.count_nonzero(np.abs(pixels).sum(axis=0)) == 1 and np.abs(pixels[:, 2, 2]).min() > 0


def test_baseline_of_its_own(inputs):
    # A source that is all background has nothing to explain
    background = inputs["stamps"].clone()
    background[1:] = 0
    own = explain(Toy().eval(), inputs, np.ones(N, int), {"stamps": background}, n_steps=100)
    assert own.difference[0] == 0 and np.abs(own.attributions["stamps"][0]).max() == 0
    assert list(own.attributions) == ["stamps"]


def test_class_of_each_source(inputs):
    target = np.arange(N) % 2
    own = explain(Toy(curved=False).eval(), inputs, target, {"features": 0.0})
    assert (own.attributions["features"][target == 0] == 0).all()
    assert_allclose(own.attributions["features"][1, 1], -0.5 * inputs["features"][1, 1], rtol=1e-5)


def test_one_time_bin(inputs):
    def network(stamps):
        logit = stamps[:, 0, 0].sum(dim=(1, 2))
        return torch.stack([logit, -logit], dim=1)

    own = explain(network, {"stamps": inputs["stamps"][:3, :2, :1]}, 0, {"stamps": 0.0})
    shares = own.bands_and_years("stamps", [0, 1])
    assert shares.shape == (3, 2, 1)
    assert_allclose(shares[:, 0, 0], inputs["stamps"][:3, 0, 0].sum(dim=(1, 2)), rtol=1e-4)


def test_occlusion_of_images_without_time(inputs):
    def network(images, exposure):
        logit = images[:, 1].sum(dim=(1, 2)) * exposure
        return torch.stack([logit, -logit], dim=1)

    given_ones = {"images": inputs["stamps"][:, :3, 0], "exposure": inputs["exposure"]}
    own = explain(network, given_ones, 0, {"images": 0.0, "exposure": 0.0}, "occlusion").attributions
    assert_allclose(own["images"][:, [0, 2]], 0, atol=1e-6)
    logit = (given_ones["images"][:, 1].sum(dim=(1, 2)) * given_ones["exposure"]).numpy()
    assert_allclose(own["images"][:, 1].sum(axis=(1, 2)), logit, rtol=1e-4, atol=1e-5)
    assert_allclose(own["exposure"], logit, rtol=1e-4, atol=1e-5)


def test_too_few_steps_are_told(inputs):
    def network(stamps):
        # A step that a coarse integral misses
        logit = torch.sigmoid(200 * (stamps[:, 0, 0, 0, 0] - 0.9))
        return 3 * torch.stack([logit, -logit], dim=1)

    bright = {"stamps": torch.ones_like(inputs["stamps"][:2])}
    with pytest.warns(UserWarning, match="2 of 2 sources miss more than 5%.*n_steps"):
        own = explain(network, bright, 0, {"stamps": 0.0}, n_steps=3)
    assert np.abs(own.missing).min() > 0.1
    assert np.abs(explain(network, bright, 0, {"stamps": 0.0}, n_steps=300).missing).max() < 0.05


def test_bad_arguments(inputs):
    network = Toy()
    with pytest.raises(ValueError, match="eval"):
        explain(network.train(), inputs, 1, {"stamps": 0.0})
    network.eval()
    with pytest.raises(ValueError, match="exposure, stamps, features.*got counts"):
        explain(network, inputs, 1, {"counts": 0.0})
    with pytest.raises(ValueError, match="got none"):
        explain(network, inputs, 1, {})
    with pytest.raises(ValueError, match="gradients or occlusion"):
        explain(network, inputs, 1, {"stamps": 0.0}, "saliency")
    with pytest.raises(ValueError, match="6 channels need a band each"):
        explain(network, inputs, 1, {"stamps": 0.0}, "occlusion", {"stamps": [0, 1]})


def test_plot_explanation():
    shares = np.arange(12.0).reshape(3, 4) - 5
    bands, years = ["1-3 GeV", "3-10 GeV", "10-30 GeV"], range(2008, 2012)
    figure = plot_explanation(shares, bands, years, np.ones((5, 5)), "J0001, AGN", 6.5)
    figure.canvas.draw()
    assert figure.get_suptitle() == "J0001, AGN: sum +6.00 of a difference of +6.50"
    heat = next(ax for ax in figure.axes if ax.get_xlabel() == "Year")
    assert_allclose(heat.images[0].get_array(), shares)
    # White is nothing: both ends are as far from zero
    assert heat.images[0].get_clim() == (-6, 6)
    assert [text.get_text() for text in heat.get_yticklabels()] == bands
    each = next(ax for ax in figure.axes if ax.get_ylabel() == "All bands")
    assert_allclose([bar.get_height() for bar in each.patches], shares.sum(axis=0))
    assert plot_explanation(np.zeros((2, 1))).get_suptitle() == "Sum +0.00"
    with pytest.raises(ValueError, match="2 bands and 4 years"):
        plot_explanation(shares, bands[:2], years)
    with pytest.raises(ValueError, match="one source"):
        plot_explanation(shares[None])
