# Licensed under a 3-clause BSD style license - see LICENSE
"""Libraries of counts are compared, and detectors that learned from them."""

import numpy as np
import pytest
import torch

from gammapy_asid.simulation.counts_library import CountsLibrary
from gammapy_asid.tasks.detection.network import build_network
from gammapy_asid.tasks.detection.simulator import build_simulator

counts = pytest.importorskip("benchmarks.generative.counts")


@pytest.fixture(scope="module")
def library(simulator, response, monkeypatch_module):
    monkeypatch_module.setattr(counts, "BATCH", 8)
    about = {
        "edges": response.bands.edges,
        "pixel_size": 0.2,
        "exposure": tuple(response.exposure.mean(1).tolist()),
    }
    return counts.simulated_library(simulator.sky, 15, about)


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def test_library_has_the_simulated_sources(library, simulator):
    assert len(library) == 16
    assert (library.patch.diff() >= 0).all()
    second = simulator.sky.draw(8, (counts.SEED, 1))
    assert torch.equal(library.counts[8:], torch.stack(second.batch.counts, 1).int())
    brightest = library.significance[library.patch >= 8].max()
    inside = (second.x > -0.5) & (second.x < 31.5) & (second.y > -0.5) & (second.y < 31.5)
    np.testing.assert_allclose(brightest, second.significance[inside].max(), rtol=0.02)


def test_figures(library):
    same = counts.figures(library, library)
    np.testing.assert_allclose(same["mean"], 1)
    np.testing.assert_allclose(same["spread of pixels"], 1)
    np.testing.assert_allclose(same["distance of the histograms"], 0)
    assert same["distance of the significances"] == 0
    other = counts.figures(CountsLibrary(**vars(library) | {"counts": 2 * library.counts}), library)
    np.testing.assert_allclose(other["mean"], 2)
    # Of the root of the counts, where these are many
    np.testing.assert_allclose(other["spread of patches"][0], np.sqrt(2), rtol=0.02)


def test_figures_of_a_detector(tiny_recipe, response, library):
    sky = build_simulator(tiny_recipe.model_copy(update={"background_share": 0.0}), [response], [1.0])
    torch.manual_seed(0)
    network = build_network(response.bands, (4, 4, 4, 4)).eval()
    result = counts.detector_figures(network, sky, 10)
    assert result["sources"] > 10
    assert 0 <= result["recall at purity .95"] <= result["recall at purity .90"] <= 1
    # Nothing was learned
    assert result["average precision"] < 0.5
