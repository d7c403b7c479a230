# Licensed under a 3-clause BSD style license - see LICENSE
"""A trained detection model for images: card, network, and its run on an image."""

from dataclasses import dataclass

import numpy as np

from ...learning.peaks import Peaks
from ...learning.trained import TrainedModel
from ...learning.unet import MultiResolutionUNet, UNetConfig
from .card import OpticalCard
from .centres import find_peaks
from .network import BRIGHTNESS, network_output, split_output
from .trail_lines import trail_pixels

__all__ = ["Detections", "OpticalDetectionModel"]

#: Largest side of what is evaluated at once: it takes a gigabyte of memory; parts overlap by more than the 44
#: pixels that the network reaches.
TILE, OVERLAP = 960, 48


@dataclass(kw_only=True)
class Detections:
    """Sources of an image, arrays of shape ``(n,)``, and its masks.

    Parameters
    ----------
    x, y : `~numpy.ndarray`
        Positions in pixels of the image; 0 is the centre of the first.
    score : `~numpy.ndarray`
        Calibrated probability of a source.
    x_err, y_err : `~numpy.ndarray`
        Errors of the position in pixels, one standard deviation.
    bits : `~numpy.ndarray`
        1 on pixels of cosmic rays, 2 on those of trails, 3 on both, uint8 of the shape of the image.
    """

    x: np.ndarray
    y: np.ndarray
    score: np.ndarray
    x_err: np.ndarray
    y_err: np.ndarray
    bits: np.ndarray

    def __len__(self):
        return len(self.x)


class OpticalDetectionModel(TrainedModel):
    """Network with its card, ready to run.

    Parameters
    ----------
    card : `~gammapy_asid.optical.detection.card.OpticalCard`
        Card.
    network : `~gammapy_asid.learning.unet.MultiResolutionUNet`
        Network.
    device : str or `~torch.device`, optional
        Where it runs; by default the accelerator if there is one.
    """

    Card, Network, Config = OpticalCard, MultiResolutionUNet, UNetConfig

    def detect(self, prepared):
        """Sources, cosmic rays and trails of an image, part by part.

        Parameters
        ----------
        prepared : `~gammapy_asid.optical.images.PreparedImage`
            Image.

        Returns
        -------
        detections : `Detections`
            Sorted by decreasing score.
        """
        bits = np.zeros(prepared.shape, np.uint8)
        parts = []
        for tile in prepared.tiles(size=TILE, overlap=OVERLAP):
            batch = prepared.batch(tile.ys, tile.xs)
            output = network_output(self.network, batch, (tile.ys.start, tile.xs.start))
            maps, masks = split_output(output, BRIGHTNESS)
            peaks, crowd = find_peaks(maps, batch.valid)
            peaks.score = self.card.score(peaks, crowd)
            inner = [
                slice(i.start - o.start, i.stop - o.start)
                for i, o in ((tile.inner_ys, tile.ys), (tile.inner_xs, tile.xs))
            ]
            own = np.ones(len(peaks), bool)
            for place, part in zip((peaks.y, peaks.x), inner, strict=True):
                own &= (place >= part.start - 0.5) & (place < part.stop - 0.5)
            peaks = peaks.select(own)
            peaks.x, peaks.y = peaks.x + tile.xs.start, peaks.y + tile.ys.start
            parts.append(peaks)
            cosmic = ((masks[0, 0] > 0) & batch.valid[0]).numpy()
            numbers = masks[0, 1].numpy(), batch.signal[0].numpy(), batch.valid[0].numpy()
            code = cosmic.astype(np.uint8) + 2 * trail_pixels(*numbers, float(batch.fwhm))
            bits[tile.inner_ys, tile.inner_xs] = code[tuple(inner)]
        return self._detections(parts, bits, prepared)

    def _detections(self, parts, bits, prepared):
        """Detections of the peaks of all parts, in pixels of the image."""
        peaks = Peaks(*(np.concatenate(v) for v in zip(*(vars(p).values() for p in parts), strict=True)))
        peaks = peaks.select(np.argsort(-peaks.score, kind="stable"))
        x, y = prepared.original(peaks.x, peaks.y)
        binning = prepared.binning
        if binning > 1:
            rest = [(0, n - binning * m) for n, m in zip(prepared.image.shape, bits.shape, strict=True)]
            bits = np.pad(bits.repeat(binning, 0).repeat(binning, 1), rest)
        error = peaks.sigma * self.card.position_scale * binning
        return Detections(x=x, y=y, score=peaks.score, x_err=error, y_err=error.copy(), bits=bits)
