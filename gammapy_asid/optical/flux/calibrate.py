# Licensed under a 3-clause BSD style license - see LICENSE
"""From a trained ensemble to one whose errors are true, and figures of it."""

import numpy as np

from ...learning.seeds import PATCHES
from .bank import drawn_examples, image_weights
from .card import fit_intervals
from .model import OpticalFluxModel, predicted

__all__ = ["card_fields", "coverage_figures", "deviations", "tested_figures"]

#: Found sources in the square of the full width at half maximum that part the figures.
DENSITIES = (0.0, 0.01, 0.03, 0.1, 0.3, np.inf)


def deviations(network, examples):
    """Deviations of the truth from the predicted mean.

    Parameters
    ----------
    network : `~gammapy_asid.learning.ensembles.Ensemble`
        Ensemble.
    examples : `~gammapy_asid.optical.flux.simulator.FluxExamples`
        Sources.

    Returns
    -------
    pull : `~numpy.ndarray`
        In units of the predicted error, shape ``(n,)``.
    variables : tuple of `~numpy.ndarray`
        What the calibration depends on.
    """
    centre, error, variables = predicted(network, examples.features)
    true = np.arcsinh((examples.flux / (2 * examples.features.error)).double().numpy())
    return (true - centre) / error, variables


def card_fields(network, simulator, recipe):
    """Entries of the card that make the errors true.

    Parameters
    ----------
    network, simulator, recipe
        Trained ensemble, simulator and recipe.
    """
    examples = drawn_examples(simulator, recipe.calibration_images, PATCHES.calibration)
    pull, variables = deviations(network, examples)
    low, high = np.percentile(variables[1], [0.1, 99.9])
    return {
        "fwhm": recipe.fwhm,
        "significance": (float(low), float(high)),
        "calibration": fit_intervals(pull, variables, image_weights(examples)),
    }


def tested_figures(card, network, simulator, recipe):
    """Figures of a calibrated ensemble, by density.

    Parameters
    ----------
    card, network, simulator, recipe
        Card with its calibration, and those of the training.
    """
    model = OpticalFluxModel(card, network, "cpu")
    return coverage_figures(model, drawn_examples(simulator, recipe.test_images, PATCHES.test))


def coverage_figures(model, examples):
    """How often intervals hold the truth, and how far fluxes scatter, for stars, galaxies and densities.

    Parameters
    ----------
    model : `~gammapy_asid.optical.flux.model.OpticalFluxModel`
        Model.
    examples : `~gammapy_asid.optical.flux.simulator.FluxExamples`
        Sources that neither trained nor calibrated it.

    Returns
    -------
    figures : dict
        For ``all``, ``stars``, ``galaxies`` and intervals of the density: number, coverage of 68 %, half the
        width of the interval of 68 % of flux over truth, that of the fit, the median of both, and half that
        of the deviations in units of the Cramér-Rao bound.
    """
    low, flux, high = model.intervals(examples.features)
    true, fit = examples.flux.double().numpy(), examples.features.flux.double().numpy()
    bound = examples.features.error.double().numpy()
    galaxy, density = examples.galaxy.numpy(), examples.features.density.numpy()
    parts = {"all": np.ones(len(true), bool), "stars": ~galaxy, "galaxies": galaxy}
    for start, stop in zip(DENSITIES[:-1], DENSITIES[1:], strict=True):
        parts[f"{start:g}-{stop:g}"] = (density >= start) & (density < stop)
    figures = {}
    for name, own in parts.items():
        if own.sum() < 20:
            continue
        inside = (low[own] <= true[own]) & (true[own] <= high[own])
        learned, fitted = (np.percentile(v[own] / true[own], [16, 50, 84]) for v in (flux, fit))
        over_bound = np.percentile(((flux - true) / bound)[own], [16, 84])
        figures[name] = {
            "n": int(own.sum()),
            "coverage68": float(inside.mean()),
            "scatter": float(learned[2] - learned[0]) / 2,
            "scatter_fit": float(fitted[2] - fitted[0]) / 2,
            "median": float(learned[1]),
            "median_fit": float(fitted[1]),
            "over_bound": float(over_bound[1] - over_bound[0]) / 2,
        }
    return figures
