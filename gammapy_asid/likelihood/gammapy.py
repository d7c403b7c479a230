# Licensed under a 3-clause BSD style license - see LICENSE
"""Likelihood fits of candidates with Gammapy."""

import logging
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from gammapy.datasets import Datasets
from gammapy.estimators import ESTIMATOR_REGISTRY, Estimator

from ..catalog.candidates import Candidates
from ..catalog.columns import FIT_COLUMNS, CandidateFlag
from ..inputs.checks import check_expectation, each_usable
from ..inputs.impossible import without_impossible
from ..inputs.pixel_grid import PixelGrid
from ..inputs.prediction import Kernels
from ..inputs.prepare import prepare_dataset
from ..inputs.trusted_sky import warn_of_wrong_sky
from ..utils.arguments import check_kind, check_number
from ..utils.parallel import Processes, run_tasks
from .fit import FitOptions, fit_region, fit_spectrum
from .flux_points import flux_points, shared_edges
from .neighbours import source_rows, with_spectrum
from .region import MARGIN, cut_region

__all__ = ["CandidateFitEstimator", "fit_columns"]

log = logging.getLogger(__name__)

evaluator_log = logging.getLogger("gammapy.datasets.evaluator")

#: Fits of one task of a process.
FITS_AT_ONCE = 5
#: Largest width of a region in deg.
LARGEST_WIDTH = 30.0


