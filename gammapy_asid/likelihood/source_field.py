# Licensed under a 3-clause BSD style license - see LICENSE
"""The data of a field with the sources of a list, and the fits of these in several processes."""

import logging
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from astropy.coordinates import SkyCoord
from gammapy.datasets import Datasets

from ..inputs.checks import check_expectation, each_usable
from ..inputs.impossible import without_impossible
from ..inputs.pixel_grid import PixelGrid
from ..inputs.prediction import Kernels
from ..inputs.prepare import prepare_dataset
from ..inputs.trusted_sky import warn_of_wrong_sky
from ..utils.parallel import run_tasks
from .fit import FitOptions, fit_region, fit_spectrum
from .listed_sources import listed_sources
from .region import MARGIN, cut_region

__all__ = ["SourceField", "fit_sources", "has_data", "usable_for_fits"]

evaluator_log = logging.getLogger("gammapy.datasets.evaluator")

#: Fits of one task of a process: several, for the field must be handed over with each task, and few, so
#: that no process waits long for the last.
FITS_AT_ONCE = 5


@dataclass(frozen=True, kw_only=True)
class SourceField:
    """What the fits of a field have in common.

    Parameters
    ----------
    datasets : `~gammapy.datasets.Datasets`
        Result of `usable_for_fits`.
    kernels : list of `~gammapy_asid.inputs.prediction.Kernels`
        Of their responses; None where they differ from place to place with the pixels.
    sources : list of `~gammapy_asid.likelihood.listed_sources.ListedSource`
        All sources of the field.
    positions : `~astropy.coordinates.SkyCoord`
        Their positions.
    options : `~gammapy_asid.likelihood.fit.FitOptions`
        Options of the fits.
    """

    datasets: Datasets
    kernels: list
    sources: list
    positions: SkyCoord
    options: FitOptions

    @classmethod
    def make(cls, datasets, candidates, options, processes, neighbours=None):
        """Field in which every neighbour of a candidate has a flux: without one it is fitted first.

        Parameters
        ----------
        datasets : `~gammapy.datasets.Datasets`
            Result of `usable_for_fits`.
        candidates : `~gammapy_asid.Candidates`
            Candidates that will be fitted.
        options : `~gammapy_asid.likelihood.fit.FitOptions`
            Options of the fits.
        processes : `~gammapy_asid.utils.parallel.Processes`
            Gives the number of processes and how they are made.
        neighbours : `~gammapy_asid.Candidates`, optional
            All sources of the field; by default the candidates.

        Returns
        -------
        field : `SourceField`
            Field.
        """
        listed = candidates if neighbours is None else neighbours
        kernels = [
            Kernels(d) if PixelGrid(d.counts.geom.to_image(), None).is_nominal else None for d in datasets
        ]
        field = cls(
            datasets=datasets,
            kernels=kernels,
            sources=listed_sources(listed),
            positions=listed.positions,
            options=options,
        )
        return field._with_spectra(candidates, processes)

    def _with_spectra(self, candidates, processes):
        names, positions = candidates.table["name"], candidates.positions
        unknown = [
            source.spectrum is None
            and np.any((positions.separation(source.position) < self.reach) & (names != source.name))
            for source in self.sources
        ]
        sources = [source for source, fitted in zip(self.sources, unknown, strict=True) if fitted]
        spectra = iter(_in_tasks(_spectra_of_some, self, sources, processes, "Neighbours"))
        return replace(
            self,
            sources=[
                source.with_fit(next(spectra)) if fitted else source
                for source, fitted in zip(self.sources, unknown, strict=True)
            ],
        )

    @property
    def reach(self):
        """Distance to which sources matter: one half of the diagonal of a region with its margin."""
        return self.options.width * (1 + 2 * MARGIN) / np.sqrt(2)

    def region(self, source):
        """Region of a source.

        Parameters
        ----------
        source : `~gammapy_asid.likelihood.listed_sources.ListedSource`
            Source.

        Returns
        -------
        region : `~gammapy_asid.likelihood.region.Region`
            Region with all others of the list that matter as its neighbours.
        """
        near = np.flatnonzero(self.positions.separation(source.position) < self.reach)
        neighbours = [self.sources[i] for i in near if self.sources[i].name != source.name]
        return cut_region(self.datasets, self.kernels, source, neighbours, self.options)


def fit_sources(field, sources, processes):
    """Fit sources, each in its region.

    Parameters
    ----------
    field : `SourceField`
        Field.
    sources : list of `~gammapy_asid.likelihood.listed_sources.ListedSource`
        Sources.
    processes : `~gammapy_asid.utils.parallel.Processes`
        Gives the number of processes and how they are made.

    Returns
    -------
    fits : list of tuple
        For each source the values of `~gammapy_asid.likelihood.fit.fit_region`, empty where the fit failed,
        and what went wrong, an empty text where nothing did.
    """
    return _in_tasks(_fit_some, field, sources, processes, "Fits")


def _in_tasks(function, field, sources, processes, name):
    """Results of a function of a field and some of the sources; each process cuts its regions itself."""
    # One by one where no process has to be told of the field
    n = FITS_AT_ONCE if processes.n_jobs > 1 else 1
    tasks = [(field, sources[i : i + n]) for i in range(0, len(sources), n)]
    return list(chain.from_iterable(run_tasks(function, tasks, processes, name))) if tasks else []


def _fit_some(field, sources):
    with _quiet():
        return [
            _attempt(lambda s=source: fit_region(field.region(s), field.options), {}) for source in sources
        ]


def _spectra_of_some(field, sources):
    """Spectra; None where the fit failed."""
    with _quiet():
        return [_attempt(lambda s=s: fit_spectrum(field.region(s)), None)[0] for s in sources]


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


def usable_for_fits(datasets):
    """Datasets whose likelihood can be told, without impossible pixels.

    Parameters
    ----------
    datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
        Data of one field; left unchanged.

    Returns
    -------
    datasets : `~gammapy.datasets.Datasets`
        Data.

    Raises
    ------
    TypeError, ValueError
        If the data can't be used, or have neither a background nor models.
    """

    def use(dataset):
        dataset = prepare_dataset(dataset)
        check_expectation(dataset)
        dataset = without_impossible(dataset)
        warn_of_wrong_sky(dataset)
        return dataset

    return Datasets(each_usable(datasets, use))


def has_data(datasets, positions):
    """Whether positions lie on valid pixels with exposure.

    Parameters
    ----------
    datasets : `~gammapy.datasets.Datasets`
        Data.
    positions : `~astropy.coordinates.SkyCoord`
        Positions, NaN where there is none; shape ``(n,)``.

    Returns
    -------
    has_data : `~numpy.ndarray`
        Whether one of the datasets does, shape ``(n,)``.
    """
    any_data = np.zeros(len(positions), dtype=bool)
    placed = np.isfinite(positions.ra) & np.isfinite(positions.dec)
    if not placed.all():
        any_data[placed] = has_data(datasets, positions[placed])
        return any_data
    for dataset in datasets:
        image = dataset.counts.geom.to_image()
        inside = np.atleast_1d(image.contains(positions))
        exposure = dataset.exposure.sum_over_axes(keepdims=False).interp_by_coord({"skycoord": positions})
        if dataset.mask is not None:
            valid = dataset.mask.reduce_over_axes(np.logical_or).get_by_coord({"skycoord": positions})
            inside &= np.nan_to_num(valid).astype(bool)
        any_data |= inside & (np.nan_to_num(exposure) > 0)
    return any_data
