# Licensed under a 3-clause BSD style license - see LICENSE
"""Every figure of merit of a classifier with its interval, and a table to print."""

from dataclasses import dataclass, field, replace

import numpy as np
from astropy.table import Table

from .class_checks import checked_classes, checked_weights, class_indices, weights_of_prior
from .class_metrics import (
    RankedClass,
    calibration_by_chance,
    called_figures,
    weighted_calibration_error,
    weighted_confusion,
)
from .intervals import bootstrap_intervals, bootstrap_weights, share_intervals, short

__all__ = ["ClassEvaluation", "evaluate_classes"]

#: Figures of all classes together, and those of each class, with their headings.
OVERALL = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "macro_f1": "macro-F1"}
PER_CLASS = {
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "roc_area": "area (ROC)",
    "average_precision": "average precision",
    "recall_at_precision": "recall at prec. {}",
}
#: Figures that are shares of sources: their intervals are Wilson's.
SHARES = {"accuracy", "precision", "recall"}


@dataclass(frozen=True)
class ClassEvaluation:
    """Figures of merit of a classifier.

    Parameters
    ----------
    names : tuple of str
        Classes.
    matrix : `~numpy.ndarray`
        Number (or weight) of sources of each true class (rows) that are called each class (columns).
    number : `~numpy.ndarray` of int
        Sources of each true class that were judged.
    left_out : `~numpy.ndarray` of int
        Sources of each true class without probabilities: they are in none of the figures.
    overall : dict of str to `~gammapy_asid.evaluation.intervals.Interval`
        ``accuracy``, ``balanced_accuracy``, ``macro_f1``.
    per_class : dict of str to list of `~gammapy_asid.evaluation.intervals.Interval`
        ``precision``, ``recall``, ``f1``, ``roc_area`` and ``average_precision`` (each class against all
        others), ``recall_at_precision``, and ``calibration_error``, the expected one in bins of equal count.
        It grows by chance: its interval has that taken off, and may lie below it.
    calibration_chance : list of tuple of float
        Median and 95 % quantile of the calibration error that exactly true probabilities have by chance in a
        sample of this size: no error below can be told from none.
    precision : float
        Precision at which ``recall_at_precision`` is read.
    settings : dict
        How the figures were made: ``n_bins``, ``n_resamples``, ``seed``, and whether sources are
        ``weighted``.
    """

    names: tuple
    matrix: np.ndarray
    number: np.ndarray
    left_out: np.ndarray
    overall: dict
    per_class: dict
    calibration_chance: list
    precision: float
    settings: dict = field(default_factory=dict)

    def to_table(self):
        """Figures of each class.

        Returns
        -------
        table : `~astropy.table.Table`
            One row per class: ``class``, ``number``, ``left_out``, of each figure its value and the ends
            ``_low_68``, ``_high_68``, ``_low_95``, ``_high_95``; ``calibration_chance_median`` and ``_95``.
        """
        table = Table({"class": list(self.names), "number": self.number, "left_out": self.left_out})
        for name, intervals in self.per_class.items():
            table[name] = [interval.value for interval in intervals]
            for end in ("low_68", "high_68", "low_95", "high_95"):
                table[f"{name}_{end}"] = [getattr(interval, end) for interval in intervals]
        for i, name in enumerate(("median", "95")):
            table[f"calibration_chance_{name}"] = [chance[i] for chance in self.calibration_chance]
        return table

    @property
    def numbers(self):
        """All figures as numbers, lists and dicts (dict)."""
        return {
            "classes": list(self.names),
            "number": self.number.tolist(),
            "left_out": self.left_out.tolist(),
            "matrix": self.matrix.tolist(),
            "precision": self.precision,
            **self.settings,
            **{name: interval.numbers for name, interval in self.overall.items()},
            **{name: [own.numbers for own in intervals] for name, intervals in self.per_class.items()},
            "calibration_chance": [list(chance) for chance in self.calibration_chance],
        }

    def __repr__(self):
        figures = f"{self.number.sum()} sources, accuracy {self.overall['accuracy']}"
        return f"<ClassEvaluation of {', '.join(self.names)}: {figures}>"

    def __str__(self):
        lines = [self._head(), ""]
        for name, label in OVERALL.items():
            interval = self.overall[name]
            lines.append(f"{label:<19}{interval}   95 %: {interval.text_95}")
        for part in (("precision", "recall", "f1"), ("roc_area", "average_precision", "recall_at_precision")):
            heads = (PER_CLASS[name].format(f"{self.precision:.2f}".lstrip("0")) for name in part)
            lines += ["", "{:<10}{:>6}  {:<20} {:<20} {:<20}".format("class", "n", *heads).rstrip()]
            for i, name in enumerate(self.names):
                texts = (str(self.per_class[own][i]) for own in part)
                row = "{:<10.10}{:>6}  {:<20} {:<20} {:<20}".format(name, self.number[i], *texts)
                lines.append(row.rstrip())
        lines += ["", f"{'class':<10}{'n':>6}  calibration error    of true probabilities, by chance"]
        for i, name in enumerate(self.names):
            median, top = self.calibration_chance[i]
            own = str(self.per_class["calibration_error"][i])
            lines.append(
                f"{name:<10.10}{self.number[i]:>6}  {own:<20} {short(median)}, 95 % below {short(top)}"
            )
        return "\n".join(lines)

    def _head(self):
        weighted = ", weighted" if self.settings.get("weighted") else ""
        lines = [f"{self.number.sum()} sources{weighted}; intervals of 68 %"]
        if self.left_out.any():
            own = (f"{n} {name}" for n, name in zip(self.left_out, self.names, strict=True) if n)
            lines.append(f"Left out, for they have no probabilities: {', '.join(own)}")
        return "\n".join(lines)


