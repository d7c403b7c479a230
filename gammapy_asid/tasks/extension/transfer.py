# Licensed under a 3-clause BSD style license - see LICENSE
"""Start of a training from the weights of another classifier."""

import numpy as np

from .model import ExtensionModel
from .profiles import RINGS, TRIALS

__all__ = ["start_extension_from"]


def start_extension_from(network, model):
    """Give a classifier of extension the weights of a trained one that is told less.

    Inputs that the trained one lacks start with weights of zero, so that both agree at first.

    Parameters
    ----------
    network : `~gammapy_asid.tasks.extension.network.ExtensionNetwork`
        Untrained network, changed in place.
    model : str or path
        Trained model with as many bands, classes, pixels and channels.

    Raises
    ------
    ValueError
        If these differ.
    """
    trained = ExtensionModel.load(model, "cpu").network
    own, other = network.config, trained.config
    for name in ("bands", "classes", "size", "widths", "hidden"):
        if getattr(own, name) != getattr(other, name):
            raise ValueError(
                f"The network has {name} {getattr(own, name)} and cannot start from {model!r}, which has "
                f"{getattr(other, name)}: use the same"
            )
    told = np.arange(own.bands * (2 + own.radii)).reshape(own.bands, -1)[:, : 2 + other.radii].ravel()
    state = trained.state_dict()
    for name, value in network.state_dict().items():
        source = state[name]
        if value.shape != source.shape:
            columns = np.arange(source.shape[1])
            first = 0 if name.startswith("embedding") else value.shape[1] - _n_inputs(own)
            at = slice(first, first + len(told))
            columns[at] = first + told
            columns[at.stop :] += (own.radii - other.radii) * own.bands
            value.zero_()
            value[:, columns] = source
        else:
            value.copy_(source)


def _n_inputs(config):
    """Columns of the first joining layer from the description of the instrument on."""
    profiles = config.bands * (len(RINGS) - 1 + len(TRIALS)) if config.profiles else 0
    return config.bands * (2 + config.radii) + profiles
