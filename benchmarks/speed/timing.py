# Licensed under a 3-clause BSD style license - see LICENSE
"""How calls are timed on any device, and the step of a training."""

import time
from statistics import median

import torch

from gammapy_asid.learning.registry import get_task
from gammapy_asid.learning.trainer import cosine_cycles

__all__ = ["REPEAT", "seconds_on", "training_step"]

#: Timed runs after the first, whose median is given.
REPEAT = 3


def _wait(device):
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def seconds_on(device, function, repeat=REPEAT, clock=time.perf_counter):
    """Median time of some calls after a first one, and what that returned.

    Parameters
    ----------
    device : str or `~torch.device`
        Device that is waited for.
    function : callable
        Function without arguments.
    repeat : int
        Number of timed calls.
    clock : callable
        Clock in s.
    """
    result, times = function(), []
    for _ in range(repeat):
        _wait(device)
        start = clock()
        function()
        _wait(device)
        times.append(clock() - start)
    return median(times), result


def training_step(recipe, bands, device, half=False):
    """Function of a batch that does one step of a training.

    Parameters
    ----------
    recipe : `~gammapy_asid.learning.recipe.Recipe`
        Recipe.
    bands : `~gammapy_asid.inputs.Bands`
        Bands of the simulator.
    device : str or `~torch.device`
        Where the network is.
    half : bool
        Convolutions in half precision, as where a recipe asks for ``bf16-mixed``.
    """
    task = get_task(recipe.task)
    network = task.network(recipe, bands).to(device)
    network.train().to(memory_format=torch.channels_last)
    optimiser = cosine_cycles(network.parameters(), recipe.optimiser)["optimizer"]

    def step(batch):
        inputs, target = batch
        with torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=half):
            parts = task.loss(task.forward(network, inputs), target, recipe)
        optimiser.zero_grad()
        parts["loss"].backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()

    return step
