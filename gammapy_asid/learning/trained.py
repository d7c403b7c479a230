# Licensed under a 3-clause BSD style license - see LICENSE
"""From weight files to networks on a device."""

import torch

from .io import load_state

__all__ = ["load_network"]


def load_network(model, card, network, config):
    """Network of a card with its weights.

    Parameters
    ----------
    model : str or path
        Name of a shipped model or path of a weight file.
    card : `~gammapy_asid.tasks.detection.card.DetectionCard` or a card of another kind
        Its card.
    network, config : type
        Network, and the configuration from which it is made.

    Returns
    -------
    network : `~torch.nn.Module`
        Network in evaluation mode, single precision.

    Raises
    ------
    ValueError
        If the weights are corrupt or not those of the card.
    """
    settings = {k: tuple(v) if isinstance(v, list) else v for k, v in card.architecture.items()}
    state = load_state(model, type(card))
    try:
        # Its plan needs no memory, whatever the card asks for
        with torch.device("meta"):
            plan = {k: v.shape for k, v in network(config(**settings)).state_dict().items()}
        if plan != {k: v.shape for k, v in state.items()}:
            raise ValueError("other layers or sizes")
        network = network(config(**settings))
        network.load_state_dict(state)
    except (RuntimeError, TypeError, ValueError, ArithmeticError, AssertionError) as error:
        raise ValueError(f"The weights of model {card.name!r} do not fit its card: {error}") from error
    return network.eval()
