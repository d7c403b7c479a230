# Licensed under a 3-clause BSD style license - see LICENSE
"""From simulated sources to ensembles that ship: training, calibration, metrics, card."""

from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import product
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from ..evaluation.uncertainty import apply_quantiles, fit_quantiles, mahalanobis2
from ..files import new_file
from ..networks.ensembles import ensemble_moments
from ..networks.source_features import SourceFeatures
from ..networks.source_model import FLUX_LEVELS, POSITION_LEVELS, SPREADS, WIDE, calibration_key
from ..weights import EnsembleCard, ensemble_path, save_model
from .ensembles import FluxTask, PositionTask, flat_weights, train_ensemble
from .sources import SimulatedSources, simulate_sources

__all__ = ["calibrate_flux", "calibrate_position", "release_sources", "simulated_sources"]

# Seeds of training, calibration and test; those of the detection model differ.
SEEDS = {"train": 2**34, "calibration": 2**35, "test": 2**36}
# Patches in a file: what an interruption loses at most.
CHUNK = 1000
MODES = ("detected", "given")


def simulated_sources(model, simulator, n_patches, seed, folder):
    """Simulated sources, kept in a folder so that an interrupted simulation goes on.

    Parameters
    ----------
    model : `~gammapy_asid.networks.DetectionModel`
        Detection model.
    simulator : `~gammapy_asid.training.patches.Simulator`
        Simulator of patches.
    n_patches : int
        Number of patches.
    seed : int
        Seed.
    folder : path
        Folder of the files.

    Returns
    -------
    sources : `~gammapy_asid.training.sources.SimulatedSources`
        Sources.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    sizes = [min(CHUNK, n_patches - start) for start in range(0, n_patches, CHUNK)]
    return SimulatedSources.cat(
        [simulated_chunk(model, simulator, n, seed, folder, chunk) for chunk, n in enumerate(sizes)]
    )


def simulated_chunk(model, simulator, n_patches, seed, folder, chunk):
    """One file of `simulated_sources`, simulated if it is not there."""
    path = folder / f"sources_{seed}_{chunk:03d}.safetensors"
    if not path.exists():
        drawn = SimulatedSources.cat(list(simulate_sources(model, simulator, n_patches, seed + chunk)))
        with new_file(path) as temporary:
            save_file(_to_tensors(drawn), temporary)
    return _from_tensors(load_file(path))


def _to_tensors(sources):
    tensors = {name: value for name, value in vars(sources).items() if name != "features"}
    features = dict(vars(sources.features))
    images = {f"features.images.{i}": image for i, image in enumerate(features.pop("images"))}
    tensors |= {f"features.{name}": value for name, value in features.items()} | images
    return {name: value.contiguous() for name, value in tensors.items()}


def _from_tensors(tensors):
    features = {k.removeprefix("features."): v for k, v in tensors.items() if k.startswith("features.")}
    images = [features.pop(f"images.{i}") for i in range(sum(k.startswith("images.") for k in features))]
    rest = {k: v for k, v in tensors.items() if not k.startswith("features.")}
    return SimulatedSources(SourceFeatures(**features, images=images), **rest)


@torch.inference_mode()
def _predict(ensemble, inputs, chunk=4096):
    """Moments of the predictions, computed in parts."""
    parts = [ensemble_moments(*ensemble(part)) for part in inputs.split(chunk)]
    return tuple(torch.cat([getattr(p, name) for p in parts]) for name in ("mean", "aleatoric", "epistemic"))


def position_errors(ensemble, sources):
    """Deviations of refined positions from the truth, and their stated covariance.

    Parameters
    ----------
    ensemble : `~gammapy_asid.networks.ensembles.Ensemble`
        Ensemble for positions.
    sources : `~gammapy_asid.training.sources.SimulatedSources`
        Sources.

    Returns
    -------
    delta : `~numpy.ndarray`
        True minus refined position in deg, shape ``(n, 2)``.
    aleatoric, epistemic : `~numpy.ndarray`
        Covariances in deg2, shape ``(n, 2, 2)``.
    """
    mean, aleatoric, epistemic = _predict(ensemble, sources.features.flat())
    unit = sources.features.scale * sources.pixel_size
    delta = sources.offset * sources.pixel_size[:, None] - mean * unit[:, None]
    square = unit[:, None, None] ** 2
    return tuple(v.double().numpy() for v in (delta, aleatoric * square, epistemic * square))


def flux_errors(ensemble, sources, which):
    """Deviations of fluxes from the truth on the learned scale, and their stated spread.

    Parameters
    ----------
    ensemble : `~gammapy_asid.networks.ensembles.Ensemble`
        Ensemble for fluxes.
    sources : `~gammapy_asid.training.sources.SimulatedSources`
        Sources.
    which : int
        Range of energies.

    Returns
    -------
    delta : `~numpy.ndarray`
        True minus predicted coordinate, shape ``(n,)``.
    aleatoric, epistemic : `~numpy.ndarray`
        Variances, shape ``(n,)``.
    """
    inputs = torch.cat([sources.features.flat(), sources.range_inputs[:, which]], 1)
    mean, aleatoric, epistemic = _predict(ensemble, inputs)
    delta = sources.range_coordinate[:, which] - mean[:, 0]
    return tuple(v.double().numpy() for v in (delta, aleatoric[:, 0, 0], epistemic[:, 0, 0]))


def calibrate_position(ensemble, calibration, test):
    """Calibration of the position ellipses, and how they do on other simulations.

    Parameters
    ----------
    ensemble : `~gammapy_asid.networks.ensembles.Ensemble`
        Ensemble for positions.
    calibration, test : `~gammapy_asid.training.sources.SimulatedSources`
        Sources for either.

    Returns
    -------
    fields : dict
        Fields ``levels``, ``calibration`` and ``metrics`` of the card.
    """
    calibration, test = (sources.select(~sources.given) for sources in (calibration, test))

    def pulls(sources):
        delta, aleatoric, epistemic = position_errors(ensemble, sources)
        covariance = aleatoric + epistemic
        return delta, mahalanobis2(delta, covariance), np.linalg.det(covariance) ** 0.25

    _, distance2, spread = pulls(calibration)
    rows = fit_quantiles(distance2, spread, POSITION_LEVELS)
    delta, distance2, spread = pulls(test)
    inside = distance2[:, None] <= apply_quantiles(rows, spread)
    offset = np.linalg.norm(delta, axis=1)
    metrics = {
        f"coverage_{100 * level:.0f}": round(float(v), 4)
        for level, v in zip(POSITION_LEVELS, inside.mean(0), strict=True)
    }
    metrics |= {"offset_median_deg": round(float(np.median(offset)), 4), "n": len(offset)}
    return {"levels": POSITION_LEVELS, "calibration": {"detected": _rows(rows)}, "metrics": metrics}


def calibrate_flux(ensemble, calibration, test):
    """Calibration of the flux intervals, and how they do on other simulations.

    Parameters
    ----------
    ensemble : `~gammapy_asid.networks.ensembles.Ensemble`
        Ensemble for fluxes.
    calibration, test : `~gammapy_asid.training.sources.SimulatedSources`
        Sources for either.

    Returns
    -------
    fields : dict
        Fields ``levels``, ``calibration`` and ``metrics`` of the card.
    """
    fields = {"levels": FLUX_LEVELS, "calibration": {}, "metrics": {}}
    fit, check = (_flux_pulls(ensemble, sources) for sources in (calibration, test))
    for spread, mode, wide in product(SPREADS, MODES, (False, True)):
        own, other = ((p.given == (mode == "given")) & (p.wide == wide) for p in (fit, check))
        sigma = fit.sigma[spread]
        pull, width = (fit.delta / sigma)[own], (sigma * fit.unit)[own]
        rows = fit_quantiles(pull, width, FLUX_LEVELS[:-1])
        # The estimate is the median with sources of all brightnesses counting alike.
        middle = fit_quantiles(pull, width, FLUX_LEVELS[-1:], weights=fit.weight[own])
        rows = np.column_stack([rows, middle[:, 1]])
        sigma = check.sigma[spread]
        pull = (check.delta / sigma)[other]
        quantiles = apply_quantiles(rows, (sigma * check.unit)[other])
        inside68, inside95 = (
            (pull >= quantiles[:, low]) & (pull <= quantiles[:, high]) for low, high in ((1, 2), (0, 3))
        )
        key = calibration_key(spread, mode, wide)
        fields["calibration"][key] = _rows(rows)
        fields["metrics"][key] = {
            "coverage_68": round(float(inside68.mean()), 4),
            "coverage_95": round(float(inside95.mean()), 4),
            "n": int(other.sum()),
        }
    return fields


@dataclass
class _FluxPulls:
    """Deviations of fluxes in all ranges of energies, arrays of shape ``(n,)``."""

    delta: np.ndarray
    sigma: dict
    unit: np.ndarray
    given: np.ndarray
    wide: np.ndarray
    weight: np.ndarray


def _flux_pulls(ensemble, sources):
    n_ranges = sources.range_coordinate.shape[1]
    delta, aleatoric, epistemic = (
        np.concatenate(column)
        for column in zip(*(flux_errors(ensemble, sources, i) for i in range(n_ranges)), strict=True)
    )
    energies = sources.range_inputs[:, :, :2].numpy()
    weight = flat_weights(sources.significance, sources.given).numpy()
    return _FluxPulls(
        delta,
        dict(zip(SPREADS, (np.sqrt(aleatoric + epistemic), np.sqrt(epistemic)), strict=True)),
        sources.range_width.T.flatten().numpy(),
        np.tile(sources.given.numpy(), n_ranges),
        (energies[..., 1] - energies[..., 0] > np.log(WIDE)).T.flatten(),
        np.tile(weight, n_ranges),
    )


def _rows(rows):
    return tuple(tuple(round(float(v), 5) for v in row) for row in rows)


TASKS = {"position": (PositionTask, calibrate_position), "flux": (FluxTask, calibrate_flux)}


def release_sources(model, weights, recipe, simulator, output, overwrite=False, progress=True):
    """Train, calibrate and write the ensembles of a detection model.

    Parameters
    ----------
    model : `~gammapy_asid.networks.DetectionModel`
        Detection model.
    weights : path
        Its weight file; the ensembles are written beside it.
    recipe : `~gammapy_asid.training.Recipe`
        Recipe.
    simulator : `~gammapy_asid.training.patches.Simulator`
        Simulator of the training.
    output : path
        Folder of simulated sources and checkpoints.
    overwrite : bool
        Replace existing files.
    progress : bool
        Show progress bars.

    Returns
    -------
    cards : dict of `~gammapy_asid.weights.EnsembleCard`
        Card of each ensemble.
    """
    n = recipe.sources.patches
    sets = {
        name: simulated_sources(
            model, simulator, n if name == "train" else max(1, n // 4), seed + recipe.seed, Path(output)
        )
        for name, seed in SEEDS.items()
    }
    cards = {}
    for kind, (task, calibrate) in TASKS.items():
        ensemble = train_ensemble(
            task(sets["train"]), recipe.sources, output, seed=recipe.seed, progress=progress
        )
        state = {name: value.half() for name, value in ensemble.state_dict().items()}
        # What is calibrated is what ships: weights in half precision.
        ensemble.load_state_dict({name: value.float() for name, value in state.items()})
        card = model.card
        card = EnsembleCard(
            name=card.name,
            kind=kind,
            version=version("gammapy-asid"),
            architecture=asdict(ensemble.config),
            bands=card.bands,
            pixel_size=card.pixel_size,
            psf_r68=card.psf_r68,
            exposure=card.exposure,
            detection_sha256=card.weights_sha256,
            recipe=recipe.model_dump(mode="json"),
            recipe_sha256=recipe.sha256,
            package_version=version("gammapy-asid"),
            **calibrate(ensemble, sets["calibration"], sets["test"]),
        )
        cards[kind] = save_model(ensemble_path(weights, kind), state, card, overwrite=overwrite)
    return cards
