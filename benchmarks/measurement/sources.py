# Licensed under a 3-clause BSD style license - see LICENSE
"""Positions and fluxes of simulated sources that no training and no calibration saw.

The recipe's emission bank must be where the recipe says; ``--unseen`` is a bank whose model ``p6v11`` makes a
second sky.
"""

from dataclasses import dataclass

import numpy as np
import torch

from gammapy_asid.learning.interval_calibration import mahalanobis2
from gammapy_asid.learning.recipe import read_recipe
from gammapy_asid.simulation import EmissionBank
from gammapy_asid.tasks.detection.model import DetectionModel
from gammapy_asid.tasks.detection.simulator import build_simulator
from gammapy_asid.tasks.measurement.calibration import POSITION_LEVELS, SPREADS, calibrated_quantiles
from gammapy_asid.tasks.measurement.model import SourceEnsemble
from gammapy_asid.tasks.measurement.predictions import position_errors, predict_fluxes, significances
from gammapy_asid.tasks.measurement.simulator import SimulatedSources, simulate_sources
from gammapy_asid.tasks.measurement.source_sets import simulated_sources

from ..common import arguments, rows_to_markdown, write
from .sources_figure import figure
from .sources_tables import coverage_rows, flux_rows, position_rows

__all__ = ["FluxResult", "PositionResult", "flux_result", "position_result"]

NEEDS = "the recipe's emission bank, hours"

SEED = 2**40
#: Bins of S1 (1-100 GeV): half decades.
HALF_DECADES = 2e-10 * 10.0 ** np.arange(0, 2.6, 0.5)
UNSEEN = "p6v11"
#: Bins of the significance that sources have on average.
SIGNIFICANCES = (0.5, 2, 3, 4, 5, 7, 10, np.inf)
#: Columns of the tables.
POSITIONS = ["S1", "sources", "n", "median offset (deg)", "bound (deg)", "ratio"]
FLUXES = ["S1", "sources", "n", "median bias, true S1", "estimated S1", "scatter", "scatter over bound"]
EMPTY = ["range", "places", "n", "0 inside 68 %", "0 inside 95 %: limits", "flux over errn > 3"]
#: Ranges of energies of `SimulatedSources` in which the fluxes of empty places are measured.
RANGES = ("whole", "1-100 GeV", "one band")
#: Range of energies of the fluxes: the second of `SimulatedSources`, 1-100 GeV as far as the data go.
RANGE = 1


@dataclass
class PositionResult:
    """Refined positions of detected sources, arrays of shape ``(n,)``.

    Parameters
    ----------
    offset, bound : `~numpy.ndarray`
        Distance from the truth, and the median distance that the Cramer-Rao bound allows, in deg.
    inside : `~numpy.ndarray`
        Whether the ellipses of 68 % and 95 % hold the truth, shape ``(n, 2)``.
    distance2 : `~numpy.ndarray`
        Squared distance in units of the predicted covariance.
    """

    offset: np.ndarray
    bound: np.ndarray
    inside: np.ndarray
    distance2: np.ndarray


@dataclass
class FluxResult:
    """Fluxes of sources, arrays of shape ``(n,)``.

    Parameters
    ----------
    log_ratio : `~numpy.ndarray`
        Logarithm of estimated over true flux.
    log_flux : `~numpy.ndarray`
        Logarithm of the estimated flux.
    bound : `~numpy.ndarray`
        Relative error that the Cramer-Rao bound allows.
    inside : `~numpy.ndarray`
        Whether the intervals of 68 % and 95 % hold the truth, shape ``(n, 2)``.
    """

    log_ratio: np.ndarray
    log_flux: np.ndarray
    bound: np.ndarray
    inside: np.ndarray


