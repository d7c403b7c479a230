# Licensed under a 3-clause BSD style license - see LICENSE
"""Pictures of fields, score maps, classified sources and trainings."""

from ..display.field import plot_field, plot_score_map
from ..optical.picture import draw_sources as plot_optical
from .light_curves import plot_light_curve, plot_light_curves
from .likelihood import plot_ts_against_score
from .sources import plot_classified
from .training import plot_training_history
from .view import view_page, write_view

__all__ = [
    "plot_classified",
    "plot_field",
    "plot_light_curve",
    "plot_light_curves",
    "plot_optical",
    "plot_score_map",
    "plot_training_history",
    "plot_ts_against_score",
    "view_page",
    "write_view",
]
