# Licensed under a 3-clause BSD style license - see LICENSE
"""Sources on images of the sky surveys, in a notebook."""

from importlib import import_module
from importlib.util import find_spec

import numpy as np
from astropy.table import QTable
from regions import EllipseSkyRegion

from .style import COLOURS
from .tables import shown_columns

__all__ = ["SURVEY", "show_sky"]

#: Survey behind the sources by default: all photons of the Fermi-LAT in colours of their energies.
SURVEY = "P/Fermi/color"

#: Smallest side of the view in deg, and the largest that a view has.
SIDES = 0.5, 180.0


def show_sky(sources, survey=SURVEY, **options):
    """Sources with their error ellipses on a survey of the sky, in a widget of ipyaladin.

    Parameters
    ----------
    sources : `~gammapy_asid.Candidates` or another table of sources of this package
        Sources; a click on one shows its row.
    survey : str
        Survey, a name or address of Aladin Lite.
    **options : dict
        Further options of ``ipyaladin.Aladin``, such as ``height=600``.

    Returns
    -------
    widget : ``ipyaladin.Aladin``
        Widget, which the notebook shows.

    Raises
    ------
    ImportError
        If ipyaladin is not installed.
    ValueError
        If no source has a position.
    """
    if find_spec("ipyaladin") is None:
        raise ImportError(
            "show() needs ipyaladin: pip install 'gammapy-asid[interactive]', then restart the kernel"
        )
    positions = sources.positions.icrs
    known = np.isfinite(positions.ra.deg) & np.isfinite(positions.dec.deg)
    if not known.any():
        raise ValueError(f"There is nothing to show: {sources.summary}")
    positions = positions[known]
    centre = positions[0]
    if len(positions) > 1:
        mean = positions.cartesian.mean()
        # The mean of positions all over the sky has no direction
        centre = positions[0].__class__(mean).icrs if mean.norm() > 0.01 else positions[0]
    radius = np.max(positions.separation(centre).deg)
    view = {"target": f"{centre.ra.deg} {centre.dec.deg}", "fov": float(np.clip(2.4 * radius, *SIDES))}
    widget = import_module("ipyaladin").Aladin(**{"survey": survey, **view, **options})
    name = type(sources).__name__
    widget.add_table(_table(sources)[known], shape="circle", name=name, color=COLOURS[4], source_size=14)
    ellipses = [region for region in _regions(sources) if isinstance(region, EllipseSkyRegion)]
    if ellipses:
        widget.add_graphic_overlay_from_region(ellipses, name="95 % errors", color=COLOURS[5])
    return widget


def _regions(sources):
    return sources.to_regions() if hasattr(sources, "to_regions") else []


def _table(sources):
    """Positions as numbers for the widget, all else as it is shown to people."""
    own = QTable({"ra": sources.positions.icrs.ra, "dec": sources.positions.icrs.dec})
    for head, (unit, texts, _) in shown_columns(sources.own_table).items():
        if head not in own.colnames:
            own[f"{head} [{unit}]" if unit else head] = texts
    own["flags"] = [sources.flag_class.text(value) for value in sources.own_table["flags"]]
    return own
