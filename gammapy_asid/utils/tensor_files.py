# Licensed under a 3-clause BSD style license - see LICENSE
"""Reading of files of tensors with what they must hold."""

from contextlib import contextmanager

from safetensors import SafetensorError, safe_open

from .files import regular_file

__all__ = ["open_tensors"]


@contextmanager
def open_tensors(path, what, wrong, remedy, framework="pt"):
    """Context of a file of tensors that is being read.

    Parameters
    ----------
    path : path
        File.
    what : str
        What it should be, for the error if there is none.
    wrong, remedy : str
        For the error if its contents are others: what it is not, and what to do.
    framework : str
        Kind of the tensors, see `safetensors.safe_open`.

    Yields
    ------
    file : `~safetensors.safe_open`
        The file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no file of tensors, or if what is in the context finds something missing or wrong.
    """
    path = regular_file(path, what)
    try:
        with safe_open(path, framework=framework) as file:
            yield file
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is {wrong} ({error}): {remedy}") from None
