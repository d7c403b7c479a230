# Licensed under a 3-clause BSD style license - see LICENSE
"""Candidates of the detector on simulated patches of the LAT, with what a classifier says of each."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from gammapy_asid.inputs.psf import psf_tables
from gammapy_asid.tasks.classification.card import mode_of
from gammapy_asid.tasks.classification.model import ClassLogits, network_output
from gammapy_asid.tasks.classification.network import class_inputs
from gammapy_asid.tasks.classification.splits import SplitTime
from gammapy_asid.tasks.classification.stamps import candidate_stamps
from gammapy_asid.tasks.detection.simulated_candidates import (
    DETECTABLE,
    detected_candidates,
    visible_sources,
)

__all__ = ["JudgedCandidates", "fit_ts", "judged", "merged", "simulate", "simulated"]

#: Patches simulated at once, all of one instrument.
BATCH = 32
#: Seeds of the benchmarks, those of no training, calibration or test of one.
FIRST_SEED = 2**40


@dataclass
class JudgedCandidates:
    """Candidates of patches and what a classifier says of them.

    Parameters
    ----------
    rows : dict of `~numpy.ndarray`
        Of each candidate: ``patch``, ``score``, ``source_class`` (index in
        `~gammapy_asid.simulation.mock_catalog.SOURCE_CLASSES`, -1 for a fake), ``latitude`` in deg,
        ``significance`` (the expected one of the source, 0 for fakes), ``ts`` (that of the fit),
        ``has_background`` and ``fault`` (see `~gammapy_asid.simulation.faulty_patches.FAULTS`).
    numbers : `~numpy.ndarray`
        Numbers of the fit, the spectrum and the variability as the network sees them, ``(n, n_numbers)``.
    logits : dict of `~gammapy_asid.tasks.classification.model.ClassLogits`
        Calibrated logits by the number of bins of time.
    n_true : `~numpy.ndarray`
        True sources of an expected significance above 2 in each patch, ``(n_patches,)``.
    """

    rows: dict
    numbers: np.ndarray
    logits: dict
    n_true: np.ndarray

    def select(self, chosen):
        """Some of the candidates; the patches stay.

        Parameters
        ----------
        chosen : `~numpy.ndarray`
            Mask or indices.
        """
        rows = {name: value[chosen] for name, value in self.rows.items()}
        logits = {
            n_bins: ClassLogits(**{name: value[chosen] for name, value in vars(own).items()})
            for n_bins, own in self.logits.items()
        }
        return JudgedCandidates(rows, self.numbers[chosen], logits, self.n_true)

    def save(self, path, settings):
        """Keep in a file of NumPy.

        Parameters
        ----------
        path : path
            File.
        settings : dict
            What it depends on.
        """
        columns = {f"row.{name}": value for name, value in self.rows.items()}
        for n_bins, own in self.logits.items():
            columns |= {f"logit.{n_bins}.{name}": value for name, value in vars(own).items()}
        with open(path, "wb") as file:
            np.savez(file, settings=json.dumps(settings), numbers=self.numbers, n_true=self.n_true, **columns)

    @classmethod
    def load(cls, path, settings):
        """Read from a file.

        Parameters
        ----------
        path, settings
            See `save`.

        Raises
        ------
        ValueError
            If the file holds candidates of other settings.
        """
        with np.load(path) as file:
            content = dict(file)
        found = json.loads(str(content.pop("settings")))
        if found != json.loads(json.dumps(settings)):
            raise ValueError(f"{path} holds candidates of {found}: choose another file with --candidates")
        rows = {name[4:]: value for name, value in content.items() if name.startswith("row.")}
        bins = sorted({int(name.split(".")[1]) for name in content if name.startswith("logit.")})
        names = ("real", "classes", "fsrq", "outside")
        logits = {n: ClassLogits(**{name: content[f"logit.{n}.{name}"] for name in names}) for n in bins}
        return cls(rows, content["numbers"], logits, content["n_true"])


def fit_ts(scalars, n_bands):
    """Test statistic of the fits, all bands together.

    Parameters
    ----------
    scalars : `~torch.Tensor`
        Numbers of the fit, see `~gammapy_asid.tasks.measurement.features.SourceFeatures`.
    n_bands : int
        Energy bands.

    Returns
    -------
    ts : `~numpy.ndarray`
        Shape ``(n,)``.
    """
    # Roots of those of the bands are compressed by twice the inverse hyperbolic sine of a quarter
    root = 4 * torch.sinh(scalars[:, 2 * n_bands : 3 * n_bands].double() / 2)
    return (root**2).sum(1).cpu().numpy()


def merged(n_bins, into):
    """Assignment of bins of time to fewer ones, see `CandidateStamps.merged`.

    Parameters
    ----------
    n_bins, into : int
        Numbers of bins; the second divides the first.
    """
    return torch.arange(n_bins) // (n_bins // into)


def judged(model, stamps, into, given=False):
    """Calibrated logits of candidates by the number of bins of time.

    Parameters
    ----------
    model : `~gammapy_asid.tasks.classification.model.ClassificationModel`
        Classifier.
    stamps : `~gammapy_asid.tasks.classification.stamps.CandidateStamps`
        Candidates.
    into : tuple of int
        Numbers of bins.
    given : bool
        Whether the positions were given.

    Returns
    -------
    logits : dict of `~gammapy_asid.tasks.classification.model.ClassLogits`
        By number of bins.
    """
    n_bins, logits = stamps.counts.shape[1], {}
    for number in into:
        own = stamps.merged(merged(n_bins, number).to(stamps.scalars.device)) if number < n_bins else stamps
        logits[number] = model.calibrated(*network_output(model.network, own), mode_of(number, given))
    return logits


def simulate(model, detector, simulator, n_patches, seed, n_bins=20, into=(20, 10, 5, 1)):
    """Draw patches, find candidates and classify them.

    Parameters
    ----------
    model : `~gammapy_asid.tasks.classification.model.ClassificationModel`
        Classifier.
    detector : `~gammapy_asid.tasks.detection.model.DetectionModel`
        Detector.
    simulator : `~gammapy_asid.simulation.lat_patches.LatSimulator`
        Simulator of the patches.
    n_patches : int
        Patches, rounded up to full batches.
    seed : int
        Seed.
    n_bins : int
        Bins of time that are drawn.
    into : tuple of int
        Numbers of bins to which these are merged for the classifier, each a divisor.

    Returns
    -------
    candidates : `JudgedCandidates`
        Candidates.
    """
    rng, parts = np.random.default_rng((FIRST_SEED, seed, 1)), []
    simulator = simulator.to(detector.device)
    for number in range(-(-n_patches // BATCH)):
        instrument = int(rng.choice(len(simulator.weights), p=simulator.weights))
        patches = simulator.draw(BATCH, (FIRST_SEED, seed, 2, number), instrument)
        parts.append(_of_patches(model, detector, simulator, patches, instrument, rng, n_bins, into))
    first = np.cumsum([0] + [len(part.n_true) for part in parts])
    for part, start in zip(parts, first, strict=False):
        part.rows["patch"] = part.rows["patch"] + start
    rows = {name: np.concatenate([part.rows[name] for part in parts]) for name in parts[0].rows}
    logits = {
        n: ClassLogits(
            **{
                name: np.concatenate([getattr(part.logits[n], name) for part in parts])
                for name in vars(parts[0].logits[n])
            }
        )
        for n in into
    }
    numbers, n_true = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("numbers", "n_true")
    )
    return JudgedCandidates(rows, numbers, logits, n_true)


def _of_patches(model, detector, simulator, patches, instrument, rng, n_bins, into):
    response = simulator.bank.responses[instrument]
    tables = psf_tables(response).to(detector.device)
    on_host = patches.to("cpu")
    found = detected_candidates(detector, on_host)
    time = SplitTime(patches, tables, rng, n_bins)
    place = (found[name] for name in ("field", "x", "y"))
    stamps = candidate_stamps(patches.batch, response, *place, found["score"], found["sigma"], time, tables)
    visible = visible_sources(on_host, DETECTABLE)
    n_true = torch.bincount(on_host.patch[visible], minlength=len(on_host.batch)).numpy()
    numbers = class_inputs(stamps.merged(merged(n_bins, max(into)).to(detector.device))).numbers
    rows = _truth(on_host, found) | {"ts": fit_ts(stamps.scalars, len(simulator.bands))}
    return JudgedCandidates(rows, numbers.cpu().numpy(), judged(model, stamps, into), n_true)


def _truth(patches, found):
    """Columns of `JudgedCandidates.rows` of the candidates of patches."""
    field, true = found["field"], found["true"]
    is_fake, n = true < 0, len(patches.batch)

    def of_source(values, default):
        return np.where(is_fake, default, values.numpy()[true]) if len(values) else default

    latitude = np.nan_to_num(patches.latitude.numpy())
    sources = patches.patch.numpy()
    mean = np.bincount(sources, latitude, n) / np.maximum(np.bincount(sources, minlength=n), 1)
    fault = getattr(patches, "fault", None)
    return {
        "patch": field,
        "score": found["score"],
        "source_class": of_source(patches.source_class, -1),
        "latitude": of_source(patches.latitude, mean[field]),
        "significance": of_source(patches.significance, 0.0),
        "has_background": patches.batch.has_background.numpy()[field],
        "fault": np.full(len(field), -1) if fault is None else fault.numpy()[field],
    }


def simulated(path, settings, make):
    """Candidates of a file; where there is none, they are made and kept there.

    Parameters
    ----------
    path : path
        File.
    settings : dict
        What they depend on.
    make : callable
        Makes them.
    """
    if not Path(path).exists():
        make().save(path, settings)
    return JudgedCandidates.load(path, settings)
