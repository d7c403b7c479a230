# Licensed under a 3-clause BSD style license - see LICENSE
"""Patches of the LAT."""

import numpy as np
import torch

from gammapy_asid.simulation.diffuse import analytic_emission
from gammapy_asid.simulation.lat_patches import LatSimulator
from gammapy_asid.simulation.mock_catalog import SOURCE_CLASSES
from gammapy_asid.simulation.populations import draw_sky


def test_sources_keep_their_class(make_response):
    skies = []

    def sky(rng, scale):
        catalog = draw_sky(rng, scale=scale)
        catalog.source_class = np.where(catalog.source_class == "snr", "unk", catalog.source_class)
        skies.append(catalog)
        return catalog

    emission = torch.tensor(analytic_emission().intensity[None])
    patches = LatSimulator([make_response(0.1)], [1.0], emission, sky, size=32).draw(16, 3)
    assert patches.source_class.dtype == torch.int8
    assert patches.source_class.shape == patches.flux.shape
    (catalog,) = skies
    for number, name in enumerate((*SOURCE_CLASSES[:-1], "unk")):
        own = patches.source_class == (-1 if name == "unk" else number)
        assert own.any()
        # Each patch has its own exposure, which the fluxes do not know: latitudes name the sources
        latitudes = catalog.lat[catalog.source_class == name].astype(np.float32)
        assert np.isin(patches.latitude[own].numpy(), latitudes).all()
