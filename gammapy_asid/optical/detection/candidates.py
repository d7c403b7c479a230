# Licensed under a 3-clause BSD style license - see LICENSE
"""Candidates of a network in simulated images, and the sources that they claim."""

import numpy as np
import torch

from ...evaluation.matching import match_brightest
from ...learning.targets import match_radius
from ..bands import ON_SPHERE, OPTICAL_BANDS, PIXEL
from .centres import evidence, expected_density, find_peaks
from .loss import GAUSSIAN_HALF
from .network import network_output, split_output

__all__ = [
    "DETECTABLE",
    "claimed_sources",
    "simulated_candidates",
    "simulated_images",
    "visible_sources",
]

#: Expected significance, and share in the light at its place, from which a true source is one that the data
#: could show: where stars are closer than the point spread function is wide, most lie in the light of others.
DETECTABLE, OWN_SHARE = 2.0, 0.2

#: Images that are drawn at once.
CHUNK = 16


def simulated_images(simulator, n_patches, seed):
    """Images of a stage, as they are needed.

    Parameters
    ----------
    simulator : `~gammapy_asid.optical.simulator.OpticalSimulator`
        Simulator of the training.
    n_patches : int
        Images at least.
    seed : int
        Seed of the stage.

    Yields
    ------
    simulated : `~gammapy_asid.optical.simulator.SimulatedImages`
        The next `CHUNK` images with their truth.
    """
    for i in range(-(-n_patches // CHUNK)):
        yield simulator.draw(CHUNK, (seed, i))


def visible_sources(simulated):
    """True sources on valid pixels that the data could show, bool of shape ``(n_sources,)``.

    Parameters
    ----------
    simulated : `~gammapy_asid.optical.simulator.SimulatedImages`
        Images with their truth.
    """
    valid = simulated.batch.valid
    ny, nx = valid.shape[1:]
    column, row = torch.round(simulated.x).long(), torch.round(simulated.y).long()
    inside = (column >= 0) & (column < nx) & (row >= 0) & (row < ny)
    seen = valid[simulated.patch, row.clamp(0, ny - 1), column.clamp(0, nx - 1)]
    return inside & seen & (simulated.snr >= DETECTABLE) & (simulated.share >= OWN_SHARE)


def claimed_sources(simulated, peaks):
    """Match peaks with the true sources that the data could show.

    Parameters
    ----------
    simulated : `~gammapy_asid.optical.simulator.SimulatedImages`
        Images with their truth.
    peaks : `~gammapy_asid.learning.peaks.Peaks`
        Peaks, their fields the numbers of the images.

    Returns
    -------
    true : `~numpy.ndarray`
        Number of the true source that each peak claims, -1 for none, shape ``(n_peaks,)``.
    separation : `~numpy.ndarray`
        Distance to it in pixels, NaN for none.
    """
    true = torch.nonzero(visible_sources(simulated))[:, 0]
    x, y, flux, width, patch = (
        getattr(simulated, name)[true].numpy() for name in ("x", "y", "flux", "width", "patch")
    )
    radius = match_radius(OPTICAL_BANDS, torch.from_numpy(width) / GAUSSIAN_HALF * PIXEL).numpy() / PIXEL
    matches = match_brightest(
        peaks.x * ON_SPHERE,
        peaks.y * ON_SPHERE,
        peaks.score,
        x * ON_SPHERE,
        y * ON_SPHERE,
        flux,
        radius=radius * ON_SPHERE,
        pred_group=peaks.field,
        true_group=patch,
    )
    claimed = np.full(len(peaks), -1)
    claimed[matches.is_matched] = true.numpy()[matches.true_index[matches.is_matched]]
    return claimed, matches.separation / ON_SPHERE


def simulated_candidates(network, drawn):
    """Run a network on simulated images and match its candidates with the truth.

    Parameters
    ----------
    network : `~gammapy_asid.learning.unet.MultiResolutionUNet`
        Network in evaluation mode.
    drawn : iterable of `~gammapy_asid.optical.simulator.SimulatedImages`
        Images with their truth.

    Returns
    -------
    candidates : dict of `~numpy.ndarray`
        ``score``, not calibrated, and ``sigma`` of every candidate, its ``offset`` in pixels from the source
        that it claims, NaN for none, that source's significance ``snr``, the density ``crowd`` of sources
        that the network expects in its image, a pixel, and its ``evidence``, shape ``(n, N_EVIDENCE)``.
    truth : dict of `~numpy.ndarray`
        ``snr`` and ``crowd`` of the sources that the data could show.
    masks : dict of `~numpy.ndarray`
        Probabilities and truth of the pixels of cosmic rays and trails, each of shape ``(2, n)``.
    """
    columns = {name: [] for name in ("score", "sigma", "offset", "snr", "crowd", "evidence")}
    truth, masks = {"snr": [], "crowd": []}, {"cosmic": [], "trail": []}
    for simulated in drawn:
        batch = simulated.batch
        output = network_output(network, batch)
        maps, marks = split_output(output)
        peaks, density = find_peaks(maps, batch.valid)
        true, offset = claimed_sources(simulated, peaks)
        seen = visible_sources(simulated)
        # As it is seen: chosen by the truth, images would have luck in their candidates
        crowd = expected_density(maps, batch.valid)
        snr = np.where(true >= 0, simulated.snr.numpy()[true], np.nan)
        own = (peaks.score, peaks.sigma, offset, snr, crowd[peaks.field], evidence(peaks, density))
        for name, values in zip(columns, own, strict=True):
            columns[name].append(values)
        truth["snr"].append(simulated.snr[seen].numpy())
        truth["crowd"].append(crowd[simulated.patch[seen].numpy()])
        for i, name in enumerate(masks):
            valid = batch.valid
            probability = torch.sigmoid(marks[:, i])[valid].numpy()
            masks[name].append(np.stack([probability, getattr(simulated, name)[valid].numpy()]))
    columns, truth = ({k: np.concatenate(v) for k, v in c.items()} for c in (columns, truth))
    return columns, truth, {name: np.concatenate(parts, 1) for name, parts in masks.items()}
