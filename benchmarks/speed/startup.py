# Licensed under a 3-clause BSD style license - see LICENSE
"""Processor time of the command line and of the import, until nothing else is done."""

import os
import resource
import subprocess
import sys

import numpy as np

from ..common import arguments, rows_to_markdown, write

__all__ = ["processor_time"]

NEEDS = "a minute"

COMMAND = "import sys; from gammapy_asid.cli import main; main(sys.argv[1:], prog_name='gammapy-asid')"
#: What is started, by what it is called.
STARTS = {
    "`gammapy-asid --version`": [COMMAND, "--version"],
    "`gammapy-asid --help`": [COMMAND, "--help"],
    "usage error (`gammapy-asid detect`)": [COMMAND, "detect"],
    "`import gammapy_asid`": ["import gammapy_asid"],
    "Python alone": ["pass"],
}
#: Variables that let libraries use one thread.
ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def processor_time(arguments, one_thread, repeats):
    """Shortest processor time of a program, user and system.

    Parameters
    ----------
    arguments : list of str
        Code and arguments.
    one_thread : bool
        Whether libraries are told to use one thread.
    repeats : int
        Number of starts.

    Returns
    -------
    seconds : float
        Processor time.
    """
    environment = {name: value for name, value in os.environ.items() if name not in ONE_THREAD}
    environment |= dict.fromkeys(ONE_THREAD, "1") if one_thread else {}
    times = [_children()]
    for _ in range(repeats):
        subprocess.run([sys.executable, "-c", *arguments], env=environment, capture_output=True)
        times.append(_children())
    return float(np.diff(times).min())


def _children():
    """Processor time of all programs that were started."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def parser():
    """Arguments."""
    own = arguments(__doc__, "startup")
    own.add_argument("--repeats", type=int, default=5, help="starts of each, the shortest counts")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    results = {
        name: [processor_time(start, one_thread, args.repeats) for one_thread in (False, True)]
        for name, start in STARTS.items()
    }
    rows = [[name, *(f"{seconds:.2f} s" for seconds in times)] for name, times in results.items()]
    write(args.output, results, rows_to_markdown(["", "all threads", "one thread"], rows))


if __name__ == "__main__":
    main()
