# Licensed under a 3-clause BSD style license - see LICENSE
"""Work in several processes."""

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from gammapy.utils import parallel

from .arguments import check_number
from .progress import bar

__all__ = ["Processes", "run_tasks"]


class Processes(parallel.ParallelMixin):
    """Part of an estimator that works in several processes.

    Parameters
    ----------
    n_jobs : int, optional
        Number of processes.
    parallel_backend : {"multiprocessing", "ray"}, optional
        How they are made.

    Raises
    ------
    TypeError, ValueError
        If the number is no whole number from 1 on, or there is no such way to make processes.
    """

    def __init__(self, n_jobs=None, parallel_backend=None):
        if n_jobs is not None:
            check_number("n_jobs", n_jobs, low=1, whole=True)
        self.n_jobs = None if n_jobs is None else int(n_jobs)
        self.parallel_backend = parallel_backend

    @property
    def parallel_parameters(self):
        """Configuration, which changes how results are made and not what they are."""
        backend = parallel.ParallelBackendEnum(self.parallel_backend).value
        return {"n_jobs": self.n_jobs, "parallel_backend": backend}


def run_tasks(function, inputs, estimator, name="", advance=None):
    """Call a function for each of the inputs, in the processes of an estimator.

    Parameters
    ----------
    function : callable
        Function of a module.
    inputs : list of tuple
        Arguments of each call.
    estimator : `Processes`
        Gives the number of processes and how they are made; each has one thread.
    name : str
        What the progress bar is called.
    advance : callable, optional
        Called when one is done, in place of a bar.

    Returns
    -------
    results : list
        In the order of the inputs.

    Raises
    ------
    ChildProcessError
        If a process was killed.
    """
    if advance is None:
        with bar(name, len(inputs)) as advance:
            return run_tasks(function, inputs, estimator, name, advance)
    backend = parallel.ParallelBackendEnum(estimator.parallel_backend)
    if estimator.n_jobs == 1:
        return [_advanced(function(*arguments), advance) for arguments in inputs]
    if backend is parallel.ParallelBackendEnum.multiprocessing:
        return _in_processes(function, inputs, estimator.n_jobs, advance)
    try:
        return parallel.run_multiprocessing(
            function,
            inputs,
            backend=backend.value,
            pool_kwargs={"processes": estimator.n_jobs, "initializer": _one_thread},
            task_name=name,
        )
    except Exception as error:
        if type(error).__name__ in RAY_KILLED:
            raise _killed(estimator.n_jobs) from error
        raise


#: Errors of Ray where a process was killed.
RAY_KILLED = ("ActorDiedError", "OutOfMemoryError", "RayActorError", "WorkerCrashedError")


def _advanced(result, advance):
    advance()
    return result


def _in_processes(function, inputs, n_jobs, advance):
    """Results of processes, of which none is waited for when it was killed.

    A pool of `multiprocessing`, which Gammapy takes, waits for the results of a killed process for ever.
    """
    with ProcessPoolExecutor(min(n_jobs, max(len(inputs), 1)), initializer=_begin_process) as pool:
        futures = [pool.submit(function, *arguments) for arguments in inputs]
        try:
            return [_advanced(future.result(), advance) for future in futures]
        except BrokenProcessPool as error:
            raise _killed(n_jobs) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _killed(n_jobs):
    return ChildProcessError(
        f"One of {n_jobs} processes was killed, probably because the memory was full: take fewer (n_jobs, "
        "--jobs). What was finished is kept where a folder was given, and the same call goes on there"
    )


def _begin_process():
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _one_thread()


def _end_with_parent():
    """End this process when the one that waits for its results was killed."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _one_thread():
    """Processes share the cores: more threads would only wait for each other."""
    import torch

    torch.set_num_threads(1)
