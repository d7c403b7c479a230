# Licensed under a 3-clause BSD style license - see LICENSE
"""Trained models: card and network on a device."""

from typing import ClassVar

import torch

from ..utils.devices import as_device, channels_last
from .io import load_card, load_state

__all__ = ["TrainedModel", "load_network"]


class TrainedModel:
    """Network with its card, ready to run; a task adds what it predicts.

    Parameters
    ----------
    card : `~gammapy_asid.learning.card.Card`
        Card.
    network : `~torch.nn.Module`
        Network.
    device : str or `~torch.device`, optional
        Where it runs; by default the accelerator if there is one.
    """

    #: Classes of its card, of its network and of the configuration that makes that.
    Card: ClassVar[type]
    Network: ClassVar[type]
    Config: ClassVar[type]

    def __init__(self, card, network, device=None):
        self.card = card
        self.bands = card.to_bands()
        self.device = as_device(device)
        self.network = channels_last(network.eval(), self.device)

    @classmethod
    def load(cls, model, device=None):
        """Load a shipped model by name, or weights with their card from a path.

        Parameters
        ----------
        model : str or path
            Name or path of a ``.safetensors`` file.
        device : str or `~torch.device`, optional
            Where it runs.

        Raises
        ------
        FileNotFoundError
            If there is no such model.
        ValueError
            If the weights are corrupt, not those of the card, or those of another task.
        """
        card = load_card(model, cls.Card)
        return cls(card, load_network(model, card, cls.Network, cls.Config), device)

    def __repr__(self):
        return f"<{type(self).__name__} {self.card.name!r} version {self.card.version}>"


def load_network(model, card, network, config):
    """Network of a card with its weights.

    Parameters
    ----------
    model : str or path
        Name of a shipped model or path of a weight file.
    card : `~gammapy_asid.learning.card.Card`
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
