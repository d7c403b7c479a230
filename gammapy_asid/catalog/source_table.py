# Licensed under a 3-clause BSD style license - see LICENSE
"""What all results with a table of sources share: how they are shown, chosen from, copied and plotted."""

import copy
from dataclasses import replace
from difflib import get_close_matches

import numpy as np
from astropy.coordinates import SkyCoord

from ..display.aladin import SURVEY, show_sky
from ..display.field import plot_field
from ..display.tables import html_table, meta_lines, text_lines
from ..utils.words import counted
from .columns import CandidateFlag
from .selection import chosen_rows

__all__ = ["ShownTable", "SourceTable", "row_number"]


class ShownTable:
    """Base of what shows itself as a table: in one line, as text, and in a notebook.

    Subclasses have a ``summary`` in a few words and ``own_table`` with the names of columns of this package.
    """

    #: Bits of the column ``flags``.
    flag_class = CandidateFlag

    def __repr__(self):
        return f"<{type(self).__name__}: {self.summary}>"

    def __str__(self):
        head = [f"{type(self).__name__}: {self.summary}", *meta_lines(getattr(self, "meta", {}))]
        return "\n".join([*head, "", *text_lines(self.own_table, self.flag_class)])

    def _repr_html_(self):
        return html_table(self.own_table, self.flag_class, f"{type(self).__name__}: {self.summary}")

    def __contains__(self, name):
        return name in self.names

    @property
    def summary(self):
        """What is in the table, in a few words."""
        return counted(len(self), "source")

    def copy(self):
        """A copy that shares nothing with the original."""
        return copy.deepcopy(self)

    def select(self, keep=None, *, region=None, without=0, **ranges):
        """Sources that fulfil all conditions.

        Parameters
        ----------
        keep : str, sequence or slice, optional
            Name or names, a mask, row numbers or a slice.
        region : `~regions.SkyRegion`, optional
            Region on the sky that holds their positions.
        without : `~gammapy_asid.catalog.CandidateFlag` or str or list of str
            Flags that they must not have, such as ``CandidateFlag.NEAR_EDGE`` or ``"near edge"``.
        **ranges : pair of float or `~astropy.units.Quantity`
            Lowest and highest value of columns, None for no limit, such as ``score=(0.9, None)`` or
            ``glat=(-5, 5) * u.deg``. Rows without a value are left out.

        Returns
        -------
        sources : object
            Of the same class.

        Raises
        ------
        KeyError
            If there is no source of a name.
        TypeError, ValueError
            If a condition can't be checked.

        Examples
        --------
        >>> sure = candidates.select(score=(0.9, None), without="near edge")  # doctest: +SKIP
        """
        rows = chosen_rows(self, keep, region, without, ranges, row_number)
        return self._with_rows(rows)

    def plot(self, dataset=None, ax=None, catalog=None):
        """Sources on the picture of their field, see `gammapy_asid.plots.plot_field`.

        Parameters
        ----------
        dataset : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`, optional
            Data of the field; by default the maps that come with candidates.
        ax : `~astropy.visualization.wcsaxes.WCSAxes`, optional
            Axes to draw on.
        catalog : `~gammapy.catalog.SourceCatalog` or `~astropy.coordinates.SkyCoord`, optional
            Known sources to mark.

        Returns
        -------
        ax : `~astropy.visualization.wcsaxes.WCSAxes`
            Axes.
        """
        return plot_field(self, dataset, ax, catalog)

    def show(self, survey=SURVEY, **options):
        """Sources on a survey of the sky, in a notebook; needs ``pip install gammapy-asid[interactive]``.

        Parameters
        ----------
        survey : str
            Survey behind them, a name or address of Aladin Lite.
        **options : dict
            Further options of ``ipyaladin.Aladin``, such as ``height=600``.

        Returns
        -------
        widget : ``ipyaladin.Aladin``
            Widget, which the notebook shows.

        Raises
        ------
        ImportError, ValueError
            If ipyaladin is not installed, or no source has a position.
        """
        return show_sky(self, survey, **options)


class SourceTable(ShownTable):
    """Base of results with a ``table`` of one row per source, with its ``name``, ``ra`` and ``dec``."""

    #: Column of the names.
    name_column = "name"

    def __len__(self):
        return len(self.table)

    def __getitem__(self, key):
        """Row of a number or a name; the same class for a slice, a mask, row numbers or names."""
        if isinstance(key, str | int | np.integer) and not isinstance(key, bool | np.bool_):
            return self.table[row_number(self, key)]
        return self.select(key)

    @property
    def names(self):
        """Names of all sources (list of str)."""
        return [str(name) for name in self.table[self.name_column]]

    @property
    def own_table(self):
        """The table (`~astropy.table.QTable`)."""
        return self.table

    @property
    def positions(self):
        """Positions (`~astropy.coordinates.SkyCoord`, ICRS)."""
        return SkyCoord(self.table["ra"], self.table["dec"], frame="icrs")

    def _with_rows(self, rows):
        """The same with some rows, given by their numbers."""
        return replace(self, table=self.table[rows])


def row_number(sources, source):
    """Number of the row of a source.

    Parameters
    ----------
    sources : `ShownTable`
        Sources with ``names``.
    source : int or str
        Row, from the end if negative, or name.

    Returns
    -------
    row : int
        Row, not negative.

    Raises
    ------
    KeyError, IndexError
        If there is none.
    """
    if isinstance(source, str):
        names = sources.names
        if source in names:
            return names.index(source)
        near = get_close_matches(source, names, n=3, cutoff=0.7)
        hint = f"did you mean {', '.join(near)}?" if near else f"see {type(sources).__name__}.names"
        raise KeyError(f"No source {source!r}: {hint}")
    if not -len(sources) <= source < len(sources):
        raise IndexError(f"No row {source}: there are {sources.summary}")
    return int(source) % len(sources)
