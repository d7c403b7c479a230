# Licensed under a 3-clause BSD style license - see LICENSE
"""What is measured of candidate lists."""

from dataclasses import dataclass

import numpy as np

from ..learning.interval_calibration import mahalanobis2
from ..learning.score_calibration import expected_calibration_error
from ..utils.sky_geometry import RADIUS_68, ellipse_covariance
from .lists import CandidateList
from .matching import Matches
from .metrics import PurityRecall
from .numbers import list_numbers, plain
from .thresholds import ThresholdCurve
from .truth import FLUX_4FGL, RANGE_4FGL, Truth

__all__ = ["Evaluation", "ListResult"]

#: Bins in flux: width in decades, and that of samples below `SMALL_SAMPLE` sources.
FLUX_STEP, FLUX_STEP_SMALL, SMALL_SAMPLE = 0.25, 0.5, 150


@dataclass(frozen=True)
class ListResult:
    """One candidate list and its numbers.

    Quantities at the working threshold count candidates with a score of `threshold` and more.

    Parameters
    ----------
    candidates : `~gammapy_asid.evaluation.CandidateList`
        Candidates of the sample, in order of decreasing score.
    matches : `~gammapy_asid.evaluation.Matches`
        Their matches, in order of decreasing score to the brightest source left.
    optimal : `~gammapy_asid.evaluation.Matches`
        Optimal matches of the candidates at the working threshold.
    curve, optimal_curve : `~gammapy_asid.evaluation.PurityRecall`
        Purity and recall under both matchings.
    faint : `~gammapy_asid.evaluation.ThresholdCurve`
        Faint sources gained and fakes.
    threshold : float
        Working threshold.
    reaches_purity : bool
        Whether the purity that was asked for is reached; if not, the whole list is judged.
    n_left_out : int
        Candidates outside the region, or real by a source beyond its edge.
    n_faint_matches : int
        Fakes at the working threshold that lie within the radius of a true source too faint to count.
    chance : float
        Share of random positions near candidates that have a true source within the radius.
    """

    candidates: CandidateList
    matches: Matches
    optimal: Matches
    curve: PurityRecall
    optimal_curve: PurityRecall
    faint: ThresholdCurve
    threshold: float
    reaches_purity: bool
    n_left_out: int
    n_faint_matches: int
    chance: float

    def __repr__(self):
        return f"<ListResult {self.label!r}: {len(self.candidates)} candidates, {self.kept.sum()} kept>"

    @property
    def label(self):
        """Name of the list."""
        return self.candidates.label

    @property
    def kept(self):
        """Candidates at the working threshold, bool."""
        return self.candidates.score >= self.threshold

    @property
    def found(self):
        """True sources found at the working threshold, bool."""
        return self.matches.true_score(self.candidates.score) >= self.threshold

    @property
    def calibration_error(self):
        """Expected calibration error of the whole list, None if scores are no probabilities."""
        if not self.candidates.is_probability:
            return None
        return expected_calibration_error(self.candidates.score, self.matches.is_matched)

    @property
    def pairs(self):
        """Indices of the candidates at the working threshold that are real, and of their sources."""
        index = np.flatnonzero(self.kept & self.matches.is_matched)
        return index, self.matches.true_index[index]


