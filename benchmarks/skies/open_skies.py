# Licensed under a 3-clause BSD style license - see LICENSE
"""Simulated patches without masks and known sources, and a model's candidates in batches of patches."""

import numpy as np
import torch

from gammapy_asid.learning.peaks import find_centres
from gammapy_asid.simulation import EmissionBank, build_heldout_models, build_lat_bank, draw_sky
from gammapy_asid.simulation.lat_patches import LatSimulator
from gammapy_asid.tasks.detection.simulated_candidates import network_output
from gammapy_asid.tasks.detection.simulator import emission_blur

__all__ = ["OpenSkies", "batch_peaks", "load_bank", "load_unseen", "open_skies"]


class OpenSkies(LatSimulator):
    """Patches that are valid everywhere and whose sources are all unknown.

    With equal seeds all instruments see the same sky: sources, emission, and the error of its prediction.
    """

    @staticmethod
    def known_sources(rng, patch, flux, limits, has_background):
        """No source is modelled already."""
        return torch.zeros(len(patch), dtype=torch.bool)

    def _masks(self, rng, n):
        return torch.ones(n, self.size, self.size)


def open_skies(responses, bank, background_share, weights=None, skies=OpenSkies, **options):
    """Simulator of the populations of the training.

    Parameters
    ----------
    responses : list of `~gammapy_asid.inputs.Response`
        Instruments.
    bank : `~gammapy_asid.simulation.EmissionBank`
        Emission models.
    background_share : float
        Share of the patches that come with a predicted background.
    weights : array-like, optional
        Probability of each instrument, by default equal.
    skies : type
        Class of the simulator.
    **options
        Its own parameters.

    Returns
    -------
    simulator : `OpenSkies`
        Simulator.
    """
    weights = np.ones(len(responses)) if weights is None else weights
    blurred = bank.smooth(emission_blur(responses, weights)).to_torch()
    return skies(responses, weights, blurred, draw_sky, background_share=background_share, **options)


def load_bank(path, folder):
    """Emission models of the training, from a file or, without one, built from the data folder."""
    return EmissionBank.load(path) if path else build_lat_bank(folder)


def load_unseen(path, folder):
    """Emission models that no training saw, likewise."""
    return EmissionBank.load(path) if path else EmissionBank.from_models(build_heldout_models(folder))


def batch_peaks(model, batch):
    """Candidates of a model in patches, with calibrated scores.

    Parameters
    ----------
    model : `~gammapy_asid.tasks.detection.model.DetectionModel`
        Model.
    batch : `~gammapy_asid.inputs.batch.FieldBatch`
        Patches of one pixel size, all with a background or all without.

    Returns
    -------
    peaks : `~gammapy_asid.learning.peaks.Peaks`
        Candidates.
    """
    output = network_output(model.network, batch)
    peaks = find_centres(output, float(batch.pixel_size[0]), batch.field_mask, bands=model.bands)
    peaks.score = model.card.score(peaks.score, peaks.height, bool(batch.has_background[0]))
    return peaks