def evaluate_classes(
    true,
    probability,
    names=None,
    weights=None,
    prior=None,
    called=None,
    precision=0.85,
    n_bins=15,
    n_resamples=1000,
    seed=0,
):
    """Judge the probabilities of classes.

    Parameters
    ----------
    true : array-like of str or int
        True class of each source, a name or an index, shape ``(n,)``.
    probability : array-like
        Probability of each class, shape ``(n, n_classes)``. Sources with a NaN are counted and left out.
    names : sequence of str, optional
        Classes, in the order of the columns. By default their indices.
    weights : array-like, optional
        Weights of the sources, such as those that make the sample one like another, shape ``(n,)``.
    prior : array-like, optional
        Share of each class in the population for which the figures are to hold, shape ``(n_classes,)``: the
        sources of each class get this weight together. The probabilities stay as they are.
    called : array-like of str or int, optional
        Class that each source is called, shape ``(n,)``; by default the most probable one.
    precision : float
        Precision at which the recall is read.
    n_bins : int
        Bins of the calibration error.
    n_resamples : int
        Resamples of the bootstrap.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    evaluation : `ClassEvaluation`
        Figures of merit. The intervals of accuracy, precision and recall are Wilson's, with the effective
        number of sources where they are weighted; the others are of a Bayesian bootstrap.

    Raises
    ------
    ValueError
        If the shapes do not fit, a class is not known, probabilities are not between 0 and 1 or do not add up
        to 1, weights are negative, or no source is left.
    """
    true, probability, names, judged = checked_classes(true, probability, names)
    n_classes = len(names)
    number, left_out = (np.bincount(true[rows], minlength=n_classes) for rows in (judged, ~judged))
    called = np.argmax(probability, axis=1) if called is None else class_indices(called, names, "called")
    own_weights = checked_weights(weights, prior, true, judged, n_classes)
    true, called, probability, own_weights = (v[judged] for v in (true, called, probability, own_weights))

    resampled = bootstrap_weights(len(true), n_resamples, seed) * own_weights.astype(np.float32)
    if prior is not None:
        resampled = weights_of_prior(resampled, true, prior)
    matrix = weighted_confusion(true, called, resampled, n_classes)
    figures = called_figures(matrix)
    overall = {name: bootstrap_intervals(figures[name])[0] for name in OVERALL}
    per_class = {name: bootstrap_intervals(figures[name]) for name in ("precision", "recall", "f1")}
    first = resampled[0].astype(float)
    effective = {
        "accuracy": _effective(first),
        "recall": [_effective(first[true == i]) for i in range(n_classes)],
        "precision": [_effective(first[called == i]) for i in range(n_classes)],
    }
    overall["accuracy"] = share_intervals(figures["accuracy"][0], effective["accuracy"])[0]
    for name in ("recall", "precision"):
        per_class[name] = share_intervals(figures[name][0], effective[name])
    ranked = [
        RankedClass(probability[:, i], true == i).figures(resampled, precision) for i in range(n_classes)
    ]
    for name in ("roc_area", "average_precision", "recall_at_precision"):
        per_class[name] = bootstrap_intervals(np.column_stack([own[name] for own in ranked]))
    per_class["calibration_error"], chance = _calibration(probability, true, resampled, n_bins, seed)
    return ClassEvaluation(
        tuple(names),
        matrix[0],
        number,
        left_out,
        overall,
        per_class,
        chance,
        precision,
        {
            "n_bins": n_bins,
            "n_resamples": n_resamples,
            "seed": seed,
            "weighted": weights is not None or prior is not None,
        },
    )


def _effective(weights):
    """Number of sources of equal weight that know a share as well."""
    squares = np.sum(weights**2)
    return np.sum(weights) ** 2 / squares if squares > 0 else np.nan


def _calibration(probability, true, weights, n_bins, seed):
    """Calibration error of each class, and median and 95 % quantile of that of true probabilities."""
    intervals, chance = [], []
    for i, own in enumerate(probability.T):
        error = weighted_calibration_error(own, true == i, weights, n_bins)
        by_chance = calibration_by_chance(own, weights[0], n_bins, len(weights), seed)
        median, end_68, top, end_95 = (float(v) for v in np.quantile(by_chance, [0.5, 0.84, 0.95, 0.975]))
        (interval,) = bootstrap_intervals(error[:, None], mirrored=True)
        # What chance gives as well may be nothing
        low_68, low_95 = interval.low_68 * (error[0] > end_68), interval.low_95 * (error[0] > end_95)
        intervals.append(replace(interval, low_68=low_68, low_95=low_95))
        chance.append((median, top))
    return intervals, chance
