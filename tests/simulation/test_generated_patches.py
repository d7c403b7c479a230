# Licensed under a 3-clause BSD style license - see LICENSE
"""Patches whose fine emission was generated."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from gammapy_asid.simulation.diffuse import EmissionBank, analytic_emission
from gammapy_asid.simulation.generated_patches import GeneratedLatSimulator
from gammapy_asid.simulation.lat_patches import LatSimulator
from gammapy_asid.simulation.patch_images import smoothed
from gammapy_asid.simulation.populations import draw_sky
from gammapy_asid.simulation.sky_grid import INTERVALS
from gammapy_asid.simulation.structure import StructureLibrary

#: Width of the point spread function in deg: wide in the first interval, narrow in all others.
BLUR = np.array([1.0, *[0.01] * (len(INTERVALS) - 2)])


@pytest.fixture(scope="module")
def simulators(make_response):
    """Without and with generated structure: noise with a strength of 0.2."""
    noise = 0.2 * torch.randn(60, 48, 48, generator=torch.Generator().manual_seed(0))
    library = StructureLibrary(noise.half(), torch.linspace(0, 90, 60), 0.25)
    emission = torch.tensor(analytic_emission().intensity[None])
    arguments = [make_response(0.1)], [1.0], emission, draw_sky
    return LatSimulator(*arguments, size=32), GeneratedLatSimulator(*arguments, library, BLUR, size=32)


def test_truth_and_prediction_have_structure_of_their_own(simulators):
    n = 400
    places = torch.zeros(n, dtype=torch.long), torch.zeros(n, 2), torch.zeros(n)
    before, after = (
        simulator._intensity(torch.Generator().manual_seed(1), *places) for simulator in simulators
    )
    truth, prediction = (torch.log(b / a) for a, b in zip(before, after, strict=True))
    # A third of the noise's power is lost where pixels lie between those of the library
    assert 0.1 < truth[:, 3].std() < 0.2
    assert_allclose(prediction[:, 3].std(), truth[:, 3].std(), rtol=0.05)
    assert truth[:, 0].std() < 0.3 * truth[:, 3].std()
    assert torch.equal(truth[:, 4] > 0, truth[:, 3] > 0)
    # They agree from not at all to fully
    flat = truth[:, 3].flatten(1), prediction[:, 3].flatten(1)
    agreement = torch.nn.functional.cosine_similarity(*flat)
    assert agreement.min() < 0.1
    assert agreement.max() > 0.95
    assert_allclose(agreement.mean(), 0.5, atol=0.07)


def test_patches_are_drawn(simulators):
    one, same = (simulators[1].draw(4, 2) for _ in range(2))
    assert torch.equal(one.batch.counts[0], same.batch.counts[0])
    assert not torch.equal(one.batch.counts[0], simulators[0].draw(4, 2).batch.counts[0])


def test_coarse_models_are_smooth():
    model = analytic_emission()
    bank = EmissionBank.from_models([model])
    coarse = GeneratedLatSimulator.coarse(bank, BLUR).intensity[0]
    assert coarse.shape == model.intensity.shape
    steps = [
        np.abs(np.diff(np.log(v[:, 300:420, :-1]), axis=2)).mean((1, 2)) for v in (model.intensity, coarse)
    ]
    assert np.all(steps[1] < 0.5 * steps[0])
    assert steps[1][0] < steps[1][3]


def test_smoothed_images():
    image = torch.zeros(1, 1, 41, 41)
    image[0, 0, 20, 20] = 1
    wide = smoothed(image, torch.tensor([[0.0, 2.0]]))
    assert wide.shape == (1, 2, 41, 41)
    assert_allclose(wide[0, 0], image[0, 0], atol=1e-6)
    # A Gaussian of two pixels
    assert_allclose(wide[0, 1, 20, 20], 1 / (2 * np.pi * 4), rtol=1e-3)
    assert_allclose(wide[0, 1, 20, 22], np.exp(-0.5) / (2 * np.pi * 4), rtol=1e-3)
    assert_allclose(smoothed(image + 3, torch.tensor([[5.0]]))[0, 0, 0, 0], 3, atol=1e-3)
