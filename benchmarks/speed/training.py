# Licensed under a 3-clause BSD style license - see LICENSE
"""Patches a second of simulation, of what the network sees and of training, on one device.

Everything is on the device, as with ``gammapy-asid train lat --device cuda --workers 0``; only the catalogue
of each batch is drawn by NumPy. Beside it Gammapy's ``MapDataset.fake``, which has no accelerator, with the
sources and the emission of `benchmarks.speed.simulator`.
"""

import time

import torch

from gammapy_asid.learning.recipe import read_recipe
from gammapy_asid.learning.registry import get_task
from gammapy_asid.stats.significance import network_inputs
from gammapy_asid.tasks.detection.simulator import build_simulator
from gammapy_asid.utils.devices import as_device

from ..common import arguments, processor_seconds, rows_to_markdown, write
from .simulator import compare_speed
from .timing import seconds_on, training_step

__all__ = ["lat_simulator", "training_rates"]

NEEDS = "responses of the LAT, two minutes"

#: Length in minutes of the training whose steps are counted.
MINUTES = 8


def lat_simulator():
    """Simulator of the recipe of the LAT, with one instrument of each family and analytic emission alone."""
    recipe = read_recipe("lat").model_copy(update={"emission": None, "structure": None})
    instruments = [family.model_copy(update={"copies": 1}) for family in recipe.instruments]
    return build_simulator(recipe.model_copy(update={"instruments": instruments}))


def training_rates(simulator, recipe, device, n, clock=time.perf_counter):
    """Patches a second.

    Parameters
    ----------
    simulator : `~gammapy_asid.simulation.patch_simulator.PatchSimulator`
        Simulator.
    recipe : `~gammapy_asid.tasks.detection.recipe.DetectionRecipe`
        Recipe of the network.
    device : str or `~torch.device`
        Where everything runs.
    n : int
        Patches in a batch.
    clock : callable
        Clock in s.

    Returns
    -------
    rates : dict of float
        Of each part alone, and of all together.
    """
    task, simulator = get_task(recipe.task), simulator.to(device)
    half = recipe.optimiser.precision == "bf16-mixed"
    drawn = simulator.draw(n, 1)
    step, batch = training_step(recipe, simulator.bands, device, half), task.batch(drawn)
    parts = {
        "simulation": lambda: simulator.draw(n, 2),
        "what the network sees": lambda: network_inputs(drawn.batch),
        "what the network sees, and the truth": lambda: task.batch(drawn),
        "step of the training": lambda: step(batch),
        "all together": lambda: step(task.batch(simulator.draw(n, 3))),
    }
    return {name: n / seconds_on(device, part, clock=clock)[0] for name, part in parts.items()}


def _table(results):
    rows = [[name, f"{rate:.4g}"] for name, rate in results["patches_per_s"].items()]
    rows.append(["Gammapy's MapDataset.fake, one thread", f"{results['gammapy']['patches_per_s']:.4g}"])
    steps = results["steps_in_8_minutes"]
    about = f"{results['device']}, {results['threads']} threads, {results['clock']} time"
    last = f"\nSteps of {results['batch']} patches in {MINUTES} minutes: {steps:.0f}\n"
    return rows_to_markdown(["patches a second", about], rows) + last


def parser():
    """Arguments."""
    own = arguments(__doc__, "training_speed")
    own.add_argument("--device", help="device; by default the accelerator if there is one")
    own.add_argument("--batch", type=int, default=32, help="patches in a batch")
    own.add_argument(
        "--processor", action="store_true", help="processor time of one thread, on a machine that does more"
    )
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    device, recipe = as_device(args.device), read_recipe("lat")
    clock = processor_seconds if args.processor else time.perf_counter
    if args.processor:
        torch.set_num_threads(1)
    rates = training_rates(lat_simulator(), recipe, device, args.batch, clock)
    peer = compare_speed(n_gammapy=2, repeats=1, clock=clock)
    on_card = device.type == "cuda"
    results = {
        "device": torch.cuda.get_device_name(device) if on_card else str(device),
        "threads": torch.get_num_threads(),
        "clock": "processor" if args.processor else "wall",
        "torch": torch.__version__,
        "batch": args.batch,
        "patches_per_s": rates,
        "steps_in_8_minutes": 60 * MINUTES * rates["all together"] / args.batch,
        "gammapy": {
            "patches_per_s": peer["gammapy_patches_per_s"],
            "times slower than the simulation": rates["simulation"] / peer["gammapy_patches_per_s"],
            # Of the simulator on the same sources and emission, with one thread of the processor
            "counts over Gammapy's": peer["counts_over_gammapy"],
        },
    }
    write(args.output, results, _table(results))


if __name__ == "__main__":
    main()
