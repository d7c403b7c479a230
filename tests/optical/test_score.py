# Licensed under a 3-clause BSD style license - see LICENSE
from types import SimpleNamespace

import numpy as np
import pytest

from gammapy_asid.learning.io import load_card
from gammapy_asid.optical.detection.card import OpticalCard


@pytest.mark.parametrize("density", [0, 3e-3, 0.03, 0.3])
def test_surer_candidates_of_the_network_have_higher_scores(density):
    """A bright star alone, of which the network is surer than of anything it was calibrated with, too."""
    logit = np.linspace(-8, 14, 60)
    peaks = SimpleNamespace(score=1 / (1 + np.exp(-logit)), height=np.ones(60))
    score = load_card("optical", OpticalCard).score(peaks, np.full(60, density))
    assert np.all(np.diff(score) > -1e-3)
    assert score[-1] > 0.95
