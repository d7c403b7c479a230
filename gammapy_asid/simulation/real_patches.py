# Licensed under a 3-clause BSD style license - see LICENSE
"""Training patches of real counts: the photons of the sky as they are, and sources put into them."""

import numpy as np
import torch
import torch.nn.functional as F

from .dataset_patches import MARGIN, DatasetSimulator
from .patch_images import turned_places
from .patches import PatchSources

__all__ = ["RealSkies", "RealSkySimulator"]


class RealSkySimulator(DatasetSimulator):
    """Draws patches of a real field of which a catalogue is known, with random sources among its own.

    What the network sees of the emission, and of its difference from the prediction, is the real thing. True
    sources are those of the catalogue and those put in; nobody knows how significant the former are.

    Parameters
    ----------
    cube : `~gammapy_asid.inputs.BandCube`
        Field.
    x, y : array-like
        Positions of the sources of the catalogue in finest pixels of the field, shape ``(n,)``, also outside.
    size : int
        Patch size in finest pixels.
    background_share : float
        Share of the patches that come with a predicted background.
    """

    def __init__(self, cube, x, y, size=64, background_share=0.65):
        super().__init__(cube, size, background_share if cube.has_background else 0.0)
        self.counts = [
            F.pad(torch.from_numpy(image).float(), [self.margin >> level] * 4) * (mask > 0)
            for image, mask, level in zip(cube.counts, self.mask, self.bands.levels, strict=True)
        ]
        self.known_x, self.known_y = (
            torch.as_tensor(np.asarray(v), dtype=torch.float32) + self.margin for v in (x, y)
        )

    def _draw(self, n, rng, generator, instrument):
        instrument = torch.zeros(n, dtype=torch.long)
        has_background = torch.tensor(rng.random(n) < self.background_share)
        corners, turns = self._places(rng, n)
        background, mask, exposure, reach, counts = self._cut(corners, turns, self.counts)
        sources, _ = self._sources(rng, n)
        sources.significance = self.significance(instrument, sources, background, mask)
        wide = sources.width > 0
        extended = self._extended_images(rng, instrument, sources.select(wide))
        nothing = [torch.zeros_like(image) for image in background]
        added = self._add_sources(instrument, sources, wide, extended, nothing, reach)
        batch = self.observe(instrument, added, background, mask, exposure, has_background, generator)
        batch.counts = [real + new for real, new in zip(counts, batch.counts, strict=True)]
        expected = [b + a for b, a in zip(background, added, strict=True)]
        both = sources.joined(self._known(corners, turns, sources))
        return self._with_truth(batch, both, instrument, expected)

    def _known(self, corners, turns, like):
        """Sources of the catalogue in and near patches, with what is unknown of them as NaN."""
        corners, turns = torch.tensor(corners), torch.tensor(turns)
        x, y = self.known_x - corners[:, 1:], self.known_y - corners[:, :1]
        inside = (torch.maximum(x, y) < self.size + MARGIN) & (torch.minimum(x, y) > -MARGIN)
        patch, index = torch.nonzero(inside, as_tuple=True)
        x, y = turned_places(x[patch, index], y[patch, index], turns[patch], self.size)
        unknown = torch.full_like(x, torch.nan)
        return PatchSources(
            patch=patch,
            x=x,
            y=y,
            flux=unknown,
            spectra=dict.fromkeys(like.spectra, unknown),
            counts=unknown[:, None, None].expand(-1, *like.counts.shape[1:]),
            latitude=unknown,
            width=torch.zeros_like(x),
            pixel_width=torch.zeros_like(x),
            kind=torch.zeros_like(patch),
            significance=unknown,
        )


class RealSkies:
    """Draws batches of one simulator, and some in place of these from real fields.

    Parameters
    ----------
    simulator : `~gammapy_asid.simulation.patch_simulator.PatchSimulator`
        Simulator of all other batches.
    fields : list of `RealSkySimulator`
        Real fields.
    share : float
        Share of the batches that are real.
    """

    def __init__(self, simulator, fields, share):
        self.simulator, self.fields, self.share = simulator, list(fields), share

    @property
    def bands(self):
        """Bands of the patches (`~gammapy_asid.inputs.Bands`)."""
        return self.simulator.bands

    @property
    def device(self):
        """Where patches are simulated."""
        return self.simulator.device

    def draw(self, n, seed):
        """Draw patches, see `~gammapy_asid.simulation.patch_simulator.PatchSimulator.draw`.

        Parameters
        ----------
        n : int
            Number of patches.
        seed : int or sequence of int
            Equal seeds give equal patches.
        """
        rng = np.random.default_rng((*np.atleast_1d(seed).tolist(), 7))
        real = rng.random() < self.share
        simulator = self.fields[rng.integers(len(self.fields))] if real else self.simulator
        return simulator.draw(n, seed)
