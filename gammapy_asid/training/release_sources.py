# Licensed under a 3-clause BSD style license - see LICENSE
"""From simulated sources to ensembles that ship: training, calibration, metrics, card."""

from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import product

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from ..evaluation.uncertainty import fit_additive, mahalanobis2
from ..networks.ensembles import Moments, ensemble_moments
from ..networks.source_features import SourceFeatures, fitted_significance
from ..networks.source_model import (
    EMPTY_LEVELS,
    FLUX_LEVELS,
    PARTS,
    POSITION_LEVELS,
    SPREADS,
    WIDE,
    calibrated_quantiles,
    calibration_key,
    flux_quantiles,
    flux_significance,
    flux_variables,
)
from ..weights import EnsembleCard, ensemble_path, load_card, model_files, save_model
from ..work_folder import WorkFolder
from .ensembles import FluxTask, PositionTask, flux_weights, train_ensemble
from .sources import SimulatedSources, simulate_sources

__all__ = [
    "FluxPredictions",
    "calibrate_flux",
    "calibrate_position",
    "position_errors",
    "predict_fluxes",
    "release_sources",
    "significances",
    "simulated_sources",
]

# Seeds of training, calibration and test; those of the detection model differ.
SEEDS = {"train": 2**34, "calibration": 2**35, "test": 2**36}
# Patches in a file: what an interruption loses at most.
CHUNK = 1000
MODES = ("detected", "given")


def simulated_sources(model, simulator, n_patches, seed, folder, overwrite=False):
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
    overwrite : bool
        Replace what the folder holds of another model or simulator.

    Returns
    -------
    sources : `~gammapy_asid.training.sources.SimulatedSources`
        Sources.

    Raises
    ------
    ValueError
        If the folder holds the sources of another model or simulator.
    """
    record = {"model": model.card, "simulator": simulator, "patches": n_patches, "seed": seed}
    work = WorkFolder(folder, f"sources_{seed}", record, overwrite)
    sizes = [min(CHUNK, n_patches - start) for start in range(0, n_patches, CHUNK)]
    return SimulatedSources.cat(
        [simulated_chunk(model, simulator, n, seed, work, chunk) for chunk, n in enumerate(sizes)]
    )


def simulated_chunk(model, simulator, n_patches, seed, work, chunk):
    """One file of `simulated_sources`, simulated if it is not there as it was written."""
    name = f"sources_{seed}_{chunk:03d}.safetensors"
    if work.find(name) is None:
        drawn = list(simulate_sources(model, simulator, n_patches, seed + chunk))
        if not drawn:
            raise ValueError(
                f"The model finds nothing in {n_patches} simulated patches: "
                "train it longer, or take more patches"
            )
        with work.new_file(name) as temporary:
            save_file(_to_tensors(SimulatedSources.cat(drawn)), temporary)
    return _from_tensors(load_file(work.folder / name))


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
    return Moments(*(torch.cat(columns) for columns in zip(*(vars(p).values() for p in parts), strict=True)))


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
    covariance : `~numpy.ndarray`
        In deg2, shape ``(n, 2, 2)``.
    variables : tuple of `~numpy.ndarray`
        What the calibration depends on: the predicted error in deg and the significance of the fit.
    """
    moments = _predict(ensemble, sources.features.flat())
    unit = sources.features.scale * sources.pixel_size
    delta = sources.offset * sources.pixel_size[:, None] - moments.mean * unit[:, None]
    covariance = moments.covariance * unit[:, None, None] ** 2
    delta, covariance = delta.double().numpy(), covariance.double().numpy()
    # One image of residuals per band.
    significance = fitted_significance(sources.features, len(sources.features.images)).double().numpy()
    return delta, covariance, (np.linalg.det(covariance) ** 0.25, significance)


@dataclass
class FluxPredictions:
    """Fluxes of sources in one range of energies, as an ensemble predicts them; arrays of shape ``(n,)``.

    Parameters
    ----------
    moments : `~gammapy_asid.networks.ensembles.Moments`
        Predictions on the learned scale.
    start, width, log_unit : `~numpy.ndarray`
        That scale, see `~gammapy_asid.networks.spectral_fit.FluxScale`.
    true : `~numpy.ndarray`
        True flux on the scale ``asinh(F / 2 s)``, 0 at empty places.
    wide : `~numpy.ndarray`
        Whether the range of energies is wider than a factor `WIDE`.
    """

    moments: Moments
    start: np.ndarray
    width: np.ndarray
    log_unit: np.ndarray
    true: np.ndarray
    wide: np.ndarray

    def pulls(self, spread):
        """Deviations in units of the predicted spread, and the variables of their calibration."""
        variance = self.moments.covariance if spread == SPREADS[0] else self.moments.epistemic
        mean, variance = (v.double().numpy() for v in (self.moments.mean[:, 0], variance[:, 0, 0]))
        centre, sigma = self.start + mean * self.width, np.sqrt(variance) * self.width
        return (self.true - centre) / sigma, flux_variables(centre, sigma, self.log_unit)

    def quantiles(self, calibration, given, spread, zero):
        """Calibrated fluxes, see `~gammapy_asid.networks.source_model.flux_quantiles`.

        Parameters
        ----------
        calibration : dict
            Calibration of a card.
        given : `~numpy.ndarray`
            Whether the position was given, bool.
        spread : {"mean-variance", "ensemble"}
            Way to the uncertainty.
        zero : `~numpy.ndarray`
            Whether the intervals of 68 % and of 95 % begin at zero where the position was given, bool of
            shape ``(2, n)``.
        """
        result = np.full((len(self.true), len(FLUX_LEVELS)), np.nan)
        for mode, wide in product(MODES, (False, True)):
            own = (given == (mode == "given")) & (self.wide == wide)
            moments = Moments(*(value[torch.from_numpy(own)] for value in vars(self.moments).values()))
            key = calibration_key(spread, mode, wide)
            scale = (self.start[own], self.width[own], self.log_unit[own])
            of_given = zero[:, own] if mode == "given" else None
            result[own] = flux_quantiles(calibration, key, moments, spread, *scale, zero=of_given)
        return result


