# Licensed under a 3-clause BSD style license - see LICENSE
"""Quality of detections: matching, purity and recall, calibration, limits, plots and the page."""

from ..learning.interval_calibration import (
    apply_quantiles,
    coverage_curve,
    fit_quantiles,
    mahalanobis2,
    probability_integral_transform,
)
from ..learning.score_calibration import apply_knots, expected_calibration_error, fit_knots, reliability
from ..stats.image_bounds import asimov_ts, position_covariance, sample_offsets, source_image
from .baseline import matched_filter_candidates, ts_map_candidates
from .class_evaluation import ClassEvaluation, evaluate_classes
from .detection_plots import (
    plot_flux_distribution,
    plot_found_again,
    plot_fraction,
    plot_latitude,
    plot_purity_recall,
    plot_reliability,
    plot_separation,
    plot_threshold,
)
from .figures import draw_figures
from .judge import evaluate_lists
from .lists import CandidateList, read_candidate_list, read_candidate_lists
from .matched_filter import matched_filter_maps
from .matching import Matches, angular_separation, deduplicate_overlaps, match_brightest, match_optimal
from .measurement_plots import plot_binned, plot_coverage, plot_flux_recovery, plot_offset, plot_pull
from .metrics import PurityRecall, binned_fraction, binomial_interval, offset_summary, purity_recall
from .region import chance_share, on_valid_data
from .report import write_report
from .results import Evaluation, ListResult
from .thresholds import (
    ThresholdCurve,
    found_again,
    neighbour_pairs,
    optimal_matched,
    separation_curve,
    threshold_curve,
)
from .truth import Truth, read_truth

__all__ = [
    "CandidateList",
    "ClassEvaluation",
    "Evaluation",
    "ListResult",
    "Matches",
    "PurityRecall",
    "ThresholdCurve",
    "Truth",
    "angular_separation",
    "apply_knots",
    "apply_quantiles",
    "asimov_ts",
    "binned_fraction",
    "binomial_interval",
    "chance_share",
    "coverage_curve",
    "deduplicate_overlaps",
    "draw_figures",
    "evaluate_classes",
    "evaluate_lists",
    "expected_calibration_error",
    "fit_knots",
    "fit_quantiles",
    "found_again",
    "mahalanobis2",
    "match_brightest",
    "match_optimal",
    "matched_filter_candidates",
    "matched_filter_maps",
    "neighbour_pairs",
    "offset_summary",
    "on_valid_data",
    "optimal_matched",
    "plot_binned",
    "plot_coverage",
    "plot_flux_distribution",
    "plot_flux_recovery",
    "plot_found_again",
    "plot_fraction",
    "plot_latitude",
    "plot_offset",
    "plot_pull",
    "plot_purity_recall",
    "plot_reliability",
    "plot_separation",
    "plot_threshold",
    "position_covariance",
    "probability_integral_transform",
    "purity_recall",
    "read_candidate_list",
    "read_candidate_lists",
    "read_truth",
    "reliability",
    "sample_offsets",
    "separation_curve",
    "source_image",
    "threshold_curve",
    "ts_map_candidates",
    "write_report",
]
