# Licensed under a 3-clause BSD style license - see LICENSE
"""Quality of detections: matching, purity and recall, calibration, limits and plots."""

from .baseline import ts_map_candidates
from .calibration import apply_knots, expected_calibration_error, fit_knots, reliability
from .limits import asimov_ts, position_covariance, sample_offsets, source_image
from .matching import Matches, angular_separation, deduplicate_overlaps, match_brightest, match_optimal
from .metrics import PurityRecall, binned_fraction, binomial_interval, offset_summary, purity_recall
from .plots import (
    plot_binned,
    plot_coverage,
    plot_fraction,
    plot_offset,
    plot_purity_recall,
    plot_reliability,
)
from .uncertainty import (
    apply_quantiles,
    coverage_curve,
    fit_quantiles,
    mahalanobis2,
    probability_integral_transform,
)

__all__ = [
    "Matches",
    "PurityRecall",
    "angular_separation",
    "apply_knots",
    "apply_quantiles",
    "asimov_ts",
    "binned_fraction",
    "binomial_interval",
    "coverage_curve",
    "deduplicate_overlaps",
    "expected_calibration_error",
    "fit_knots",
    "fit_quantiles",
    "mahalanobis2",
    "match_brightest",
    "match_optimal",
    "offset_summary",
    "plot_binned",
    "plot_coverage",
    "plot_fraction",
    "plot_offset",
    "plot_purity_recall",
    "plot_reliability",
    "position_covariance",
    "probability_integral_transform",
    "purity_recall",
    "reliability",
    "sample_offsets",
    "source_image",
    "ts_map_candidates",
]