def significances(ensemble, sources, responses, chunk=4096):
    """Significances of simulated sources, see `~gammapy_asid.networks.source_model.flux_significance`.

    Parameters
    ----------
    ensemble : `~gammapy_asid.networks.ensembles.Ensemble`
        Ensemble for fluxes.
    sources : `~gammapy_asid.training.sources.SimulatedSources`
        Sources.
    responses : list of `~gammapy_asid.inputs.Response`
        Instruments of the simulation.
    chunk : int
        Sources in a part.

    Returns
    -------
    significance : `~numpy.ndarray`
        Shape ``(n,)``, NaN for detected sources.
    """
    result = np.full(len(sources), np.nan)
    for instrument, response in enumerate(responses):
        own = torch.nonzero(sources.given & (sources.instrument == instrument))[:, 0]
        for part in own.split(chunk):
            result[part.numpy()] = flux_significance(ensemble, sources.features.select(part), response)
    return result


def predict_fluxes(ensemble, sources, which):
    """Fluxes of an ensemble for simulated sources.

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
    predictions : `FluxPredictions`
        Predictions.
    """
    inputs = torch.cat([sources.features.flat(), sources.range_inputs[:, which]], 1)
    start, width, coordinate, log_unit = (
        getattr(sources, f"range_{name}")[:, which].double().numpy()
        for name in ("start", "width", "coordinate", "log_unit")
    )
    true = np.where(sources.empty.numpy(), 0.0, np.maximum(start + coordinate * width, 1e-6))
    energies = sources.range_inputs[:, which, :2].numpy()
    return FluxPredictions(
        _predict(ensemble, inputs),
        start,
        width,
        log_unit,
        true,
        energies[:, 1] - energies[:, 0] > np.log(WIDE),
    )


def calibrate_position(ensemble, calibration, test, responses):
    """Calibration of the position ellipses, and how they do on other simulations.

    Parameters
    ----------
    ensemble : `~gammapy_asid.networks.ensembles.Ensemble`
        Ensemble for positions.
    calibration, test : `~gammapy_asid.training.sources.SimulatedSources`
        Sources for either.
    responses : list of `~gammapy_asid.inputs.Response`
        Instruments of the simulation.

    Returns
    -------
    fields : dict
        Fields ``levels``, ``calibration`` and ``metrics`` of the card.
    """
    calibration, test = (sources.select(~sources.given) for sources in (calibration, test))

    delta, covariance, variables = position_errors(ensemble, calibration)
    fitted = fit_additive(mahalanobis2(delta, covariance), variables, POSITION_LEVELS)
    rows = _named_rows("detected", fitted)
    delta, covariance, variables = position_errors(ensemble, test)
    inside = mahalanobis2(delta, covariance)[:, None] <= calibrated_quantiles(rows, "detected", variables)
    offset = np.linalg.norm(delta, axis=1)
    metrics = {
        f"coverage_{100 * level:.0f}": round(float(v), 4)
        for level, v in zip(POSITION_LEVELS, inside.mean(0), strict=True)
    }
    metrics |= {"offset_median_deg": round(float(np.median(offset)), 4), "n": len(offset)}
    return {"levels": POSITION_LEVELS, "calibration": rows, "metrics": metrics}


