# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of emission that is not that of any model."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from gammapy_asid.simulation.diffuse import analytic_emission
from gammapy_asid.simulation.emission_variations import FarLevels, GeneratedStructure
from gammapy_asid.simulation.faulty_patches import FaultyLatSimulator
from gammapy_asid.simulation.lat_patches import LatSimulator
from gammapy_asid.simulation.patch_images import smoothed
from gammapy_asid.simulation.populations import draw_sky
from gammapy_asid.simulation.sky_grid import INTERVALS
from gammapy_asid.simulation.structure import StructureLibrary

#: Width of the point spread function in deg: wide in the first interval, narrow in all others.
BLUR = np.array([1.0, *[0.01] * (len(INTERVALS) - 2)])


@pytest.fixture(scope="module")
def library():
    """Noise with a strength of 0.2."""
    noise = 0.2 * torch.randn(60, 48, 48, generator=torch.Generator().manual_seed(0))
    return StructureLibrary(noise.half(), torch.linspace(0, 90, 60), 0.25)


@pytest.fixture(scope="module")
def flat():
    """Emission without structure in 400 patches: truth and prediction, latitude and width."""
    n = 400
    one = torch.ones(n, len(INTERVALS) - 1, 16, 16)
    return (one, 2 * one), torch.zeros(n), torch.full((n,), 3.2)


def test_truth_and_prediction_have_structure_of_their_own(library, flat):
    after = GeneratedStructure(library, BLUR)(*flat, torch.Generator().manual_seed(1))
    truth, prediction = (torch.log(b / a) for a, b in zip(flat[0], after, strict=True))
    # A third of the noise's power is lost where pixels lie between those of the library
    assert 0.1 < truth[:, 3].std() < 0.2
    assert_allclose(prediction[:, 3].std(), truth[:, 3].std(), rtol=0.05)
    assert truth[:, 0].std() < 0.3 * truth[:, 3].std()
    assert torch.equal(truth[:, 4] > 0, truth[:, 3] > 0)
    # They agree from not at all to fully
    images = truth[:, 3].flatten(1), prediction[:, 3].flatten(1)
    agreement = torch.nn.functional.cosine_similarity(*images)
    assert agreement.min() < 0.1
    assert agreement.max() > 0.95
    assert_allclose(agreement.mean(), 0.5, atol=0.07)


def test_structure_of_the_models_goes_where_other_is_generated(library, flat):
    (truth, prediction), *place = flat
    fine = truth.clone()
    fine[..., ::2] *= 1.5
    changed, _ = GeneratedStructure(library, BLUR, share=0.25)((fine, prediction), *place, torch.Generator())
    kept = (changed == fine).flatten(1).all(1)
    assert_allclose(kept.float().mean(), 0.75, atol=0.08)
    stripes = changed[~kept][..., 1::2].log().mean() - changed[~kept][..., ::2].log().mean()
    assert abs(stripes) < 0.05


def test_far_levels_change_truth_and_prediction_alike(flat):
    after = FarLevels(0.4)(*flat, torch.Generator().manual_seed(3))
    truth, prediction = (b / a for a, b in zip(flat[0], after, strict=True))
    assert torch.equal(truth, prediction)
    level = truth[:, 3, 0, 0]
    far = level != 1
    assert_allclose(far.float().mean(), 0.4, atol=0.08)
    assert level[far].min() < 0.3
    assert level[far].max() > 40
    # Half of them above the middle of the range in logarithm
    assert_allclose((level[far] > 10**0.5).float().mean(), 0.5, atol=0.1)


def test_patches_are_drawn_with_variations(make_response, library):
    emission = torch.tensor(analytic_emission().intensity[None])
    arguments = [make_response(0.1)], [1.0], emission, draw_sky
    plain = LatSimulator(*arguments, size=32).draw(4, 2)
    variations = [GeneratedStructure(library, BLUR), FarLevels(1.0)]
    simulator = LatSimulator(*arguments, size=32, variations=variations)
    one, same, faulty = (
        s.draw(4, 2) for s in (simulator, simulator, FaultyLatSimulator.like(simulator, 1.0))
    )
    assert torch.equal(one.batch.counts[0], same.batch.counts[0])
    for other in (one, faulty):
        assert not torch.equal(other.batch.counts[0], plain.batch.counts[0])


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