@dataclass(frozen=True)
class Evaluation:
    """Candidate lists judged against one truth.

    Parameters
    ----------
    truth : `~gammapy_asid.evaluation.Truth`
        True sources that count.
    results : list of `ListResult`
        One for each list.
    settings : dict
        Radius, ranges and purity.
    sample : dict
        Numbers of true sources given and left out, and what the region is.
    """

    truth: Truth
    results: list
    settings: dict
    sample: dict

    def __repr__(self):
        labels = ", ".join(result.label for result in self.results)
        return f"<Evaluation of {labels} against {len(self.truth)} true sources>"

    @property
    def edges(self):
        """Bin edges in flux, on round powers of ten."""
        step = FLUX_STEP if len(self.truth) >= SMALL_SAMPLE else FLUX_STEP_SMALL
        low, high = np.log10([self.truth.flux.min(), self.truth.flux.max()]) / step
        # Rounding keeps a flux on an edge from adding an empty bin, the margin keeps it inside
        first, last = np.floor(low + 1e-9), np.floor(high + 1e-9) + 1
        return 10 ** (step * np.arange(first, last + 1)) * (1 - 1e-9)

    @property
    def flux_limit(self):
        """Threshold of 4FGL-DR4 where the fluxes are in its energy range, else None."""
        return FLUX_4FGL if np.allclose(self.truth.energy_range, RANGE_4FGL) else None

    def candidate_flux(self, result):
        """Fluxes of the candidates of a result in the energy range of the truth, None without any.

        Parameters
        ----------
        result : `~gammapy_asid.evaluation.ListResult`
            One of the results.

        Returns
        -------
        flux : `~numpy.ndarray` or None
            In cm-2 s-1.
        """
        return result.candidates.fluxes(*self.truth.energy_range)

    def flux_pairs(self, result):
        """Measured and true fluxes of the real candidates, and their errors, in one energy range.

        Parameters
        ----------
        result : `~gammapy_asid.evaluation.ListResult`
            One of the results.

        Returns
        -------
        pairs : dict or None
            ``true``, ``flux``, ``errn`` and ``errp`` in cm-2 s-1, the errors None where the list has
            none for this range, and ``energy_range`` in GeV. None if the list has no fluxes.
        """
        listed, (index, source) = result.candidates, result.pairs
        if listed.flux is None:
            return None
        own = listed.energy_range or self.truth.energy_range
        true, flux, errors = self.truth.fluxes(*own), listed.flux, (listed.flux_errn, listed.flux_errp)
        if true is None:
            own, errors = self.truth.energy_range, (None, None)
            true, flux = self.truth.flux, self.candidate_flux(result)
        good = np.isfinite(flux[index]) & (flux[index] > 0)
        index, source = index[good], source[good]
        errn, errp = (None if error is None else error[index] for error in errors)
        columns = {"true": true[source], "flux": flux[index], "errn": errn, "errp": errp}
        return columns | {"energy_range": own}

    def flux_pull(self, result):
        """Deviations of fluxes from the truth in units of the error on that side; empty without errors.

        Parameters
        ----------
        result : `~gammapy_asid.evaluation.ListResult`
            One of the results.

        Returns
        -------
        pull : `~numpy.ndarray`
            Of the real candidates with errors.
        """
        pairs = self.flux_pairs(result)
        if pairs is None or pairs["errn"] is None or pairs["errp"] is None:
            return np.zeros(0)
        delta = pairs["flux"] - pairs["true"]
        error = np.where(delta > 0, pairs["errn"], pairs["errp"])
        good = np.isfinite(error) & (error > 0)
        return delta[good] / error[good]

    def position_pit(self, result):
        """Probability that each stated error ellipse gives to less than the true deviation.

        The ellipses of 68 and of 95 % are both honoured: between and beyond them the logarithm of the
        probability outside is linear in the squared deviation, as it is for a Gaussian.

        Parameters
        ----------
        result : `~gammapy_asid.evaluation.ListResult`
            One of the results.

        Returns
        -------
        pit : `~numpy.ndarray`
            Of the real candidates with an ellipse; empty without any.
        """
        listed, (index, source) = result.candidates, result.pairs
        if listed.ellipse is None:
            return np.zeros(0)
        good = np.all(np.isfinite(listed.ellipse[index]), axis=1) & (listed.ellipse[index, 1] > 0)
        index, source = index[good], source[good]
        if len(index) == 0:
            return np.zeros(0)
        icrs = listed.select(index).positions.icrs
        offset = icrs.spherical_offsets_to(self.truth.select(source).positions.icrs)
        delta = np.column_stack([axis.to_value("deg") for axis in offset])
        major, minor, major_95, minor_95, angle = listed.ellipse[index].T
        covariance = ellipse_covariance(major, minor, angle, RADIUS_68)
        distance2 = mahalanobis2(delta, covariance)
        at_68 = RADIUS_68**2
        at_95 = at_68 * major_95 * minor_95 / (major * minor)
        beyond = -np.log(0.32) + (distance2 - at_68) * np.log(0.32 / 0.05) / np.maximum(at_95 - at_68, 1e-12)
        exponent = np.where(distance2 < at_68, -np.log(0.32) * distance2 / at_68, beyond)
        return -np.expm1(-exponent)

    def metrics(self):
        """All numbers, anything JSON can hold; None where a number is not defined.

        Returns
        -------
        metrics : dict
            ``settings``, ``sample`` and ``lists``, the last by label.
        """
        lists = {result.label: list_numbers(self, result) for result in self.results}
        return plain({"settings": self.settings, "sample": self.sample, "lists": lists})
