# Licensed under a 3-clause BSD style license - see LICENSE
"""Simulated patches whose sources were sampled from HEALPix pixels, as those of sky 235."""

import healpy
import numpy as np
import torch

from gammapy_asid.inputs import Bands
from gammapy_asid.simulation import ResponseBank, lat_response, render_sources
from gammapy_asid.simulation.patch_images import mean_on_level
from gammapy_asid.simulation.variations import patch_grid

from ..common import data_folder
from .open_skies import OpenSkies
from .sky235 import BANDS, EXPOSURE, PIXEL_SIZE

__all__ = ["HealpixSkies"]

#: Resolution of the HEALPix pixels, and pixels along a side of a patch's pixel on which they are averaged.
NSIDE, FINER = 256, 4
#: Patches rendered at once.
AT_ONCE = 4
#: Half width in fine pixels of the rendered sources: 2.5 deg.
HALF = 64


class HealpixSkies(OpenSkies):
    """Patches of the instrument of sky 235; parameters as of `~benchmarks.skies.open_skies.OpenSkies`.

    Each pixel has the mean of the HEALPix pixel in which its centre lies: diamonds, not blurred round images.

    Parameters
    ----------
    folder : path, optional
        Data folder; default is GAMMAPY_ASID_DATA.
    """

    def __init__(self, *args, folder=None, **options):
        super().__init__(*args, **options)
        fine = lat_response(
            event_type="FRONT+BACK",
            e_min=BANDS[0],
            exposure=np.interp(self.bands.edges[:-1], BANDS[:-1], EXPOSURE),
            pixel_size=PIXEL_SIZE / FINER,
            bands=Bands(self.bands.edges, (0,) * len(self.bands)),
            caldb=data_folder(folder) / "lat" / "irfs",
        )
        self.fine = ResponseBank([fine], half=HALF)

    def _observed(self, sky, generator):
        sampled = self._sampled(sky)
        sky.images = [
            4**level * mean_on_level(sampled[:, band], level) for band, level in enumerate(self.bands.levels)
        ]
        return super()._observed(sky, generator)

    def _sampled(self, sky):
        """Expected counts of the sources on the finest pixels, shape ``(n, n_bands, size, size)``."""
        sources, size, n = sky.sources, self.size * FINER, len(sky.instrument)
        x, y = ((value + 0.5) * FINER - 0.5 for value in (sources.x, sources.y))
        result = []
        for first in range(0, n, AT_ONCE):
            own, number = (
                (sources.patch >= first) & (sources.patch < first + AT_ONCE),
                min(AT_ONCE, n - first),
            )
            patch = sources.patch[own] - first
            images = render_sources(
                self.fine, 0 * patch, patch, x[own], y[own], sources.counts[own], (size, size), number
            )
            fine = torch.stack(images, 1).numpy()
            result += [
                _on_healpix(image, self._pixels(sky, i, size), self._pixels(sky, i, self.size))
                for i, image in enumerate(fine, first)
            ]
        return torch.from_numpy(np.array(result, dtype=np.float32))

    def _pixels(self, sky, i, n):
        """HEALPix pixels of the centres of ``n`` by ``n`` pixels of a patch."""
        width = self.size * self.bank.pixel_size[sky.instrument[i : i + 1]].float()
        grid = patch_grid(sky.centres[i : i + 1], sky.roll[i : i + 1], width, n)[0].double()
        return healpy.vec2pix(NSIDE, *np.moveaxis(grid.numpy(), -1, 0))


def _on_healpix(image, fine, coarse):
    """Mean of each pixel's HEALPix pixel over fine pixels, in counts of the pixel; ``(n_bands, ny, nx)``."""
    pixel, index = np.unique(fine.ravel(), return_inverse=True)
    place, number = np.searchsorted(pixel, coarse), np.bincount(index)
    return np.stack([(np.bincount(index, band.ravel()) / number)[place] for band in image]) * FINER**2
