# Licensed under a 3-clause BSD style license - see LICENSE
"""Start of a training from the weights of another model."""

import numpy as np
import torch

from ...inputs.conditioning import TRIAL_SPECTRA
from ...stats.significance import channel_names
from .model import DetectionModel

__all__ = ["start_from"]


def start_from(network, bands, model):
    """Give a network the weights of a trained one with other bands and another instrument.

    What a source looks like in maps of significance is much the same for any instrument, on pixels that suit
    its point spread function. Bands of one level correspond in order; channels without a counterpart
    start from zero. Between networks of the same bands the description of the instrument goes over; else it
    starts anew, at the mean of the other's.

    Parameters
    ----------
    network : `~gammapy_asid.learning.unet.MultiResolutionUNet`
        Untrained network, changed in place.
    bands : `~gammapy_asid.inputs.Bands`
        Its bands.
    model : str or path
        Trained model with the same widths.

    Raises
    ------
    ValueError
        If the widths differ.
    """
    trained = DetectionModel.load(model, "cpu")
    own, other = network.config, trained.network.config
    if tuple(own.widths) != tuple(other.widths) or own.outputs != other.outputs:
        raise ValueError(
            f"The network has widths {own.widths} and cannot start from {model!r}, which has {other.widths}: "
            "use the same widths"
        )
    state = trained.network.float().state_dict()
    same = bands == trained.bands
    embedding = None if same else _mean_embedding(trained)
    for name, value in network.state_dict().items():
        if name.startswith("embed.") and not same:
            continue
        source = state[name]
        if name.startswith("down.") and name.endswith("conv1.weight"):
            level = int(name.split(".")[1])
            source = _input_weights(source, level, (own, bands), (other, trained.bands))
        elif name.endswith("film.weight") and not same:
            source = torch.zeros_like(source)
        elif name.endswith("film.bias") and not same:
            source = source + state[name.replace("bias", "weight")] @ embedding
        value.copy_(source)


def _mean_embedding(trained):
    """What the trained network makes of an instrument in the middle of its card's range."""
    card, n_bands = trained.card, len(trained.bands)
    radius, exposure = (np.array(ranges).prod(axis=1) ** 0.5 for ranges in (card.psf_r68, card.exposure))
    pixel_size = np.sqrt(np.prod(card.pixel_size))
    present = radius > 0
    with np.errstate(divide="ignore"):
        per_band = np.where(present, [present, np.log(radius / pixel_size), np.log10(exposure / 1e11)], 0)
    field = [1.0, np.log(pixel_size / trained.bands.pixel_size)]
    values = np.concatenate([per_band.ravel(), np.zeros(2 * n_bands), field])
    with torch.no_grad():
        return trained.network.embed(torch.tensor(values, dtype=torch.float32)[None])[0]


def _input_weights(weight, level, own, other):
    """Weights of the first convolution of a level, its input channels brought in another order."""
    names, others = (
        channel_names(bands, len(TRIAL_SPECTRA), profiled=True).get(level, [])[: config.inputs[level]]
        for config, bands in (own, other)
    )
    result = torch.zeros(weight.shape[0], len(names) + weight.shape[1] - len(others), *weight.shape[2:])
    # What comes from the level above is the same.
    result[:, len(names) :] = weight[:, len(others) :]
    place = {name: i for i, name in enumerate(others)}
    for i, name in enumerate(names):
        if name in place:
            result[:, i] = weight[:, place[name]]
    return result
