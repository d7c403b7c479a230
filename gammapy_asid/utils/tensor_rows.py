# Licensed under a 3-clause BSD style license - see LICENSE
"""Dataclasses of tensors with one row per source."""

import torch

from .devices import Movable

__all__ = ["TensorRows"]


class TensorRows(Movable):
    """Base of dataclasses of tensors, lists of tensors or such dataclasses, one row per source in each."""

    def select(self, rows):
        """Rows at an index or mask.

        Parameters
        ----------
        rows : `~torch.Tensor`
            Index or mask.

        Returns
        -------
        selected : `TensorRows`
            Of the same class.
        """
        return type(self)(**{name: _select(value, rows) for name, value in vars(self).items()})

    @classmethod
    def cat(cls, parts):
        """Rows of several parts one after the other.

        Parameters
        ----------
        parts : iterable of `TensorRows`
            Of this class, at least one.

        Returns
        -------
        rows : `TensorRows`
            All of them.
        """
        parts = list(parts)
        return cls(**{name: _cat([getattr(part, name) for part in parts]) for name in vars(parts[0])})


def _select(value, rows):
    if isinstance(value, list):
        return [item[rows] for item in value]
    return value.select(rows) if isinstance(value, TensorRows) else value[rows]


def _cat(values):
    first = values[0]
    if isinstance(first, list):
        return [torch.cat(items) for items in zip(*values, strict=True)]
    return type(first).cat(values) if isinstance(first, TensorRows) else torch.cat(values)