def position_result(ensemble, sources):
    """Positions of an ensemble beside their truth."""
    delta, covariance, variables = position_errors(ensemble.network, sources)
    distance2 = mahalanobis2(delta, covariance)
    scale = calibrated_quantiles(ensemble.card.calibration, "detected", variables)
    bound = sources.bound[:, :2, :2].double().numpy() * sources.pixel_size.numpy()[:, None, None] ** 2
    # Of a round Gaussian with the same area: its median radius is 1.177 of its widths.
    median = np.sqrt(2 * np.log(2)) * np.linalg.det(bound) ** 0.25
    return PositionResult(np.linalg.norm(delta, axis=1), median, distance2[:, None] <= scale, distance2)


def flux_result(ensemble, sources, zero, which=RANGE, spread=SPREADS[0]):
    """Fluxes of an ensemble beside their truth; `zero` as for `FluxPredictions.quantiles`."""
    predictions = predict_fluxes(ensemble.network, sources, which)
    quantiles = predictions.quantiles(ensemble.card.calibration, sources.given.numpy(), spread, zero)
    low95, low, high, high95, _, estimate = quantiles.T
    true = predictions.true
    inside = np.stack([(true >= low) & (true <= high), (true >= low95) & (true <= high95)], axis=1)
    log_ratio = np.log(np.sinh(np.maximum(estimate, 1e-6)) / np.sinh(true))
    log_flux = np.log(2 * np.sinh(np.maximum(estimate, 1e-6))) + predictions.log_unit
    return FluxResult(log_ratio, log_flux, sources.range_bound[:, which].numpy(), inside)


def simulated(model, simulator, n_patches, seed, folder=None):
    """Sources of simulated skies."""
    if folder:
        return simulated_sources(model, simulator, n_patches, seed, folder)
    return SimulatedSources.cat(list(simulate_sources(model, simulator, n_patches, seed)))


def holds_zero(ensemble, sources, simulator):
    """Whether the intervals of 68 % and of 95 % begin at zero, bool of shape ``(2, n)``."""
    significance = significances(ensemble.network, sources, simulator.bank.responses)
    return significance <= np.array(ensemble.card.empty_significance)[:, None]


def empty_rows(ensemble, sources, zero):
    """Coverage of zero at empty places, overall and where it may be worse."""
    latitude = np.abs(sources.latitude.numpy())
    known, isolated = sources.has_background.numpy(), sources.isolated.numpy()
    cuts = {
        "all": np.ones(len(sources), bool),
        "background given": known,
        "not given": ~known,
        "not given, abs(b) < 5": ~known & (latitude < 5),
        "beside a source": ~isolated,
        "no source within 1 deg": isolated,
    }
    rows = []
    for which, energies in enumerate(RANGES):
        predictions = predict_fluxes(ensemble.network, sources, which)
        quantiles = predictions.quantiles(ensemble.card.calibration, sources.given.numpy(), SPREADS[0], zero)
        low95, low, _, _, _, estimate = np.sinh(quantiles.T)
        bright = estimate > 3 * (estimate - low)
        for cut, own in cuts.items():
            shares = ((low == 0)[own].mean(), (low95 == 0)[own].mean(), bright[own].mean())
            rows.append([energies, cut, f"{own.sum()}", *(f"{share:.3f}" for share in shares)])
    return rows


def limit_rows(ensemble, sources, simulator):
    """Share of the given sources that get a limit, by the significance that they have on average."""
    zero, significance = holds_zero(ensemble, sources, simulator)[1], sources.significance.numpy()
    rows = []
    for low, high in zip(SIGNIFICANCES[:-1], SIGNIFICANCES[1:], strict=True):
        own = (significance >= low) & (significance < high)
        rows.append([f"{low:g}-{high:g}", f"{own.sum()}", f"{zero[own].mean():.2f}"])
    return rows


