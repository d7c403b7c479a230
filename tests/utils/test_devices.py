# Licensed under a 3-clause BSD style license - see LICENSE
import pytest
import torch

from gammapy_asid.utils.devices import as_device


@pytest.fixture(params=[0, 2])
def cards(request, monkeypatch):
    """As many cards as PyTorch sees."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: request.param)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: request.param > 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    return request.param


@pytest.mark.parametrize("name", ["gpu", "GPU", "gpu:0", "rocm", "metal", 0])
def test_a_gpu_by_another_name_gets_an_answer(cards, name):
    with pytest.raises(ValueError, match=f"There is no device '{name}' here, but cpu") as error:
        as_device(name)
    answer = "a GPU is called cuda:0 by PyTorch" if cards else "PyTorch sees no GPU. Give 'cpu' or None"
    assert answer in str(error.value)


def test_devices(cards):
    assert as_device("cpu") == torch.device("cpu") and as_device(torch.device("cpu")).type == "cpu"
    assert as_device().type == ("cuda" if cards else "cpu")
    with pytest.raises(ValueError, match="give one of them, or None for the fastest"):
        as_device("nowhere")
    if cards:
        assert as_device("cuda:1") == torch.device("cuda:1")
        with pytest.raises(ValueError, match="no device 'cuda:2' here, but cpu, cuda:0, cuda:1"):
            as_device("cuda:2")
    else:
        with pytest.raises(ValueError, match="PyTorch sees no GPU"):
            as_device("cuda")
