# Licensed under a 3-clause BSD style license - see LICENSE
"""The library's own maps of cosmic rays and trails, and its sources, on the frames of the benchmarks."""

import functools
import warnings

import numpy as np

from gammapy_asid.optical.detection.model import OpticalDetectionModel
from gammapy_asid.optical.detection.network import network_output, split_output
from gammapy_asid.optical.images import prepare_image, read_image

__all__ = ["cosmic_ray_masks", "source_positions", "trail_mask"]


@functools.lru_cache(maxsize=1)
def _model(name):
    return OpticalDetectionModel.load(name)


def _image(frame):
    """A frame as a user would give it: with the gain, or with the map of errors where there is no one
    gain."""
    return read_image(frame.data, gain=frame.gain, error=None if frame.gain else frame.noise, psf=frame.psf)


def _prepared(frame):
    with warnings.catch_warnings():
        # A small cut-out may have few stars to measure the point spread function on
        warnings.simplefilter("ignore")
        return prepare_image(_image(frame), frame.psf)


def _cosmic_rays(frame, model):
    """Logits of cosmic rays on the pixels of a frame, shape ``(ny, nx)``."""
    prepared = _prepared(frame)
    output = network_output(_model(model).network, prepared.batch(*(slice(0, n) for n in prepared.shape)))
    logits = split_output(output)[1][0, 0].numpy()
    logits = logits.repeat(prepared.binning, 0).repeat(prepared.binning, 1)
    rest = [(0, n - m) for n, m in zip(frame.data.shape, logits.shape, strict=True)]
    return np.pad(logits, rest, constant_values=-99)


def trail_mask(frame, model):
    """Pixels of trails, bool of the shape of the frame."""
    return (_model(model).detect(_prepared(frame)).bits & 2) > 0


def cosmic_ray_masks(frame, model, thresholds):
    """Masks of cosmic rays above each of the thresholds in the logit, shape ``(k, ny, nx)``."""
    return _cosmic_rays(frame, model) > thresholds[:, None, None]


def source_positions(frame, model):
    """Positions of the sources that `OpticalSourceDetector` finds by default."""
    from gammapy_asid.optical.detector import OpticalSourceDetector

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = OpticalSourceDetector(model=model).run(_image(frame)).table
    return np.asarray(table["xcentroid"], float), np.asarray(table["ycentroid"], float)
