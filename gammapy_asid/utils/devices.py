# Licensed under a 3-clause BSD style license - see LICENSE
"""Where tensors are computed."""

import copy
from contextlib import contextmanager
from functools import wraps

import torch
from threadpoolctl import threadpool_limits

__all__ = [
    "Movable",
    "as_device",
    "channels_last",
    "inference",
    "moved",
    "on_own_device",
    "one_thread",
    "trainer_device",
]


#: What people call a GPU.
GPU_NAMES = ("gpu", "cuda", "nvidia", "amd", "rocm", "hip", "mps", "metal", "accelerator", "0", "1")


def as_device(device=None):
    """Device of Torch.

    Parameters
    ----------
    device : str or `~torch.device`, optional
        Device; by default the accelerator if there is one, else the CPU.

    Returns
    -------
    device : `~torch.device`
        Device.

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
    if wanted in there or (wanted == "cuda" and "cuda:0" in there):
        return torch.device(wanted)
    raise ValueError(
        f"There is no device {str(device)!r} here, but {', '.join(there)}{_advice(wanted, there)}"
    )


def _advice(wanted, there):
    """What to do about a device that is not there."""
    kind = wanted.lower().split(":")[0]
    accelerators = [name for name in there if name != "cpu"]
    if kind not in GPU_NAMES:
        return ": give one of them, or None for the fastest"
    if accelerators:
        return f": a GPU is called {accelerators[0]} by PyTorch"
    return ": PyTorch sees no GPU. Give 'cpu' or None, or install a PyTorch for your GPU and its driver"


def channels_last(network, device=None):
    """Network with the weights of its convolutions in the order that is fast.

    Parameters
    ----------
    network : `~torch.nn.Module`
        Network, changed in place.
    device : str or `~torch.device`, optional
        Where it goes; by default it stays.

    Returns
    -------
    network : `~torch.nn.Module`
        The network.
    """
    network = network if device is None else network.to(device)
    orders = {4: torch.channels_last, 5: torch.channels_last_3d}
    for parameter in network.parameters():
        if parameter.dim() in orders:
            parameter.data = parameter.data.contiguous(memory_format=orders[parameter.dim()])
    return network


@contextmanager
def one_thread():
    """Torch and NumPy without threads of their own: in many small steps they wait more than they help."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1, "blas"):
            yield
    finally:
        torch.set_num_threads(threads)


def moved(value, device):
    """Tensors on a device, and what holds them; everything else as it is.

    Parameters
    ----------
    value : object
        Tensor, `Movable`, or list, tuple or dict of them.
    device : str or `~torch.device`
        Device.

    Returns
    -------
    value : object
        The same, or a copy where anything moved.
    """
    if isinstance(value, (torch.Tensor, Movable)):
        return value.to(device)
    if isinstance(value, dict):
        return {name: moved(item, device) for name, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(moved(item, device) for item in value)
    return value


class Movable:
    """Base of classes whose attributes hold tensors."""

    def to(self, device):
        """A copy with all tensors on a device, see `moved`.

        Parameters
        ----------
        device : str or `~torch.device`
            Device.

        Returns
        -------
        other : `Movable`
            Of the same class.
        """
        other = copy.copy(self)
        for name, value in vars(self).items():
            setattr(other, name, moved(value, device))
        return other


def on_own_device(method):
    """Decorator of methods of a `Movable` with a ``device``: the tensors that they make are there too.

    Parameters
    ----------
    method : callable
        Method.

    Returns
    -------
    method : callable
        Method that runs there.
    """

    @wraps(method)
    def run(self, *args, **kwargs):
        if self.device.type == "cpu":
            return method(self, *args, **kwargs)
        with self.device:
            return method(self, *args, **kwargs)

    return run


@contextmanager
def inference():
    """Context or decorator: no gradients, and single precision that is one.

    Convolutions on NVIDIA's cards keep 10 bits of each factor by default (TF32): scores would differ from
    those of a processor by up to a hundredth.
    """
    backends = torch.backends.cudnn, torch.backends.cuda.matmul
    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = False
    try:
        with torch.inference_mode():
            yield
    finally:
        for backend, value in zip(backends, before, strict=True):
            backend.allow_tf32 = value


def trainer_device(device=None):
    """Arguments of a `~lightning.Trainer` for a device.

    Parameters
    ----------
    device : str or `~torch.device`, optional
        Device, see `as_device`.

    Returns
    -------
    arguments : dict
        ``accelerator`` and ``devices``.
    """
    device = as_device(device)
    accelerator = {"cuda": "gpu"}.get(device.type, device.type)
    return {"accelerator": accelerator, "devices": 1 if device.index is None else [device.index]}
