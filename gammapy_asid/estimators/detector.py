# Licensed under a 3-clause BSD style license - see LICENSE
"""Source detection with a multi-resolution U-Net."""

from numbers import Real
from os import PathLike
from typing import Any, Literal

import astropy.units as u
import numpy as np
import torch
from gammapy.datasets import Datasets, MapDataset
from gammapy.estimators import ESTIMATOR_REGISTRY
from scipy.spatial import KDTree

from ..catalog.candidates import Candidates
from ..catalog.columns import CandidateFlag
from ..inputs.bands import BandCube
from ..inputs.batch import field_batch
from ..inputs.picture_maps import picture_maps
from ..inputs.prepare import usable_datasets
from ..inputs.psf import psf_radius, psf_tables
from ..inputs.time_bins import find_time_bins, usable_in_time
from ..learning.model_files import ensemble_path
from ..learning.peaks import FAINTEST_SCORE, edge_distance
from ..tasks.detection.doubles import join_peaks, split_peaks
from ..tasks.detection.model import DetectionModel, score_maps
from ..tasks.detection.sensitivity import stands_other_skies
from ..tasks.detection.shifts import averaged_output
from ..tasks.measurement.fitted_sources import fit_batch
from ..tasks.measurement.model import SourceEnsemble
from ..utils.arguments import check_flags, check_number
from ..utils.devices import moved
from ..utils.sky_geometry import RADIUS_68, RADIUS_95, sky_ellipses
from .classes import DLSourceClassifier, as_classifier
from .domain import band_cube, check_domain, check_instrument
from .trained import TrainedEstimator

__all__ = ["DLSourceDetector"]