class CandidateFitEstimator(Processes, Estimator):
    """Test candidates with the likelihood.

    For each candidate, in a region around it: the test statistic of a point source with a power law
    against no source, its position with an error ellipse, spectrum and flux. In either hypothesis the
    levels of the neighbours and of the background are fitted anew. Models of the dataset are known sky
    and stay as they are.

    Parameters
    ----------
    width : `~astropy.units.Quantity`
        Side of the region.
    neighbour_reach : `~astropy.units.Quantity`
        Neighbours within this distance have a free level; those farther away keep their flux.
    position_reach : `~astropy.units.Quantity`
        Farthest that a position may move along either axis.
    free_background, free_neighbours : bool
        Whether the level of the background and those of the neighbours are free.
    refit_position : bool
        Whether the position is free; otherwise it is that of the candidate.
    curvature_ts : float
        Gain in test statistic from which a log-parabola replaces the power law.
    test_extension : bool
        Whether a Gaussian is tried, for the test statistic of extension.
    n_jobs : int, optional
        Number of processes.
    parallel_backend : {"multiprocessing", "ray"}, optional
        How they are made.

    Examples
    --------
    >>> from gammapy_asid.likelihood import CandidateFitEstimator
    >>> fits = CandidateFitEstimator(n_jobs=2)
    >>> candidates = fits.run(dataset, candidates)  # doctest: +SKIP
    >>> candidates.table["ts"]  # doctest: +SKIP
    """

    tag = "CandidateFitEstimator"

    def __init__(
        self,
        width=4 * u.deg,
        neighbour_reach=1 * u.deg,
        position_reach=0.5 * u.deg,
        free_background=True,
        free_neighbours=True,
        refit_position=True,
        curvature_ts=9.0,
        test_extension=False,
        n_jobs=None,
        parallel_backend=None,
    ):
        super().__init__(n_jobs, parallel_backend)
        width = _angle("width", width, 0, LARGEST_WIDTH)
        neighbour_reach = _angle("neighbour_reach", neighbour_reach, -1, 180)
        position_reach = _angle("position_reach", position_reach, 0, width.to_value("deg") / 2)
        check_number("curvature_ts", curvature_ts, low=0)
        self.options = FitOptions(
            width=width,
            neighbour_reach=neighbour_reach,
            position_reach=position_reach,
            free_background=free_background,
            free_neighbours=free_neighbours,
            refit_position=refit_position,
            curvature_ts=curvature_ts,
            test_extension=test_extension,
        )

    @property
    def config_parameters(self):
        """Configuration."""
        return vars(self.options) | self.parallel_parameters

    def run(self, datasets, candidates, neighbours=None):
        """Fit candidates.

        Parameters
        ----------
        datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
            Data of one field, on pixels of any kind, with a background or models. Each candidate is fitted
            with those that see it.
        candidates : `~gammapy_asid.Candidates`
            Candidates; their fluxes, where estimated, are start values.
        neighbours : `~gammapy_asid.Candidates`, optional
            All sources of the field; by default the candidates themselves. Those that are
            also candidates are known by their names.

        Returns
        -------
        candidates : `~gammapy_asid.Candidates`
            With the columns `~gammapy_asid.catalog.columns.FIT_COLUMNS`. A fit that failed is flagged
            ``FIT_FAILED`` and has NaN; so is a candidate without data, which is also flagged ``OUTSIDE``.

        Raises
        ------
        TypeError, ValueError
            If the data can't be used.
        """
        check_kind("candidates", candidates, Candidates)
        if neighbours is not None:
            check_kind("neighbours", neighbours, Candidates)
        datasets = _usable(datasets)
        rows, field = source_rows(candidates), self._field(datasets, candidates, neighbours)
        seen = _has_data(datasets, candidates.positions)
        results = [{} for _ in rows]
        flags = np.where(seen, 0, CandidateFlag.FIT_FAILED | CandidateFlag.OUTSIDE)
        waiting = np.flatnonzero(seen)
        # Each process cuts its regions itself; a task holds a few, for the field must be handed over
        tasks = [waiting[i : i + FITS_AT_ONCE] for i in range(0, len(waiting), FITS_AT_ONCE)]
        fits = run_tasks(_fit_some, [(field, [rows[i] for i in task]) for task in tasks], self, "Fits")
        for i, (row, problem) in zip(waiting, chain.from_iterable(fits), strict=True):
            results[i] = row
            if problem:
                flags[i] |= CandidateFlag.FIT_FAILED
                log.warning(f"No fit of {rows[i]['name']}: {problem}")
        return candidates.with_columns(fit_columns(results), flags, {"fit": _plain(self.config_parameters)})

    def flux_points(self, datasets, candidates, energy_edges=None):
        """Flux points of fitted candidates, the rest of the field as fitted.

        Parameters
        ----------
        datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
            Data of the field.
        candidates : `~gammapy_asid.Candidates`
            Result of `run`.
        energy_edges : `~astropy.units.Quantity`, optional
            Edges of the points, by default those that the datasets share where they see the source.

        Returns
        -------
        points : dict of str to `~gammapy.estimators.FluxPoints`
            By name of the candidate; without those whose fit failed.

        Raises
        ------
        TypeError, ValueError
            If the data can't be used, or if the datasets share no edges and none are given.
        """
        check_kind("candidates", candidates, Candidates)
        datasets = _usable(datasets)
        rows, field = source_rows(candidates), self._field(datasets, candidates)
        good = np.isfinite(candidates.table["fit_flux"])
        fitted = {model.name: model for model in candidates[good].to_models()}
        points = {}
        for row in rows:
            if row["name"] not in fitted:
                continue
            region, source = field.region(row), fitted[row["name"]]
            edges = shared_edges(region) if energy_edges is None else energy_edges
            points[row["name"]] = flux_points(region, source, edges)
        return points

    def _field(self, datasets, candidates, neighbours=None):
        others = candidates if neighbours is None else neighbours
        # Elsewhere the kernels are those of each region
        kernels = [
            Kernels(d) if PixelGrid(d.counts.geom.to_image(), None).is_nominal else None for d in datasets
        ]
        field = _Field(datasets, kernels, source_rows(others), others.positions, self.options)
        return self._with_estimates(field, candidates)

    def _with_estimates(self, field, candidates):
        """Field in which every neighbour of a candidate has a flux: without one it is fitted first."""
        names, positions, reach = candidates.table["name"], candidates.positions, field.reach
        unknown = [
            i
            for i, source in enumerate(field.sources)
            if source["spectrum"] is None
            and np.any((positions.separation(source["position"]) < reach) & (names != source["name"]))
        ]
        if not unknown:
            return field
        tasks = [unknown[i : i + FITS_AT_ONCE] for i in range(0, len(unknown), FITS_AT_ONCE)]
        tasks = [(field, [field.sources[i] for i in task]) for task in tasks]
        laws = chain.from_iterable(run_tasks(_estimate_some, tasks, self, "Neighbours"))
        sources = list(field.sources)
        for i, law in zip(unknown, laws, strict=True):
            sources[i] = with_spectrum(sources[i], law)
        return replace(field, sources=sources)


