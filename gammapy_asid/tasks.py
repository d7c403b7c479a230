# Licensed under a 3-clause BSD style license - see LICENSE
"""Datasets as a list, and work on them in several processes."""

from gammapy.datasets import MapDataset
from gammapy.utils import parallel

__all__ = ["as_list", "run_tasks"]


def as_list(datasets):
    """One dataset or several as a list.

    Parameters
    ----------
    datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
        Data.

    Returns
    -------
    datasets : list of `~gammapy.datasets.MapDataset`
        The same.

    Raises
    ------
    ValueError
        If there is none.
    """
    datasets = [datasets] if isinstance(datasets, MapDataset) else list(datasets)
    if not datasets:
        raise ValueError("No dataset was given: give a MapDataset or Datasets with at least one.")
    return datasets


def run_tasks(function, inputs, estimator, name=""):
    """Call a function for each of the inputs, in the processes of an estimator.

    Parameters
    ----------
    function : callable
        Function of a module.
    inputs : list of tuple
        Arguments of each call.
    estimator : `~gammapy.utils.parallel.ParallelMixin`
        Gives the number of processes and how they are made; each has one thread.
    name : str
        What the progress bar is called.

    Returns
    -------
    results : list
        In the order of the inputs.
    """
    return parallel.run_multiprocessing(
        function,
        inputs,
        backend=estimator.parallel_backend,
        pool_kwargs={"processes": estimator.n_jobs, "initializer": _one_thread},
        task_name=name,
    )


def _one_thread():
    """Processes share the cores: more threads would only wait for each other."""
    import torch

    torch.set_num_threads(1)
