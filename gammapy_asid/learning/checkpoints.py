# Licensed under a 3-clause BSD style license - see LICENSE
"""Checkpoints of trainings: written whole, and read without running what they hold."""

import io
import pickle
from contextlib import contextmanager
from pathlib import Path

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities.exceptions import SIGTERMException

__all__ = ["WorkCheckpoints", "fit_or_stop", "load_checkpoint"]

#: Exit code of a program that the signal SIGTERM ended.
TERMINATED = 128 + 15


class WorkCheckpoints(TorchCheckpointIO):
    """Checkpoints in a folder of work.

    Parameters
    ----------
    work : `~gammapy_asid.utils.work_folder.WorkFolder`
        Folder.
    """

    def __init__(self, work):
        self.work = work

    def save_checkpoint(self, checkpoint, path, storage_options=None):
        # Beside its place, and moved there
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with self.work.new_file(Path(path).name) as temporary:
            temporary.write_bytes(content.getbuffer())

    def load_checkpoint(self, path, map_location=None, weights_only=None):
        return load_checkpoint(path, map_location)


def load_checkpoint(path, map_location="cpu"):
    """Read a checkpoint: tensors, numbers, strings and containers of them, nothing else.

    Parameters
    ----------
    path : path
        File.
    map_location : str or callable, optional
        Where its tensors go.

    Returns
    -------
    checkpoint : dict
        Content.

    Raises
    ------
    ValueError
        If it is no checkpoint, or holds anything that would run code.
    """
    try:
        checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, TypeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(
            f"{path} is no checkpoint that can be read without running code from it ({reason}): "
            "remove it to train anew"
        ) from None
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("state_dict"), dict):
        raise ValueError(f"{path} is no checkpoint of a training: remove it to train anew")
    return checkpoint


@contextmanager
def fit_or_stop(trainer):
    """Let nothing follow a fit that was stopped from outside.

    Parameters
    ----------
    trainer : `~lightning.Trainer`
        What fits.

    Raises
    ------
    SystemExit
        If the program was told to end.
    ChildProcessError
        If a process that simulates was killed.
    """
    try:
        yield
    except SIGTERMException:
        raise SystemExit(TERMINATED) from None
    except (RuntimeError, ConnectionError, EOFError) as error:
        # A process may be killed while it hands over a batch
        if isinstance(error, RuntimeError) and "DataLoader worker" not in str(error):
            raise
        raise ChildProcessError(
            "A process that simulates was killed, probably because the memory was full: take fewer "
            "(num_workers, --workers). The same call goes on from the last checkpoint"
        ) from error
    if trainer.received_sigterm:
        raise SystemExit(TERMINATED)
