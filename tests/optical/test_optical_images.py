# Licensed under a 3-clause BSD style license - see LICENSE
"""Images are read with what their headers tell, and brought to units of the noise of their sky."""

import numpy as np
import pytest
from astropy.modeling.models import Moffat2D
from numpy.testing import assert_allclose

from gammapy_asid.optical.images import prepare_image, read_image

#: Full width at half maximum of 3 pixels.
PSF = Moffat2D(gamma=2.94, alpha=3)


@pytest.fixture(scope="module")
def sky():
    return np.random.default_rng(1).normal(100, 5, (200, 300)).astype(np.float32)


def test_sky_is_in_units_of_its_noise(sky):
    prepared = prepare_image(read_image(sky), PSF)
    cut = prepared.cut(slice(-10, 200), slice(0, 310))
    assert cut.signal.shape == (210, 310)
    assert cut.valid.sum() == sky.size
    assert_allclose(cut.signal[cut.valid].std(), 1, atol=0.02)
    assert_allclose(cut.background, 100, atol=0.5)


def test_tiles_are_the_image_once(sky):
    seen = np.zeros(sky.shape, int)
    for tile in prepare_image(read_image(sky), PSF).tiles(96, 16):
        seen[tile.inner_ys, tile.inner_xs] += 1
    assert (seen == 1).all()