def calibrate_flux(ensemble, calibration, test, responses):
    """Calibration of the flux intervals, and how they do on other simulations.

    Parameters
    ----------
    ensemble : `~gammapy_asid.networks.ensembles.Ensemble`
        Ensemble for fluxes.
    calibration, test : `~gammapy_asid.training.sources.SimulatedSources`
        Sources for either.
    responses : list of `~gammapy_asid.inputs.Response`
        Instruments of the simulation.

    Returns
    -------
    fields : dict
        Fields ``levels``, ``calibration``, ``empty_significance`` and ``metrics`` of the card.
    """
    fields = {"levels": FLUX_LEVELS, "calibration": {}, "metrics": {}}
    nothing = significances(ensemble, calibration.select(calibration.empty), responses)
    if not len(nothing):
        raise ValueError("No empty place was simulated: simulate more patches")
    largest = np.quantile(nothing, EMPTY_LEVELS).round(4)
    fields["empty_significance"] = tuple(largest.tolist())
    calibration = calibration.select(~calibration.empty)
    fit, check = (
        [predict_fluxes(ensemble, sources, i) for i in range(sources.range_coordinate.shape[1])]
        for sources in (calibration, test)
    )
    weight = flux_weights(calibration.significance, calibration.given).numpy()
    for spread, mode, wide in product(SPREADS, MODES, (False, True)):
        key = calibration_key(spread, mode, wide)
        chosen = [(calibration.given.numpy() == (mode == "given")) & (p.wide == wide) for p in fit]
        pulls, variables = zip(*(p.pulls(spread) for p in fit), strict=True)
        pull = _chosen(pulls, chosen)
        variables = [_chosen(columns, chosen) for columns in zip(*variables, strict=True)]
        parts = fit_additive(pull, variables, FLUX_LEVELS[:-1])
        middle = fit_additive(pull, variables, FLUX_LEVELS[-1:], weights=_chosen([weight] * len(fit), chosen))
        rows = [np.column_stack([part, extra[:, 1]]) for part, extra in zip(parts, middle, strict=True)]
        fields["calibration"] |= _named_rows(key, rows)
    zero = significances(ensemble, test, responses) <= largest[:, None]
    for spread in SPREADS:
        given = test.given.numpy()
        quantiles = [p.quantiles(fields["calibration"], given, spread, zero) for p in check]
        for mode, wide in product(MODES, (False, True)):
            chosen = [(given == (mode == "given")) & (p.wide == wide) for p in check]
            own, true = _chosen(quantiles, chosen), _chosen([p.true for p in check], chosen)
            inside68, inside95 = (
                (true >= own[:, low]) & (true <= own[:, high]) for low, high in ((1, 2), (0, 3))
            )
            # Empty places apart: how many there are among the given positions is up to the user.
            for name, some in (("", true > 0), (" empty", true == 0)):
                if some.any():
                    fields["metrics"][calibration_key(spread, mode, wide) + name] = {
                        "coverage_68": round(float(inside68[some].mean()), 4),
                        "coverage_95": round(float(inside95[some].mean()), 4),
                        "n": int(some.sum()),
                    }
    return fields


def _chosen(columns, chosen):
    """Rows of arrays, one array per range of energies."""
    return np.concatenate([column[own] for column, own in zip(columns, chosen, strict=True)])


def _named_rows(key, parts):
    """Entries of a card's calibration."""
    return {
        key + part: tuple(tuple(round(float(v), 5) for v in row) for row in rows)
        for part, rows in zip(PARTS, parts, strict=False)
    }


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

    Raises
    ------
    FileExistsError
        If they exist and `overwrite` is False.
    ValueError
        If the folder holds the ensembles of another model, recipe or simulator.
    """
    record = {"model": model.card, "recipe": recipe, "simulator": simulator}
    work = WorkFolder(output, "ensembles", record, overwrite)
    paths = {kind: model_files(ensemble_path(weights, kind)) for kind in TASKS}
    work.claim([path for files in paths.values() for path in files])
    finished = [kind for kind in TASKS if work.is_finished(paths[kind])]
    if len(finished) == len(TASKS) and not overwrite:
        raise FileExistsError(
            f"{paths['flux'][0]} exists: choose another name or overwrite it (overwrite=True, --overwrite)"
        )
    n = recipe.sources.patches
    # Rare bright sources need many patches to be calibrated.
    numbers = {"train": n, "calibration": max(1, n // 2), "test": max(1, n // 4)}
    sets = {
        name: simulated_sources(model, simulator, numbers[name], seed + recipe.seed, output, overwrite)
        for name, seed in SEEDS.items()
        if len(finished) < len(TASKS)
    }
    cards = {}
    for kind, (task, calibrate) in TASKS.items():
        if kind in finished:
            cards[kind] = load_card(paths[kind][0], EnsembleCard)
            continue
        ensemble = train_ensemble(
            task(sets["train"]),
            recipe.sources,
            output,
            seed=recipe.seed,
            progress=progress,
            overwrite=overwrite,
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
            background=card.background,
            intensity=card.intensity,
            beyond_bands=card.beyond_bands,
            detection_sha256=card.weights_sha256,
            recipe=recipe.model_dump(mode="json"),
            recipe_sha256=recipe.sha256,
            package_version=version("gammapy-asid"),
            **calibrate(ensemble, sets["calibration"], sets["test"], simulator.bank.responses),
        )
        cards[kind] = save_model(paths[kind][0], state, card, overwrite=True)
        work.finish(paths[kind])
    return cards
