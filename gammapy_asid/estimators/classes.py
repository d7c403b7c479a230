# Licensed under a 3-clause BSD style license - see LICENSE
"""Classes of sources with a neural network."""

import logging
from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any

import numpy as np
import torch
from astropy.coordinates import SkyCoord
from gammapy.datasets import Datasets, MapDataset
from gammapy.estimators import ESTIMATOR_REGISTRY
from gammapy.modeling.models import DatasetModels

from ..catalog.candidates import Candidates
from ..catalog.classes import SourceClasses
from ..catalog.columns import CandidateFlag
from ..inputs.bands import BandCube
from ..inputs.time_bins import TimeBins, find_time_bins, time_counts, usable_in_time
from ..tasks.classification.model import ClassificationModel
from ..tasks.classification.prior import SkyPrior, class_probabilities
from ..tasks.classification.stamps import CandidateStamps
from ..tasks.classification.time_counts import partly_masked
from ..tasks.detection.card import DetectionCard
from ..tasks.detection.model import DetectionModel
from .domain import band_cube, check_domain
from .sources import given_sources, place_sources
from .trained import TrainedEstimator

__all__ = ["DLSourceClassifier", "as_classifier"]

log = logging.getLogger(__name__)


class DLSourceClassifier(TrainedEstimator):
    """Tell real sources from artefacts, and active galaxies, pulsars, nebulae and remnants from each other.

    A convolutional network sees the counts around each source in all bands and, where the datasets are bins
    of time, in each of these, beside a fit of the source. Its probabilities are calibrated on simulations and
    hold for the shares of the classes that `prior` states. Background and models of the dataset are taken as
    known, save those that are classified themselves.

    Parameters
    ----------
    model : str or path
        Name of a shipped model, or path of its weights.
    prior : "equal", dict or callable, optional
        Shares of the classes in the sky, by default those of 4FGL-DR4 at the Galactic latitude; a dict such
        as ``{"AGN": 0.8, "PSR": 0.15, "PWN-SNR": 0.05}``, as far as known with ``"FSRQ"``, the share of these
        among active galaxies, and ``"real"``, that of real sources among the candidates; or a function of
        `~astropy.coordinates.SkyCoord` that returns one. See
        `~gammapy_asid.tasks.classification.prior.SkyPrior`.
    device : str, optional
        Torch device; by default the accelerator if there is one.

    Examples
    --------
    >>> from gammapy_asid import DLSourceClassifier
    >>> classifier = DLSourceClassifier(prior="equal")  # doctest: +SKIP
    >>> candidates = candidates.with_classes(classifier.run(datasets, candidates))  # doctest: +SKIP
    """

    tag = "DLSourceClassifier"
    trained: ClassificationModel

    def __init__(
        self,
        model: str | PathLike[str] = "lat-classes",
        prior: str | Mapping | Callable | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        self.prior = SkyPrior(prior)
        super().__init__(model, ClassificationModel.load(model, device))
        self.detector = _detector_of(self.card, device)

    @property
    def config_parameters(self) -> dict[str, Any]:
        """Configuration, without the network."""
        return super().config_parameters | {"prior": self.prior.text}

    @property
    def determined_by(self) -> dict[str, Any]:
        """What determines its results beside the data: weights and prior, wherever the weights lie."""
        return {"weights": self.card.weights_sha256, "prior": self.prior.text}

    def run(
        self, datasets: MapDataset | Datasets | BandCube, sources: SkyCoord | Candidates | DatasetModels
    ) -> SourceClasses:
        """Classify sources.

        Parameters
        ----------
        datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
            Data of one field, without time or in bins of time by their good time intervals, see
            `~gammapy_asid.inputs.time_bins.find_time_bins`; or the band cube of them, which has no time.
        sources : SkyCoord, `~gammapy_asid.Candidates` or Models
            Positions: of Astropy, or of Gammapy models.

        Returns
        -------
        classes : `~gammapy_asid.SourceClasses`
            One row per source, none lost: a source outside the valid data has no class, NaN and the flag
            ``OUTSIDE``; one outside what the model was trained for has the flag ``CLASS_OUTSIDE``.

        Raises
        ------
        TypeError, ValueError
            If the data can't be used, see `~gammapy_asid.inputs.to_band_cube`, their times overlap in part,
            the sources have no positions, or the data are those of another instrument than the model was
            trained for.
        """
        given = given_sources(sources)
        datasets = usable_in_time(datasets)
        time_bins = find_time_bins(datasets)
        cube = band_cube(datasets, self.card, without=given.models)
        return self.classify(datasets, cube, sources, time_bins)

    def asks(self, card: DetectionCard) -> bool:
        """Whether the model with a card is the detector whose candidates it was trained with.

        Parameters
        ----------
        card : `~gammapy_asid.tasks.detection.card.DetectionCard`
            Card.
        """
        return self.detector is not None and self.detector.card == card

    def stamps(
        self, datasets: MapDataset | Datasets | BandCube, sources: SkyCoord | Candidates | DatasetModels
    ) -> tuple[CandidateStamps, np.ndarray]:
        """What the network sees of sources, to look inside.

        Parameters
        ----------
        datasets, sources
            See `run`.

        Returns
        -------
        stamps : `~gammapy_asid.tasks.classification.stamps.CandidateStamps`
            Those of the sources on valid data.
        valid : `~numpy.ndarray` of bool
            Which these are among all.

        Raises
        ------
        ValueError
            If no source is on valid data, and see `run`.
        """
        given = given_sources(sources)
        datasets = usable_in_time(datasets)
        time_bins = find_time_bins(datasets)
        cube = band_cube(datasets, self.card, without=given.models)
        x, y, valid, _ = place_sources(given.positions, cube)
        if not valid.any():
            raise ValueError("No source is on valid data: there is nothing to see of them")
        seen = self._seen(cube, given, x[valid], y[valid], valid, time_bins)
        return self.trained.stamps(cube, x[valid], y[valid], *seen), valid

    def classify(
        self,
        datasets: list[MapDataset] | BandCube,
        cube: BandCube,
        sources: SkyCoord | Candidates | DatasetModels,
        time_bins: TimeBins | None,
        detected: torch.Tensor | None = None,
    ) -> SourceClasses:
        """Classify sources in a field that is prepared already.

        Parameters
        ----------
        datasets : list of `~gammapy.datasets.MapDataset` or `~gammapy_asid.inputs.BandCube`
            Result of `~gammapy_asid.inputs.time_bins.usable_in_time`.
        cube : `~gammapy_asid.inputs.BandCube`
            Result of `~gammapy_asid.estimators.domain.band_cube` of these for bands of the same energies,
            without the models among the sources.
        sources
            See `run`.
        time_bins : `~gammapy_asid.inputs.TimeBins` or None
            Result of `~gammapy_asid.inputs.find_time_bins` of the datasets.
        detected : `~torch.Tensor`, optional
            Output of the classifier's own detector on the cube, if at hand.

        Returns
        -------
        classes : `~gammapy_asid.SourceClasses`
            See `run`.
        """
        given = given_sources(sources)
        domain = check_domain(self.card, cube, datasets, "classes there have the flag CLASS_OUTSIDE")
        x, y, valid, flags = place_sources(given.positions, cube)
        probabilities = np.empty((0, 5))
        if valid.any():
            score, sigma, time = self._seen(cube, given, x[valid], y[valid], valid, time_bins, detected)
            logits = self.trained.predict(cube, x[valid], y[valid], score, sigma, time, given=score is None)
            shares = self.prior(given.positions[valid])
            probabilities = class_probabilities(logits, shares, self.card.real_share)
            outside = torch.as_tensor(logits.outside).cpu().numpy() | domain.is_outside(x[valid], y[valid])
            if time is not None:
                outside |= partly_masked(time, cube.bands.levels, x[valid], y[valid])
            flags[valid] |= np.where(outside, CandidateFlag.CLASS_OUTSIDE, 0)
        meta = {
            "model": self.card.name,
            "weights_sha256": self.card.weights_sha256,
            "prior": self.prior.text,
            "time_bins": 0 if time_bins is None else len(time_bins),
            "known_sky": cube.meta["known_sky"],
            "outside_training": list(domain.problems),
        }
        return SourceClasses.from_probabilities(
            given.names, given.positions, probabilities, valid, flags, meta
        )

    def _seen(self, cube, given, x, y, valid, time_bins, detected=None):
        """Scores and position errors of the valid sources, and the counts of the field in time."""
        time = None if time_bins is None else time_counts(time_bins, cube, without=given.models)
        return _scores(given, valid), self._errors(cube, x, y, detected), time

    def _errors(self, cube, x, y, detected):
        """Position errors in finest pixels that the detector tells there, as the network was trained with.

        Those of refined positions are smaller, and positions that are given have none. None, which stands for
        those that are expected of such a fit, where the detector is not at hand.
        """
        if self.detector is None or not cube.bands.same_energies(self.detector.bands):
            log.warning(
                f"The detector of model {self.card.name!r} is not at hand: what it says of the positions is "
                "replaced by what is expected, and classes are less certain."
            )
            return None
        detected = self.detector.output(cube) if detected is None else detected
        error = detected[4].exp().numpy()
        row, column = (
            np.rint(v).astype(int).clip(0, n - 1) for v, n in zip((y, x), error.shape, strict=True)
        )
        return error[row, column]


def as_classifier(
    classify: bool | str | PathLike[str] | DLSourceClassifier, device: str | torch.device | None = None
) -> DLSourceClassifier:
    """Classifier of a name.

    Parameters
    ----------
    classify : True, str, path or `DLSourceClassifier`
        The shipped model, another one, or a classifier.
    device : str, optional
        Torch device of one that is made.

    Returns
    -------
    classifier : `DLSourceClassifier`
        Classifier.

    Raises
    ------
    TypeError
        If it is something else.
    """
    if isinstance(classify, DLSourceClassifier):
        return classify
    if isinstance(classify, bool):
        return DLSourceClassifier(device=device)
    if not isinstance(classify, str | PathLike):
        raise TypeError(
            "classify is False, True, the name or path of a model, or a DLSourceClassifier, got "
            f"{type(classify).__name__}: {classify!r:.60}"
        )
    return DLSourceClassifier(classify, device=device)


def _detector_of(card, device):
    """Detection model whose candidates a classifier has seen; None where it is not at hand."""
    try:
        detector = DetectionModel.load(card.recipe.get("detector", ""), device)
    except (ValueError, FileNotFoundError):
        return None
    return detector if detector.card.sha256 == card.detector_sha256 else None


def _scores(given, valid):
    """Scores of the detection; None where the positions are given, or they are no probabilities."""
    score = None if given.scores is None else given.scores[valid]
    return score if score is not None and np.all((score >= 0) & (score <= 1)) else None


ESTIMATOR_REGISTRY.append(DLSourceClassifier)
