# Licensed under a 3-clause BSD style license - see LICENSE
"""The history of a training as a table."""

import csv
from pathlib import Path

import lightning

from ..utils.files import new_file

__all__ = ["History"]


class History(lightning.Callback):
    """Writes losses and validation metrics, one row an epoch.

    A resumed training goes on with the table; Lightning's own logger starts anew.

    Parameters
    ----------
    path : path
        CSV file.
    """

    def __init__(self, path):
        self.path = Path(path)

    def on_train_epoch_end(self, trainer, pl_module):
        # The row of an epoch takes the place of an earlier one
        rows = []
        if self.path.exists():
            with open(self.path, newline="") as file:
                rows = [row for row in csv.DictReader(file) if int(row["epoch"]) < trainer.current_epoch]
        metrics = {name: float(v) for name, v in trainer.callback_metrics.items() if name != "last_loss"}
        rows.append({"epoch": trainer.current_epoch, **metrics})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with new_file(self.path, overwrite=True) as part, open(part, "w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[-1]), extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
