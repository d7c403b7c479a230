# Licensed under a 3-clause BSD style license - see LICENSE
"""Kill the commands `catalog` and `train` in the middle of their work: the same command goes on.

The field is the folder of ``gammapy-asid simulate``. Each run is a process of its own that is ended by
SIGKILL at a random time; then one of its own processes is killed, its files are limited to a size as on a
full disk, and two run at once. Results are compared with those of a run that nothing disturbed.
"""

import os
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml
from astropy.table import Table

from gammapy_asid.cli import main as command
from gammapy_asid.learning.recipe import read_recipe

from ..common import arguments

NEEDS = "a folder of gammapy-asid simulate, minutes"

SEED = 1
#: Ends of the files that a training ships.
SHIPPED = ("*.safetensors", "*.json")


def start(arguments, largest=None):
    """Number of a process that runs a command, whose files may be limited to a size in bytes."""
    process = os.fork()
    if process:
        return process
    try:
        log = os.open(os.devnull, os.O_WRONLY)
        os.dup2(log, 1)
        if largest is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
        command([str(argument) for argument in arguments])
    except SystemExit as error:
        os._exit(error.code if isinstance(error.code, int) else int(error.code is not None))
    except BaseException as error:
        print(type(error).__name__, error, file=sys.stderr)
        os._exit(99)
    os._exit(0)


