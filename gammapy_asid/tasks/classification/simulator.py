# Licensed under a 3-clause BSD style license - see LICENSE
"""Candidates of a detector on simulated skies, true and false, with their classes and counts in time."""

from dataclasses import dataclass

import numpy as np
import torch

from ...inputs.psf import psf_tables
from ...simulation.faulty_patches import FaultyLatSimulator
from ...simulation.lat_patches import LatSimulator
from ...utils.tensor_rows import TensorRows
from ..detection.model import DetectionModel
from ..detection.recipe import DetectionRecipe
from ..detection.simulated_candidates import detected_candidates
from ..detection.simulator import build_simulator, dataset_simulator
from .splits import SplitTime
from .stamps import CandidateStamps, candidate_stamps

__all__ = ["N_BINS", "CandidateSimulator", "SimulatedCandidates", "build_candidate_simulator"]

#: Bins of time: years of the mission that the published classifier saw.
N_BINS = 10
#: Patches simulated at once, all of one instrument.
BATCH = 32
#: Candidates that a patch has on average, true and false.
PER_PATCH = 12
#: Share of the draws whose positions are given, without a score.
GIVEN_SHARE = 0.15


@dataclass
class SimulatedCandidates(TensorRows):
    """Candidates with their truth, tensors with one row per candidate.

    Parameters
    ----------
    stamps : `~gammapy_asid.tasks.classification.stamps.CandidateStamps`
        What the network sees.
    source_class : `~torch.Tensor`
        Index in `~gammapy_asid.simulation.mock_catalog.SOURCE_CLASSES` of the true source that a candidate
        claims, -1 for none: a fake; int64.
    latitude : `~torch.Tensor`
        Galactic latitude of the source, or the mean of those of the patch, in deg.
    significance : `~torch.Tensor`
        Expected significance of the source, 0 for fakes.
    score : `~torch.Tensor`
        Score of the detection.
    given : `~torch.Tensor`
        Whether the position counts as given, without a score; bool.
    has_background : `~torch.Tensor`
        Whether the field has a prediction, bool.
    instrument : `~torch.Tensor`
        Index of the instrument.
    fault : `~torch.Tensor`
        What is wrong with the sky of the patch, see
        `~gammapy_asid.simulation.faulty_patches.FaultyLatSimulator`; -1 where it is not said.
    """

    stamps: CandidateStamps
    source_class: torch.Tensor
    latitude: torch.Tensor
    significance: torch.Tensor
    score: torch.Tensor
    given: torch.Tensor
    has_background: torch.Tensor
    instrument: torch.Tensor
    fault: torch.Tensor

    def __len__(self):
        return len(self.source_class)


def build_candidate_simulator(recipe, datasets=None):
    """Simulator of the candidates of a recipe.

    Parameters
    ----------
    recipe : `~gammapy_asid.tasks.classification.recipe.ClassRecipe`
        Recipe.
    datasets : `~gammapy.datasets.Datasets`, optional
        Data whose instrument is simulated, in place of those of the detector's recipe.

    Returns
    -------
    simulator : `CandidateSimulator`
        Simulator.

    Raises
    ------
    ValueError
        If the data are not those of the Fermi-LAT, whose sources have known classes.
    """
    detector = DetectionModel.load(recipe.detector)
    own = DetectionRecipe(**detector.card.recipe).model_copy(update={"emission": recipe.emission})
    patches = None
    if datasets is not None:
        patches = dataset_simulator(datasets, own)
    elif own.instruments:
        patches = build_simulator(own)
    if not isinstance(patches, LatSimulator):
        raise ValueError(
            "Classes of sources are simulated for the Fermi-LAT, whose catalogues tell the populations: "
            f"the {'recipe' if datasets is None else 'data'} are those of another instrument"
        )
    return CandidateSimulator(detector, FaultyLatSimulator.like(patches, recipe.faulty_share))


class CandidateSimulator:
    """Draws candidates that a detector finds on simulated patches.

    Parameters
    ----------
    detector : `~gammapy_asid.tasks.detection.model.DetectionModel`
        Detector.
    patches : `~gammapy_asid.simulation.patch_simulator.PatchSimulator`
        Simulator of patches with the classes of their sources.
    """

    def __init__(self, detector, patches):
        self.detector = detector
        self.patches = patches.to(detector.device)
        self.tables = {}

    @property
    def bands(self):
        """Bands of the detector (`~gammapy_asid.inputs.Bands`)."""
        return self.patches.bands

    def digested(self):
        """What determines the candidates, see `~gammapy_asid.utils.digests`."""
        return type(self).__name__, {"detector": self.detector.card, "patches": self.patches}

    def draw(self, n, seed, n_bins=N_BINS):
        """Simulate candidates.

        Parameters
        ----------
        n : int
            Number wanted; what patches hold is random, and their number is not.
        seed : int or tuple of int
            Equal seeds give equal candidates.
        n_bins : int
            Bins of time.

        Returns
        -------
        candidates : `SimulatedCandidates`
            About `n` candidates, at least one, on the CPU.
        """
        seed = tuple(np.atleast_1d(seed))
        rng, parts, number = np.random.default_rng((*seed, 1)), [], 0
        while not parts or number * BATCH * PER_PATCH < n:
            parts += self._draw(rng, (*seed, 2, number), n_bins)
            number += 1
        return SimulatedCandidates.cat(parts)

    def _draw(self, rng, seed, n_bins):
        """Candidates of patches of one instrument; a list of one or, if there are none, empty."""
        instrument = int(rng.choice(len(self.patches.weights), p=self.patches.weights))
        response = self.patches.bank.responses[instrument]
        if instrument not in self.tables:
            self.tables[instrument] = psf_tables(response).to(self.detector.device)
        patches = self.patches.draw(BATCH, seed, instrument)
        on_host = patches.to("cpu")
        rows = detected_candidates(self.detector, on_host)
        given = rng.random() < GIVEN_SHARE
        if not len(rows["true"]):
            return []
        tables = self.tables[instrument]
        time = SplitTime(patches, tables, rng, n_bins)
        score = None if given else rows["score"]
        place = (rows[name] for name in ("field", "x", "y"))
        stamps = candidate_stamps(patches.batch, response, *place, score, rows["sigma"], time, tables)
        return [_with_truth(stamps.to("cpu"), on_host, rows, given)]


def _with_truth(stamps, patches, rows, given):
    field, true = (torch.as_tensor(rows[name]) for name in ("field", "true"))
    fake = true < 0

    def of_source(values, default):
        return torch.where(fake, default, values[true])

    total = torch.bincount(patches.patch, patches.latitude.nan_to_num(), minlength=len(patches.batch))
    mean = total / torch.bincount(patches.patch, minlength=len(patches.batch)).clamp(min=1)
    fault = getattr(patches, "fault", None)
    return SimulatedCandidates(
        stamps=stamps,
        source_class=of_source(patches.source_class.long(), torch.tensor(-1)),
        latitude=of_source(patches.latitude, mean[field].to(patches.latitude)),
        significance=of_source(patches.significance, torch.tensor(0.0)),
        score=torch.as_tensor(rows["score"], dtype=torch.float32),
        given=torch.full((len(field),), given),
        has_background=patches.batch.has_background[field],
        instrument=patches.instrument[field],
        fault=torch.full_like(field, -1) if fault is None else fault[field].long(),
    )