@dataclass(frozen=True)
class _Field:
    """What the fits of a field have in common."""

    datasets: Datasets
    kernels: list
    sources: list
    positions: SkyCoord
    options: FitOptions

    @property
    def reach(self):
        """Distance to which sources matter: one half of the diagonal of a region with its margin."""
        return self.options.width * (1 + 2 * MARGIN) / np.sqrt(2)

    def region(self, row):
        """Region of a candidate."""
        near = np.flatnonzero(self.positions.separation(row["position"]) < self.reach)
        neighbours = [self.sources[i] for i in near if self.sources[i]["name"] != row["name"]]
        return cut_region(self.datasets, self.kernels, row, neighbours, self.options)


def _fit_some(field, rows):
    """Values of the fits of some candidates, and what went wrong if anything did."""
    with _quiet():
        return [_attempt(lambda row=row: fit_region(field.region(row), field.options), {}) for row in rows]


def _estimate_some(field, rows):
    """Spectra of some sources; None where there is none to tell."""
    with _quiet():
        return [_attempt(lambda row=row: fit_spectrum(field.region(row)), None)[0] for row in rows]


@contextmanager
def _quiet():
    """A neighbour beyond the edge of a region is no news."""
    level = evaluator_log.level
    evaluator_log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        evaluator_log.setLevel(level)


def _attempt(fit, otherwise):
    """Result of a fit and an empty text, or what stands for it and what went wrong."""
    try:
        return fit(), ""
    except Exception as error:  # one bad fit stops nothing
        return otherwise, str(error) or type(error).__name__


def _usable(datasets):
    """Datasets whose likelihood can be told, without impossible pixels."""

    def use(dataset):
        dataset = prepare_dataset(dataset)
        check_expectation(dataset)
        dataset = without_impossible(dataset)
        warn_of_wrong_sky(dataset)
        return dataset

    return Datasets(each_usable(datasets, use))


def _angle(name, value, low, high):
    """An angle above and up to limits in deg."""
    angle = u.Quantity(value)
    if not angle.isscalar or not angle.unit.is_equivalent("deg"):
        raise ValueError(f"{name} must be an angle, got {value}: give a Quantity such as 1 * u.deg")
    if not low < angle.to_value("deg") <= high:
        above = "0 or more" if low < 0 else f"above {low:g}"
        raise ValueError(f"{name} must be {above} and at most {high:g} deg, got {value}")
    return angle


def _has_data(datasets, positions):
    """Whether a position lies on valid pixels with exposure."""
    seen = np.zeros(len(positions), dtype=bool)
    placed = np.isfinite(positions.ra) & np.isfinite(positions.dec)
    if not placed.all():
        seen[placed] = _has_data(datasets, positions[placed])
        return seen
    for dataset in datasets:
        image = dataset.counts.geom.to_image()
        inside = np.atleast_1d(image.contains(positions))
        exposure = dataset.exposure.sum_over_axes(keepdims=False).interp_by_coord({"skycoord": positions})
        if dataset.mask is not None:
            valid = dataset.mask.reduce_over_axes(np.logical_or).get_by_coord({"skycoord": positions})
            inside &= np.nan_to_num(valid).astype(bool)
        seen |= inside & (np.nan_to_num(exposure) > 0)
    return seen


def fit_columns(results):
    """Columns of all results, NaN where a fit has no value."""
    table = QTable()
    for column in FIT_COLUMNS:
        empty = "" if column.dtype.startswith("U") else np.nan
        values = np.array([result.get(column.name, empty) for result in results], dtype=column.dtype)
        table[column.name] = values if column.unit is None else u.Quantity(values, column.unit)
    return table


def _plain(parameters):
    return {
        name: str(value) if isinstance(value, u.Quantity) else value for name, value in parameters.items()
    }


ESTIMATOR_REGISTRY.append(CandidateFitEstimator)