def measure(ensembles, sources, found, given, simulator):
    """Tables of one sky by title, and the rows of coverage and of empty places.

    Parameters
    ----------
    ensembles : dict of `~gammapy_asid.tasks.measurement.model.SourceEnsemble`
        Ensembles for ``position`` and ``flux``.
    sources, found, given : `~gammapy_asid.tasks.measurement.simulator.SimulatedSources`
        All sources; the detected and the given ones of instruments that hold 1-100 GeV.
    simulator : `~gammapy_asid.simulation.lat_patches.LatSimulator`
        Simulator of the sky.
    """
    position, flux = ensembles["position"], ensembles["flux"]
    nothing, every = sources.select(sources.empty), sources.select(~sources.given)
    where, where_found = position_result(position, every), position_result(position, found)
    tables = {"Positions": rows_to_markdown(POSITIONS, position_rows(found, where_found, HALF_DECADES))}
    rows = coverage_rows("position", every, where.inside, every.flux.numpy())
    for name, part in {"detected": found, "given": given}.items():
        zero = holds_zero(flux, part, simulator)
        result = flux_result(flux, part, zero)
        tables[f"Fluxes, {name}"] = rows_to_markdown(FLUXES, flux_rows(part, result, HALF_DECADES))
        for spread in SPREADS:
            own = flux_result(flux, part, zero, spread=spread)
            rows += coverage_rows(f"flux, {name}, {spread}", part, own.inside, np.exp(own.log_flux))
            if spread == SPREADS[0]:
                label = f"flux, {name}, {spread}, true S1"
                rows += coverage_rows(label, part, own.inside, part.flux.numpy())[1:-2]
    header = ["what", "sources", "n", *(f"inside {level:.0%}" for level in POSITION_LEVELS)]
    tables["Coverage"] = rows_to_markdown(header, rows)
    empty = empty_rows(flux, nothing, holds_zero(flux, nothing, simulator))
    tables["Empty places"] = rows_to_markdown(EMPTY, empty)
    header = ["expected significance", "n", "limits"]
    tables["Limits of given sources"] = rows_to_markdown(header, limit_rows(flux, given, simulator))
    return tables, {"coverage": rows, "empty": empty}


def _covers(sources, simulator):
    """Sources of instruments that hold 1-100 GeV."""
    good = [np.nanmin(r.e_min) <= 1 and np.nanmax(r.e_max) >= 100 for r in simulator.bank.responses]
    return torch.tensor(good)[sources.instrument]


def parser():
    """Arguments."""
    own = arguments(__doc__, "sources", model="lat", recipe="lat")
    own.add_argument("--patches", type=int, default=6000, help="number of patches")
    own.add_argument("--folder", help="folder where simulated sources are kept, to go on or use again")
    own.add_argument("--unseen", help="emission bank with a model that no training saw")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    model, recipe = DetectionModel.load(args.model), read_recipe(args.recipe)
    ensembles = {kind: SourceEnsemble.load(args.model, kind) for kind in ("position", "flux")}
    simulator = build_simulator(recipe)
    skies = {"training emission": simulated(model, simulator, args.patches, SEED, args.folder)}
    if args.unseen:
        bank = EmissionBank.load(args.unseen)
        only = EmissionBank.from_models([bank[UNSEEN]])
        responses, weights = simulator.bank.responses, simulator.weights
        other = build_simulator(recipe, responses, weights, only)
        skies[f"emission {UNSEEN}"] = simulated(model, other, args.patches // 3, SEED + 1000, args.folder)
    lines, results, picture = [], {}, None
    for sky, sources in skies.items():
        # Fluxes in bins are those of 1-100 GeV, which data from higher energies do not hold.
        whole = sources.select(_covers(sources, simulator))
        found, given = whole.select(~whole.given), whole.select(whole.given & ~whole.empty)
        lines += [f"### {sky}: {len(found)} detected and {len(given)} given sources", ""]
        tables, results[sky] = measure(ensembles, sources, found, given, simulator)
        lines += [part for name, text in tables.items() for part in (name, "", text)]
        if picture is None:
            zero = holds_zero(ensembles["flux"], found, simulator)
            picture = figure(
                found,
                position_result(ensembles["position"], found),
                flux_result(ensembles["flux"], found, zero),
            )
    write(args.output, results, "\n".join(lines), picture)


if __name__ == "__main__":
    main()
