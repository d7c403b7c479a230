# Licensed under a 3-clause BSD style license - see LICENSE
"""What the tables of all estimators of given sources have in common."""

import numpy as np
from astropy.coordinates import SkyCoord

__all__ = ["SourceTable"]


class SourceTable:
    """Base of results with a ``table`` of one row per source, with its ``name``, ``ra`` and ``dec``."""

    def __len__(self):
        return len(self.table)

    def __str__(self):
        return "\n".join([f"{type(self).__name__}: {self.summary}", *self.table.pformat(max_width=-1)])

    @property
    def summary(self):
        """What is in the table, in a few words."""
        return f"{len(self)} sources"

    @property
    def positions(self):
        """Positions (`~astropy.coordinates.SkyCoord`, ICRS)."""
        return SkyCoord(self.table["ra"], self.table["dec"], frame="icrs")

    def _row(self, source):
        """Number of the row of a source that is given by it or by its name."""
        if isinstance(source, str):
            rows = np.flatnonzero(self.table["name"] == source)
            if len(rows) == 0:
                raise KeyError(f"No source {source!r}: the names are in the column 'name'")
            return int(rows[0])
        return source
