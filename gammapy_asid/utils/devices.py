# Licensed under a 3-clause BSD style license - see LICENSE
"""Where tensors are computed."""

import torch

__all__ = ["as_device"]


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