def end(process):
    """Exit code of a process, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def ended(process, seconds):
    """Exit code of a process that ends in time, else None."""
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    return None


def children(process):
    """Processes that a process has started."""
    path = Path(f"/proc/{process}/task/{process}/children")
    return [int(number) for number in path.read_text().split()] if path.exists() else []


def kill_some(arguments, n_kills, seconds, rng):
    """Run a command with kills at random times, then to its end; how many met it, and the last exit code."""
    met = 0
    for _ in range(n_kills):
        process = start(arguments)
        if ended(process, rng.uniform(0.02, 0.6) * seconds) is None:
            os.kill(process, signal.SIGKILL)
            end(process)
            met += 1
    return met, end(start(arguments))


def kill_worker(arguments, seconds):
    """Exit code and seconds to it after one of the processes of a command was killed."""
    process = start(arguments)
    stop = time.monotonic() + seconds
    while not children(process) and time.monotonic() < stop:
        time.sleep(0.02)
    time.sleep(1)
    for child in children(process)[:1]:
        os.kill(child, signal.SIGKILL)
    begin = time.monotonic()
    code = ended(process, seconds)
    if code is None:
        os.kill(process, signal.SIGKILL)
        end(process)
    return code, time.monotonic() - begin


def report(what, *values):
    print(f"{what:<28}", *values, flush=True)


def disturb(arguments, same, n_kills, rng, what, workers, patience, largest):
    """Kill a command, one of its processes and its disk, and compare with a run that nothing disturbed.

    Parameters
    ----------
    arguments : callable
        Arguments of the command for the name of a run and, optionally, a number of processes.
    same : callable
        Whether the result of a run of that name is that of the run ``whole``.
    n_kills : int
        Number of kills at random times.
    rng : `~numpy.random.Generator`
        Source of the times.
    what : str
        What the killed process is called.
    workers : int
        Processes of the run of which one is killed.
    patience : float
        How long that run may take, over the time of an undisturbed one.
    largest : int
        Size in bytes at which files end.

    Returns
    -------
    seconds : float
        Time of the undisturbed run.
    """
    begin = time.monotonic()
    code = end(start(arguments("whole")))
    seconds = time.monotonic() - begin
    report("uninterrupted", f"exit code {code}, {seconds:.0f} s")
    if code:
        sys.exit(code)
    met, code = kill_some(arguments("kills"), n_kills, seconds, rng)
    report(f"{met} of {n_kills} kills", f"exit code {code}, equal: {same('kills')}")
    code, after = kill_worker(arguments("worker", workers), patience * seconds)
    again = end(start(arguments("worker", workers)))
    report(what, f"exit code {code} after {after:.1f} s, then {again}, equal: {same('worker')}")
    code = end(start(arguments("disk"), largest))
    again = end(start(arguments("disk")))
    report("full disk", f"exit code {code}, then {again}, equal: {same('disk')}")
    return seconds


def catalog(field, folder, rng, n_kills):
    """Kills of a catalogue with fits."""
    fixed = [field / "dataset.fits.gz", "--fit-above", "0.9"]

    def arguments(name, jobs=1):
        return ["catalog", *fixed, "--folder", folder / name, "-o", folder / f"{name}.fits", "--jobs", jobs]

    def same(name):
        own, whole = (Table.read(folder / f"{n}.fits", hdu="CATALOG") for n in (name, "whole"))
        return len(own) == len(whole) and all(
            np.array_equal(own[c], whole[c], equal_nan=own[c].dtype.kind == "f") for c in whole.colnames
        )

    disturb(arguments, same, n_kills, rng, "a process of two killed", workers=2, patience=3, largest=20_000)
    both = [start([*arguments("two")[:-3], folder / f"{n}.fits", "--jobs", 1]) for n in ("one", "other")]
    codes = [end(process) for process in both]
    report("two runs in one folder", f"exit codes {codes}, equal: {same('one')}, {same('other')}")


def train(field, folder, rng, n_kills):
    """Kills of the training of a small model with its ensembles."""
    recipe = read_recipe("dataset").model_dump(mode="json")
    recipe |= {"name": "tiny", "patch_size": 32, "widths": [8, 8, 8, 8]}
    recipe |= {"validation_patches": 4, "calibration_patches": 64}
    recipe["optimiser"] |= {"batch_size": 8, "batches_per_epoch": 20, "epochs": 3, "learning_rate": 0.01}
    recipe["optimiser"] |= {"precision": "32-true", "ema_decay": 0.9}
    recipe["sources"] |= {"patches": 256, "members": 2, "width": 8, "steps": 40}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(recipe))

    def arguments(name, workers=0):
        fixed = ["train", folder / "tiny.yaml", "--dataset", field / "dataset.fits.gz"]
        return [*fixed, "--workers", workers, "-o", folder / name]

    def same(name):
        files = [path.name for end in SHIPPED for path in (folder / "whole").glob(f"tiny*{end[1:]}")]
        return len(files) == 6 and all(
            (folder / name / file).read_bytes() == (folder / "whole" / file).read_bytes() for file in files
        )

    seconds = disturb(
        arguments, same, n_kills, rng, "a simulating process killed", workers=1, patience=1, largest=50_000
    )
    codes = [end(process) for process in [start(arguments("two")) for _ in range(2)]]
    report("two runs in one folder", f"exit codes {codes}, equal: {same('two')}")
    process = start(arguments("terminated"))
    if ended(process, 0.3 * seconds) is None:
        os.kill(process, signal.SIGTERM)
        code = end(process)
        again = end(start(arguments("terminated")))
        report("SIGTERM", f"exit code {code}, then {again}, equal: {same('terminated')}")


def parser():
    """Arguments."""
    own = arguments(__doc__)
    own.add_argument("command", choices=["catalog", "train"])
    own.add_argument("field", type=Path, help="folder of gammapy-asid simulate")
    own.add_argument("--kills", type=int, help="number of kills; by default 10 and 5")
    own.add_argument("--folder", type=Path, help="folder that is kept; by default a temporary one")
    return own


def main(args=None):
    """Measure and print."""
    args = parser().parse_args(args)
    rng = np.random.default_rng(SEED)
    run, n_kills = (catalog, 10) if args.command == "catalog" else (train, 5)
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        run(args.field.absolute(), folder.absolute(), rng, n_kills if args.kills is None else args.kills)


if __name__ == "__main__":
    main()