class DLSourceDetector(TrainedEstimator):
    """Find gamma-ray sources with deep learning.

    The dataset is brought to the energy bands of the model. A multi-resolution U-Net sees counts, the known
    sky and the significance of a source at each pixel, and gives the probability of a source; a Laplacian of
    Gaussian finds the centres. Method of the AutoSourceID pipeline (Panes et al. 2021, A&A 656, A62) with
    the likelihood's own view of the field added.

    Background and models of the dataset are the known sky: sources already modelled are
    not found again. Masks are honoured.

    Parameters
    ----------
    model : str or path
        Name of a shipped model, or path of weights with their card beside them.
    threshold : float
        Smallest calibrated probability of a candidate to be real.
    centres : {"log", "kmeans"}
        Source centres by the Laplacian of Gaussian with sub-pixel refinement, or by K-means as in
        the published pipeline. The calibration of the score is that of the former.
    refine : bool, optional
        Fit the candidates together as points, split those that are two sources, and let the model's ensemble
        refine their positions, with error ellipses; otherwise positions and error circles are those
        of the detection network. By default where the model has such an ensemble and knows points only.
        Models that know extended sources split none, and what they refine should be points.
    emission_error : float, optional
        Relative error of the known sky: candidates that are not found again with it brighter and
        fainter by so much get the flag ``EMISSION_SENSITIVE``. By default this is not tried.
    shifts : int
        Number of ways, 1 to 8, to join pixels for the coarser bands over which the output of the network is
        averaged. More than one makes scores depend less on where the pixels of the data begin, see
        the benchmarks, and takes the time of the network and of the band cube as many times.
    classify : bool, str, path or `~gammapy_asid.DLSourceClassifier`
        Whether candidates get classes: of the shipped model, another one, or a classifier with its own prior.
    device : str, optional
        Torch device; by default the accelerator if there is one.

    Examples
    --------
    >>> from gammapy_asid import DLSourceDetector
    >>> candidates = DLSourceDetector(model="lat", threshold=0.5).run(dataset)  # doctest: +SKIP
    """

    tag = "DLSourceDetector"
    trained: DetectionModel

    def __init__(
        self,
        model: str | PathLike[str] = "lat",
        threshold: float = 0.5,
        centres: Literal["log", "kmeans"] = "log",
        refine: bool | None = None,
        emission_error: float | None = None,
        shifts: int = 1,
        classify: bool | str | PathLike[str] | DLSourceClassifier = False,
        device: str | torch.device | None = None,
    ) -> None:
        if not _is_share(threshold):
            raise ValueError(f"The threshold is a probability between 0 and 1, got {threshold}")
        if centres not in ("log", "kmeans"):
            raise ValueError(f"Centres are found by 'log' or 'kmeans', got {centres!r}")
        if emission_error is not None and not _is_share(emission_error):
            raise ValueError(f"The error of the emission is a share between 0 and 1, got {emission_error}")
        check_number("The number of shifts", shifts, low=1, high=8, whole=True)
        if refine is not None:
            check_flags(refine=refine)
        self.classifier = None if classify is False else as_classifier(classify, device)
        super().__init__(model, DetectionModel.load(model, device))
        self.threshold = threshold
        self.centres = centres
        if refine is None:
            refine = ensemble_path(model, "position").is_file() and not self.bands.extents
        self.refine = refine
        self.refining = SourceEnsemble.load(model, "position", device) if refine else None
        self.emission_error = emission_error
        self.shifts = int(shifts)

    @property
    def config_parameters(self) -> dict[str, Any]:
        """Configuration, without the networks."""
        return super().config_parameters | {
            "threshold": self.threshold,
            "centres": self.centres,
            "refine": self.refine,
            "refining_weights": None if self.refining is None else self.refining.card.weights_sha256,
            "emission_error": self.emission_error,
            "shifts": self.shifts,
            "classify": False if self.classifier is None else str(self.classifier.model),
            "classifier": None if self.classifier is None else self.classifier.determined_by,
        }

    def run(self, datasets: MapDataset | Datasets | BandCube) -> Candidates:
        """Find the sources of a field.

        Parameters
        ----------
        datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
            Data of one field, which may come in event types, energy ranges, pixel sizes and bins of time; or
            the band cube of them, see `~gammapy_asid.inputs.to_band_cube`.

        Returns
        -------
        candidates : `~gammapy_asid.Candidates`
            Candidates above the threshold, by decreasing score. Their maps are ``score``, the
            network's probability of a source within the model's match radius (LAT: 0.3 deg) of
            each pixel, ``centre``, and for pictures ``counts`` with what the known sky predicts of them,
            ``background``, in the energies ``meta["picture_range"]`` in GeV. With `classify` there are
            `~gammapy_asid.catalog.CLASS_COLUMNS`, from the counts in time where
            the datasets are bins of it; what is found does not depend on it.

        Raises
        ------
        TypeError, ValueError
            If the data can't be used, see `~gammapy_asid.inputs.to_band_cube`, or are those of another
            instrument than the model was trained for; the message names the shipped model that suits them.
        """
        if not isinstance(datasets, BandCube):
            # Once, for what it says of them
            datasets = usable_datasets(datasets) if self.classifier is None else usable_in_time(datasets)
        elif self.shifts > 1:
            raise ValueError("The pixels of a band cube are joined: give the datasets, or take shifts=1")
        return self.find(datasets, band_cube(datasets, self.card))

    def find(self, datasets: list[MapDataset] | BandCube, cube: BandCube) -> Candidates:
        """Find the sources of a field that is prepared already.

        Parameters
        ----------
        datasets : list of `~gammapy.datasets.MapDataset` or `~gammapy_asid.inputs.BandCube`
            Result of `~gammapy_asid.inputs.prepare.usable_datasets`.
        cube : `~gammapy_asid.inputs.BandCube`
            Result of `~gammapy_asid.estimators.domain.band_cube` of these.

        Returns
        -------
        candidates : `~gammapy_asid.Candidates`
            See `run`.
        """
        if self.classifier is None:
            return self._found(datasets, cube)[0]
        # Before any work, for what is wrong with the data
        time_bins, own = find_time_bins(datasets), cube
        if not cube.bands.same_energies(self.classifier.bands):
            own = band_cube(datasets, self.classifier.card)
        check_instrument(self.classifier.card, own, datasets)
        candidates, output = self._found(datasets, cube)
        # Where the classifier would ask this very network about these very pixels
        same = own is cube and self.shifts == 1 and self.classifier.asks(self.card)
        detected = output if same else None
        return candidates.with_classes(
            self.classifier.classify(datasets, own, candidates, time_bins, detected)
        )

    def _found(self, datasets, cube):
        """Candidates without classes, and the output of the network."""
        domain = check_domain(
            self.card, cube, datasets, "candidates there have the flag UNTRAINED, and no purity is stated"
        )
        output = averaged_output(self.trained, datasets, cube, self.shifts)
        peaks = self._peaks(output, cube)
        if self.refine and len(peaks):
            peaks, ellipses = self._refined(peaks, cube)
        else:
            ellipses = self._circles(peaks, cube)
        flags = self._flags(peaks, cube, domain)
        chosen = np.flatnonzero(peaks.score >= self.threshold)
        chosen = chosen[np.argsort(-peaks.score[chosen], kind="stable")]
        peaks, flags = peaks.select(chosen), flags[chosen]
        axes_68, axes_95, angle = (values[chosen] for values in ellipses)
        maps, picture = picture_maps(cube)
        found = Candidates.from_positions(
            cube.geom.wcs.pixel_to_world(peaks.x, peaks.y),
            peaks.score,
            axes_68,
            axes_95,
            angle,
            flags=flags,
            maps={**score_maps(output, cube), **maps},
            meta=self._meta(cube, domain) | picture,
        )
        return found, output

    def _peaks(self, output, cube):
        """Peaks of the network's output that are candidates, or that a fit may count among the sources."""
        peaks = self.trained.peaks(output, cube, self.centres)
        return join_peaks(peaks.select(peaks.score >= min(self.threshold, FAINTEST_SCORE)), _native(cube))

    def _circles(self, peaks, cube):
        """Error circles of the detection network: semi-axes of 68 % and 95 %, and their angle."""
        sigma = peaks.sigma * self.card.position_scale * cube.response.pixel_size * u.deg
        sigma = np.hypot(sigma, np.max(cube.response.place_error) * u.deg)
        sigma = np.stack([sigma, sigma], axis=1)
        return RADIUS_68 * sigma, RADIUS_95 * sigma, np.zeros(len(peaks)) * u.deg

    def _refined(self, peaks, cube):
        """Peaks at their refined positions, blends split; semi-axes of the error ellipses and their angle."""
        batch, tables = moved([field_batch([cube]), psf_tables(cube.response)], self.device)
        fit = None
        # What is longer than a point may be extended
        if not self.bands.extents:
            peaks, fit = split_peaks(peaks, batch, tables, _native(cube))
        rows = (getattr(peaks, name) for name in ("field", "x", "y", "score", "sigma"))
        sources = fit_batch(batch, cube.response, *rows, tables=tables, fit=fit)
        refined = self.refining.positions(sources)
        peaks.x, peaks.y = refined.x, refined.y
        axes, angle = sky_ellipses(cube.geom.wcs, refined.x, refined.y, refined.covariance)
        first, second = np.sqrt(refined.scale).T[..., None]
        return peaks, (first * axes, second * axes, angle)

    def _flags(self, peaks, cube, domain):
        """Bits of `~gammapy_asid.catalog.columns.CandidateFlag` for each peak."""
        flags = np.zeros(len(peaks), int)
        if len(peaks) == 0:
            return flags
        pixel_size = cube.response.pixel_size
        distance = edge_distance(cube.mask.any(axis=0), peaks.x, peaks.y) * pixel_size
        flags[distance < cube.bands.match_radius] |= CandidateFlag.NEAR_EDGE
        # Within two 68 % radii of the sharpest band the images overlap
        reach = 2 * np.nanmin(psf_radius(cube.response)) / pixel_size
        tree = KDTree(np.column_stack([peaks.x, peaks.y]))
        pairs = tree.query_pairs(max(reach, 1e-9), output_type="ndarray")
        fainter = np.where(peaks.score[pairs[:, 0]] < peaks.score[pairs[:, 1]], pairs[:, 0], pairs[:, 1])
        flags[fainter] |= CandidateFlag.NEAR_BRIGHTER
        flags[domain.is_outside(peaks.x, peaks.y)] |= CandidateFlag.UNTRAINED
        if self.emission_error and cube.has_background:
            settings = self.emission_error, self.threshold, self.centres
            stands = stands_other_skies(self.trained, cube, peaks.x, peaks.y, *settings)
            flags[~stands] |= CandidateFlag.EMISSION_SENSITIVE
        return flags

    def _meta(self, cube, domain):
        response = cube.response
        purity, completeness = self.card.expected(self.threshold, cube.has_background)
        if domain.problems:
            purity = completeness = float("nan")
        return {
            "model": self.card.name,
            "card_sha256": self.card.sha256,
            "threshold": self.threshold,
            "expected_purity": purity,
            "expected_completeness": completeness,
            "energy_range": [float(np.nanmin(response.e_min)), float(np.nanmax(response.e_max))],
            "background": cube.has_background,
            "known_sky": cube.meta["known_sky"],
            "outside_training": list(domain.problems),
            "datasets": cube.meta.get("datasets", []),
        }


def _is_share(value):
    return isinstance(value, Real) and 0 < value < 1


def _native(cube):
    """Side in finest pixels of the native pixels inside which counts lost their place, 0 if they kept it."""
    return cube.response.native / cube.response.pixel_size


ESTIMATOR_REGISTRY.append(DLSourceDetector)
