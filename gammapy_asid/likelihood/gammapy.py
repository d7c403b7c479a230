# Licensed under a 3-clause BSD style license - see LICENSE
"""Likelihood fits of candidates with Gammapy."""

import logging
from typing import Any, Literal

import astropy.units as u
import numpy as np
from gammapy.datasets import Datasets, MapDataset
from gammapy.estimators import ESTIMATOR_REGISTRY, Estimator

from ..catalog.candidates import Candidates
from ..catalog.columns import CandidateFlag, fit_columns
from ..utils.arguments import check_flags, check_kind, check_number, checked_energies
from ..utils.parallel import Processes
from .fit import FitOptions
from .flux_points import edges_of_bins, flux_points, shared_edges
from .listed_sources import listed_sources
from .source_field import SourceField, fit_sources, has_data, usable_for_fits

__all__ = ["CandidateFitEstimator"]

log = logging.getLogger(__name__)

#: Largest width of a region in deg: a plane map of a wider one is no picture of the sky.
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
        Gain in test statistic from which a log-parabola replaces the power law; of candidates that are
        classified as pulsars a power law with an exponential cutoff.
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
        width: u.Quantity = 4 * u.deg,
        neighbour_reach: u.Quantity = 1 * u.deg,
        position_reach: u.Quantity = 0.5 * u.deg,
        free_background: bool = True,
        free_neighbours: bool = True,
        refit_position: bool = True,
        curvature_ts: float = 9.0,
        test_extension: bool = False,
        n_jobs: int | None = None,
        parallel_backend: Literal["multiprocessing", "ray"] | None = None,
    ) -> None:
        super().__init__(n_jobs, parallel_backend)
        width = _angle("width", width, 0, LARGEST_WIDTH)
        neighbour_reach = _angle("neighbour_reach", neighbour_reach, -1, 180)
        position_reach = _angle("position_reach", position_reach, 0, width.to_value("deg") / 2)
        check_number("curvature_ts", curvature_ts, low=0)
        flags = {"free_background": free_background, "free_neighbours": free_neighbours}
        check_flags(**flags, refit_position=refit_position, test_extension=test_extension)
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

    def run(
        self,
        datasets: MapDataset | Datasets,
        candidates: Candidates,
        neighbours: Candidates | None = None,
    ) -> Candidates:
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
        datasets, sources = usable_for_fits(datasets), listed_sources(candidates)
        field = SourceField.make(datasets, candidates, self.options, self, neighbours)
        visible = has_data(datasets, candidates.positions)
        results: list[dict[str, Any]] = [{} for _ in sources]
        flags = np.where(visible, 0, CandidateFlag.FIT_FAILED | CandidateFlag.OUTSIDE)
        waiting = np.flatnonzero(visible)
        fits = fit_sources(field, [sources[i] for i in waiting], self)
        for i, (row, problem) in zip(waiting, fits, strict=True):
            results[i] = row
            if problem:
                flags[i] |= CandidateFlag.FIT_FAILED
                log.warning(f"No fit of {sources[i].name}: {problem}")
        meta = {
            name: str(value) if isinstance(value, u.Quantity) else value
            for name, value in self.config_parameters.items()
        }
        return candidates.with_columns(fit_columns(results), flags, {"fit": meta})

    def flux_points(self, datasets, candidates, energy_edges=None):
        """Flux points of fitted candidates, the rest of the field as fitted.

        Parameters
        ----------
        datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
            Data of the field.
        candidates : `~gammapy_asid.Candidates`
            Result of `run`.
        energy_edges : `~astropy.units.Quantity`, optional
            Two or more edges of the points, by default those that the datasets share where they see the
            source. Others are moved to the nearest that they share, with a warning.

        Returns
        -------
        points : dict of str to `~gammapy.estimators.FluxPoints`
            By name of the candidate; without those whose fit failed or that the data do not show.

        Raises
        ------
        TypeError, ValueError
            If the data can't be used, the candidates were not fitted, the edges are none or
            hold no energy bin between them, or if the datasets share no edges.
        """
        check_kind("candidates", candidates, Candidates)
        if "fit_flux" not in candidates.table.colnames:
            raise ValueError("The candidates have no fits: give the result of CandidateFitEstimator.run")
        if energy_edges is not None:
            energy_edges = checked_energies("energy_edges", energy_edges) * u.GeV
        datasets = usable_for_fits(datasets)
        field = SourceField.make(datasets, candidates, self.options, self)
        good = np.isfinite(candidates.table["fit_flux"])
        visible = dict(zip(candidates.table["name"], has_data(datasets, candidates.positions), strict=True))
        fitted = {model.name: model for model in candidates[good].to_models()}
        points = {}
        for source in listed_sources(candidates):
            if source.name not in fitted:
                continue
            if not visible[source.name]:
                log.warning(f"No flux points of {source.name}: the data do not show it")
                continue
            region = field.region(source)
            edges = shared_edges(region) if energy_edges is None else edges_of_bins(region, energy_edges)
            points[source.name] = flux_points(region, fitted[source.name], edges)
        return points


def _angle(name, value, low, high):
    """An angle above and up to limits in deg."""
    angle = u.Quantity(value)
    if not angle.isscalar or not angle.unit.is_equivalent("deg"):
        raise ValueError(f"{name} must be an angle, got {value}: give a Quantity such as 1 * u.deg")
    if not low < angle.to_value("deg") <= high:
        above = "0 or more" if low < 0 else f"above {low:g}"
        raise ValueError(f"{name} must be {above} and at most {high:g} deg, got {value}")
    return angle


ESTIMATOR_REGISTRY.append(CandidateFitEstimator)
