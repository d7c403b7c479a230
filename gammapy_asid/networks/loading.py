# Licensed under a 3-clause BSD style license - see LICENSE
"""From weight files to networks on a device."""

import torch

from ..weights import load_state

__all__ = ["as_device", "load_network"]


def as_device(device=None):
    """Device of Torch.

    Parameters
    ----------
    device : str or `~torch.device`, optional
        Device; by default the accelerator if there is one, else the CPU.

    Raises
    ------
    ValueError
        If it is not there.
    """
    there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    there += ["mps"] if torch.backends.mps.is_available() else []
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    wanted = str(device)
    if wanted not in there and not (wanted == "cuda" and "cuda:0" in there):
        raise ValueError(f"There is no device {wanted!r} here, but {', '.join(there)}")
    return torch.device(wanted)


def load_network(model, card, network, config):
    """Network of a card with its weights.

    Parameters
    ----------
    model : str or path
        Name of a shipped model or path of a weight file.
    card : `~gammapy_asid.weights.ModelCard` or a card of another kind
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
