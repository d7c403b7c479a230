# Licensed under a 3-clause BSD style license - see LICENSE
"""The library's own maps of cosmic rays and trails, and its sources, on the frames of the benchmarks."""

import functools
import warnings

import numpy as np

from gammapy_asid.optical.detection.model import OpticalDetectionModel
from gammapy_asid.optical.detection.network import split_output
from gammapy_asid.optical.images import prepare_image, read_image

__all__ = ["cosmic_ray_masks", "logits", "source_positions"]

#: Network's sides are multiples of this number of pixels.
BLOCK = 8


@functools.lru_cache(maxsize=1)
def _model(name):
    return OpticalDetectionModel.load(name)


def _image(frame):
    """A frame as a user would give it: with the gain, or with the map of errors where there is no one
    gain."""
    return read_image(frame.data, gain=frame.gain, error=None if frame.gain else frame.noise, psf=frame.psf)


def logits(frame, model):
    """Logits of cosmic rays and trails on the pixels of a frame, shape ``(2, ny, nx)``."""
    with warnings.catch_warnings():
        # A small cut-out may have few stars to measure the point spread function on
        warnings.simplefilter("ignore")
        prepared = prepare_image(_image(frame), frame.psf)
    ny, nx = (-(-n // BLOCK) * BLOCK for n in prepared.shape)
    output = _model(model).output(prepared.batch(slice(0, ny), slice(0, nx)))
    maps = split_output(output)[1][0].numpy()
    maps = maps[:, : prepared.shape[0], : prepared.shape[1]]
    maps = maps.repeat(prepared.binning, 1).repeat(prepared.binning, 2)
    rest = [(0, n - m) for n, m in zip(frame.data.shape, maps.shape[1:], strict=True)]
    return np.pad(maps, [(0, 0), *rest], constant_values=-99)


def cosmic_ray_masks(frame, model, thresholds):
    """Masks of cosmic rays above each of the thresholds in the logit, shape ``(k, ny, nx)``."""
    return logits(frame, model)[0] > thresholds[:, None, None]


def source_positions(frame, model):
    """Positions of the sources that `OpticalSourceDetector` finds by default."""
    from gammapy_asid.optical.detector import OpticalSourceDetector

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = OpticalSourceDetector(model=model).run(_image(frame)).table
    return np.asarray(table["xcentroid"], float), np.asarray(table["ycentroid"], float)
