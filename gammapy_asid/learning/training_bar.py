# Licensed under a 3-clause BSD style license - see LICENSE
"""Progress of a training: that of Lightning, or a bar of whoever shows them."""

from contextlib import ExitStack

import lightning
from lightning.pytorch.callbacks import TQDMProgressBar

from ..utils.progress import SHOWN, bar

__all__ = ["training_bars"]


class _TrainingBar(lightning.Callback):
    """One bar of all steps of a training, in which an interrupted one begins where it was."""

    def __init__(self, name):
        self.name, self.shown, self.advance = name, ExitStack(), None

    def on_train_start(self, trainer, pl_module):
        self.advance = self.shown.enter_context(bar(self.name, int(trainer.estimated_stepping_batches)))
        for _ in range(trainer.global_step):
            self.advance()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.advance()

    def on_train_end(self, trainer, pl_module):
        self.shown.close()

    def on_exception(self, trainer, pl_module, exception):
        self.shown.close()


def training_bars(name, progress, refresh_rate):
    """Callbacks that show the progress of a training.

    Parameters
    ----------
    name : str
        What the bar is called.
    progress : bool
        Whether there is one.
    refresh_rate : int
        Batches after which a bar of Lightning is drawn again.

    Returns
    -------
    callbacks : list of `~lightning.Callback`
        Callbacks, none without progress.
    """
    if not progress:
        return []
    return [TQDMProgressBar(refresh_rate=refresh_rate) if SHOWN.get() is None else _TrainingBar(name)]
