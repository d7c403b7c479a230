# Licensed under a 3-clause BSD style license - see LICENSE
"""Processes that are killed end a run with an error, and the same call goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gammapy_asid.learning.checkpoints import load_checkpoint
from gammapy_asid.learning.run import train
from gammapy_asid.learning.stream import SimulatedBatches
from gammapy_asid.learning.trainer import TaskModule, load_averaged
from gammapy_asid.tasks.detection.network import build_network
from gammapy_asid.tasks.detection.simulated_candidates import simulated_candidates, visible_sources
from gammapy_asid.tasks.detection.simulator import build_simulator
from gammapy_asid.tasks.measurement.simulator import simulate_sources
from gammapy_asid.utils.parallel import run_tasks

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes of Unix"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
    # News of a killed process may arrive inside of a destructor, where Python prints and drops the error
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def simulator(tiny_recipe, make_response):
    return build_simulator(tiny_recipe, [make_response(0.1)], [1.0])


def kill_own(number):
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def fail(number):
    raise ValueError(f"task {number}")


def jobs(backend="multiprocessing"):
    return SimpleNamespace(n_jobs=2, parallel_backend=backend)


def test_killed_process_of_a_pool():
    assert run_tasks(abs, [(-2,), (3,)], jobs()) == [2, 3]
    start = time.monotonic()
    with pytest.raises(ChildProcessError, match="was killed, probably because the memory was full"):
        run_tasks(kill_own, [(i,) for i in range(4)], jobs())
    assert time.monotonic() - start < 30
    with pytest.raises(ValueError, match="task 0"):
        run_tasks(fail, [(i,) for i in range(4)], jobs())


def test_processes_end_with_the_one_that_waits(tmp_path):
    code = (
        "import os, time, signal, threading\n"
        "from types import SimpleNamespace\n"
        "from gammapy_asid.utils.parallel import run_tasks\n"
        "def work(path):\n"
        "    open(path, 'w').write(str(os.getpid()))\n"
        "    time.sleep(60)\n"
        f"folder = {str(tmp_path)!r}\n"
        "def kill():\n"
        "    while len(os.listdir(folder)) < 2: time.sleep(0.1)\n"
        "    time.sleep(0.5)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "threading.Thread(target=kill, daemon=True).start()\n"
        "run_tasks(work, [(folder + '/a',), (folder + '/b',)], "
        "SimpleNamespace(n_jobs=2, parallel_backend='multiprocessing'))"
    )
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=100)
    assert result.returncode == -signal.SIGKILL
    numbers = [int(path.read_text()) for path in tmp_path.iterdir()]
    assert len(numbers) == 2
    end = time.monotonic() + 20
    while any(map(_runs, numbers)) and time.monotonic() < end:
        time.sleep(0.1)
    assert not any(map(_runs, numbers))


def _runs(number):
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_killed_process_that_simulates(tiny_recipe, simulator, tmp_path, monkeypatch):
    draw = SimulatedBatches.__getitem__

    def kill_second(self, index):
        if self.start + index == 6:
            os.kill(os.getpid(), signal.SIGKILL)
        return draw(self, index)

    with monkeypatch.context() as patch:
        patch.setattr(SimulatedBatches, "__getitem__", kill_second)
        with pytest.raises(ChildProcessError, match="was killed, probably because the memory was full"):
            train(tiny_recipe, tmp_path, simulator, num_workers=1, progress=False)
    resumed = train(tiny_recipe, tmp_path, simulator, num_workers=0, progress=False)
    whole = train(tiny_recipe, tmp_path / "whole", simulator, num_workers=0, progress=False)
    for one, other in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("at", [(1, 2), (1, 3)])
def test_end_of_a_program_is_no_success(tiny_recipe, simulator, tmp_path, monkeypatch, at):
    step = TaskModule.training_step

    def terminated(self, batch, batch_idx):
        if (self.trainer.current_epoch, batch_idx) == at:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(TaskModule, "training_step", terminated)
    with pytest.raises(SystemExit) as error:
        train(tiny_recipe, tmp_path, simulator, num_workers=0, progress=False)
    assert error.value.code == 143


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_checkpoints_run_no_code_and_are_not_mixed(tiny_recipe, make_response, simulator, tmp_path):
    folder = tmp_path / "run"
    optimiser = tiny_recipe.optimiser.model_copy(update={"epochs": 1})
    short = tiny_recipe.model_copy(update={"optimiser": optimiser})
    train(short, folder, simulator, num_workers=0, progress=False)
    last = folder / "last.ckpt"
    checkpoint = load_checkpoint(last)
    assert "optimizer_states" in checkpoint and "callbacks" in checkpoint
    # Another recipe, or another simulator
    for recipe, other in (
        (tiny_recipe, simulator),
        (short, build_simulator(tiny_recipe, [make_response(0.11)], [1.0])),
    ):
        with pytest.raises(ValueError, match="holds a training of other data or with another configuration"):
            train(recipe, folder, other, num_workers=0, progress=False)
    content = last.read_bytes()
    torch.save(checkpoint | {"more": Evil(tmp_path / "made")}, tmp_path / "evil.ckpt")
    for damaged in (
        content[:-100],
        content[:5000] + b"\x01" + content[5001:],
        (tmp_path / "evil.ckpt").read_bytes(),
    ):
        last.write_bytes(damaged)
        with pytest.raises(ValueError, match="last.ckpt is not as this training wrote it"):
            train(short, folder, simulator, num_workers=0, progress=False)
    with pytest.raises(ValueError, match="without running code"):
        load_averaged(build_network(simulator.bands, tiny_recipe.widths), tmp_path / "evil.ckpt")
    assert not (tmp_path / "made").exists()
    train(short, folder, simulator, num_workers=0, progress=False, resume=False)
    assert torch.equal(
        load_checkpoint(last)["state_dict"]["network.head.weight"],
        checkpoint["state_dict"]["network.head.weight"],
    )
    train(tiny_recipe, folder, simulator, num_workers=0, progress=False, overwrite=True)


@pytest.mark.parametrize("n_visible", [0, 1, None])
def test_batches_with_one_visible_source_and_with_none(simulator, n_visible):
    """None: without any source at all."""
    network = build_network(simulator.bands, (4, 4, 4, 4)).eval()
    torch.nn.init.constant_(network.head.bias[:2], 0.0)
    patches = simulator.draw(2, 1)
    visible = torch.nonzero(visible_sources(patches, 2.0))[:, 0]
    assert len(visible) > 1
    if n_visible is None:
        for name in ("patch", "x", "y", "flux", "significance", "width"):
            setattr(patches, name, getattr(patches, name)[:0])
    else:
        patches.significance[visible[n_visible:]] = 0
    candidates, n_true = simulated_candidates(network, [patches])
    assert n_true.sum() == (n_visible or 0)
    assert len(candidates["score"]) == len(candidates["flux"]) > 0
    assert np.isfinite(candidates["flux"]).sum() <= (n_visible or 0)


def test_sources_of_an_empty_sky(simulator, monkeypatch):
    from gammapy_asid.tasks.detection.model import DetectionModel

    monkeypatch.setattr(simulator, "draw_sky", lambda rng, scale: _none(rng))
    parts = list(simulate_sources(DetectionModel.load("lat"), simulator, 4, 1, 2))
    # Places without a source belong to the training of fluxes
    assert all(part.empty.all() for part in parts)


def _none(rng):
    from gammapy_asid.simulation.populations import draw_sky

    return draw_sky(rng, scale=0.4).select(np.zeros(0, int))
