# Licensed under a 3-clause BSD style license - see LICENSE
"""Patches of counts that a generator made, in place of the simulator's own; and what it learns from."""

import numpy as np
import torch

from .lat_patches import LatSimulator
from .patch_images import sum_on_level, turned_patches, turned_places
from .patches import SimulatedPatches

__all__ = ["GeneratedCountsSimulator", "WholePatchSimulator"]

#: Exposures of a library and of the instrument that it is used for may differ by this much: rounding.
SAME_EXPOSURE = 1e-3


class WholePatchSimulator(LatSimulator):
    """Draws patches as `LatSimulator`, without edges and holes: those are for whoever uses the patches."""

    def _masks(self, rng, n):
        return torch.ones(n, self.size, self.size)


class GeneratedCountsSimulator(LatSimulator):
    """Draws patches of a library of generated counts, turned and mirrored, without a prediction of the sky.

    A source of a generated patch has a place and an expected significance, but no flux and no spectrum, nor
    is the sky around it known: those are NaN. Where patches of a chosen instrument are asked for, as by
    the ensembles for position and flux, which learn from fluxes and spectra, they are simulated.

    Parameters
    ----------
    library : `CountsLibrary`
        Generated patches.
    **settings
        Arguments of `LatSimulator`, with one response.

    Raises
    ------
    ValueError
        If the patches are not of this instrument.
    """

    def __init__(self, library, **settings):
        super().__init__(**settings)
        self.library = library
        self._check()

    def _check(self):
        responses, library = self.bank.responses, self.library
        if len(responses) != 1:
            raise ValueError(
                f"Generated counts are those of one instrument, not of {len(responses)}: give one"
            )
        (response,) = responses
        exposure = response.exposure.mean(1)
        own = (response.bands.edges, self.size, round(response.pixel_size, 4))
        given = (library.edges, library.counts.shape[-1], round(library.pixel_size, 4))
        if own != given or not np.allclose(exposure, library.exposure, rtol=SAME_EXPOSURE):
            raise ValueError(
                f"Generated counts of patches with bands, pixels and pixel size {given} and exposure "
                f"{library.exposure}, but the recipe asks for {own} and {tuple(exposure.tolist())}"
            )

    def _draw(self, n, rng, generator, instrument):
        if instrument is not None:
            return super()._draw(n, rng, generator, instrument)
        chosen = torch.as_tensor(rng.integers(len(self.library), size=n))
        turns = rng.integers(8, size=n)
        mask = torch.as_tensor(self._masks(rng, n))
        instrument = torch.zeros(n, dtype=torch.long)
        (counts,) = turned_patches([self.library.counts[chosen].float()], turns)
        counts = counts * mask[:, None]
        levels = self.bands.levels
        counts = [sum_on_level(counts[:, band], level) for band, level in enumerate(levels)]
        masks = self._on_levels(mask, instrument)
        unknown, flat = torch.zeros(n, dtype=torch.bool), [torch.ones_like(m) for m in masks]
        patch, x, y, significance = self.library.sources_of(chosen)
        x, y = turned_places(x, y, torch.as_tensor(turns)[patch], self.size)
        nothing = torch.full_like(x, np.nan)
        return SimulatedPatches(
            bands=self.bands,
            batch=self.batch_of(instrument, counts, masks, masks, flat, unknown),
            patch=patch,
            x=x,
            y=y,
            flux=nothing,
            significance=significance,
            spectra={},
            counts=torch.full((len(x), len(levels)), np.nan),
            latitude=nothing,
            instrument=instrument,
            expected=[torch.full_like(image, np.nan) for image in counts],
        )
