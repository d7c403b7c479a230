# Licensed under a 3-clause BSD style license - see LICENSE
"""A second device that is none: its tensors compute on the processor, but mix with no other tensor."""

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map

CUDA = torch.device("cuda", 0)
Generator = torch.Generator
# What moves numbers between devices, and what only asks.
TO_HOST = (torch.Tensor.numpy, torch.Tensor.__array__)
NUMBERS = (torch.Tensor.item, torch.Tensor.__bool__, torch.Tensor.__int__, torch.Tensor.__float__)
COPIES = (torch.Tensor.copy_, torch._has_compatible_shallow_copy_type)


class Elsewhere(torch.Tensor):
    """Tensor that says that it is on the accelerator, and fails where one on the host would be mixed in."""

    #: Numbers of elements of what went to the host.
    to_host = []

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func == torch.Tensor.device.__get__:
            return CUDA
        if func == torch.Tensor.is_cuda.__get__:
            return True
        if func in NUMBERS or func is torch.Tensor.tolist:
            cls.to_host.append(args[0].numel())
        if func in TO_HOST:
            raise TypeError(f"{func.__name__} of a tensor on the accelerator")
        if func not in COPIES:
            for value in tree_flatten((args, kwargs))[0]:
                on_host = isinstance(value, torch.Tensor) and not isinstance(value, Elsewhere)
                if (on_host and value.dim()) or (isinstance(value, np.ndarray) and value.ndim):
                    raise RuntimeError(f"{func.__name__} got values {tuple(value.shape)} on the host")
                if isinstance(value, Generator) and not isinstance(value, OtherGenerator):
                    raise RuntimeError(f"{func.__name__} got random numbers of the host")
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **kwargs)
        return tree_map(_there, result)


class OtherGenerator(Generator):
    """Random numbers that say that they are on the accelerator."""

    device = CUDA


def _there(value):
    plain = isinstance(value, torch.Tensor) and not isinstance(value, Elsewhere)
    return value.as_subclass(Elsewhere) if plain else value


def _here(value):
    with torch._C.DisableTorchFunctionSubclass():
        return value.as_subclass(torch.Tensor)


class SecondDevice(TorchFunctionMode):
    """Makes and moves tensors of `Elsewhere` where the device ``cuda`` is asked for."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func is torch.Tensor.cpu:
            Elsewhere.to_host.append(args[0].numel())
            return _here(args[0])
        if func is torch.Tensor.to:
            return self._move(args[0], args[1:], kwargs)
        device = kwargs.get("device")
        if device is None or torch.device(device).type != "cuda":
            if device is not None and isinstance(kwargs.get("generator"), OtherGenerator):
                raise RuntimeError(f"{func.__name__} on the host got random numbers of the accelerator")
            return func(*args, **kwargs)
        return _there(func(*args, **kwargs | {"device": "cpu"}))

    def _move(self, tensor, args, kwargs):
        places = [v for v in (*args, *kwargs.values()) if isinstance(v, (str, torch.device, torch.Tensor))]
        if not places:
            return tensor.to(*args, **kwargs)
        place = places[0]
        there = isinstance(place, Elsewhere) or (
            not isinstance(place, torch.Tensor) and torch.device(place).type == "cuda"
        )
        host = _here(place) if isinstance(place, torch.Tensor) else "cpu"

        def plain(value):
            return host if value is place else value

        if not there and isinstance(tensor, Elsewhere):
            Elsewhere.to_host.append(tensor.numel())
        moved = _here(tensor).to(*map(plain, args), **{name: plain(v) for name, v in kwargs.items()})
        if there == isinstance(tensor, Elsewhere) and moved is tensor:
            return tensor
        return _there(moved) if there else moved


@pytest.fixture
def second_device(monkeypatch):
    """The device ``cuda`` on a machine without one; its name."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)

    def make_generator(device="cpu"):
        return OtherGenerator() if torch.device(device).type == "cuda" else Generator(device)

    monkeypatch.setattr(torch, "Generator", make_generator)
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with SecondDevice():
            yield "cuda"
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(before)


@pytest.fixture
def to_host(second_device):
    """Numbers of elements of all tensors that were copied from the second device to the host."""
    Elsewhere.to_host.clear()
    return Elsewhere.to_host
