# Licensed under a 3-clause BSD style license - see LICENSE
"""Simulated sources with their features: what the ensembles learn from."""

from dataclasses import dataclass

import numpy as np
import torch

from ..networks.peaks import find_centres
from ..networks.rows import Rows
from ..networks.source_features import SourceFeatures
from ..networks.source_fit import position_information
from ..networks.source_model import FAINTEST_SCORE, GIVEN_ERROR, fit_batch
from ..networks.spectral_fit import flux_bound, flux_scale
from ..simulation.kernels import psf_tables
from ..simulation.spectra import photon_flux
from .module import claimed_sources, network_output, visible_sources

__all__ = ["SimulatedSources", "simulate_sources"]

# Expected significance from which a source is fitted at a given position.
FAINTEST_GIVEN = 0.5
# Sources narrower than this many nominal finest pixels are points.
POINT = 0.25
# Ranges of energies that the flux of each source is asked for.
N_RANGES = 4
# A source is isolated if no other of a fifth of its flux is nearer than this in nominal finest pixels.
ISOLATION, NEIGHBOUR_FLUX = 10.0, 0.2


@dataclass
class SimulatedSources(Rows):
    """Features of simulated sources with their truth, tensors with one row per source.

    Parameters
    ----------
    features : `~gammapy_asid.networks.source_features.SourceFeatures`
        Features.
    given : `~torch.Tensor`
        Whether the position was given, else the source was detected; bool.
    offset : `~torch.Tensor`
        True position minus the fitted one in finest pixels, shape ``(n, 2)``.
    range_inputs, range_coordinate, range_log_flux : `~torch.Tensor`
        For the ranges of energies: what the network is told, shape ``(n, N_RANGES, 6)``; the
        true flux on the learned scale, and its logarithm, shape ``(n, N_RANGES)``. The ranges: the
        whole, the middle, one band, and a random one.
    range_start, range_width : `~torch.Tensor`
        Zero point and unit of the learned scale, shape ``(n, N_RANGES)``.
    flux, significance, latitude : `~torch.Tensor`
        True flux as the simulator gives it, expected significance, Galactic latitude in deg.
    has_background : `~torch.Tensor`
        Whether the field has a prediction, bool.
    isolated : `~torch.Tensor`
        Whether no true source of a fifth of the flux is near, bool.
    bound : `~torch.Tensor`
        Cramer-Rao covariance of x, y (finest pixels) and the relative flux of all bands, shape
        ``(n, 3, 3)``.
    range_bound : `~torch.Tensor`
        Relative error of the flux in each range that the photons allow, see
        `~gammapy_asid.networks.spectral_fit.flux_bound`; shape ``(n, N_RANGES)``.
    pixel_size : `~torch.Tensor`
        Finest pixel size in deg.
    instrument : `~torch.Tensor`
        Index of the instrument.
    """

    features: SourceFeatures
    given: torch.Tensor
    offset: torch.Tensor
    range_inputs: torch.Tensor
    range_coordinate: torch.Tensor
    range_log_flux: torch.Tensor
    range_start: torch.Tensor
    range_width: torch.Tensor
    flux: torch.Tensor
    significance: torch.Tensor
    latitude: torch.Tensor
    has_background: torch.Tensor
    isolated: torch.Tensor
    bound: torch.Tensor
    range_bound: torch.Tensor
    pixel_size: torch.Tensor
    instrument: torch.Tensor

    def __len__(self):
        return len(self.given)


def simulate_sources(model, simulator, n_patches, seed, batch_size=32):
    """Simulate patches, fit the sources in them and collect what the ensembles learn from.

    Every second batch holds the detector's candidates, the other true sources at their own
    positions.

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
    batch_size : int
        Patches simulated at once, all of one instrument.

    Yields
    ------
    sources : `SimulatedSources`
        Sources of one batch.
    """
    tables = {}
    for i in range(-(-n_patches // batch_size)):
        rng = np.random.default_rng((seed, i))
        instrument = int(rng.choice(len(simulator.weights), p=simulator.weights))
        response = simulator.bank.responses[instrument]
        if instrument not in tables:
            tables[instrument] = psf_tables(response)
        patches = simulator.draw(batch_size, (seed, i, 1), instrument)
        given = bool(i % 2)
        rows = _given(patches, rng) if given else _detected(model, patches)
        if len(rows["true"]):
            yield _collect(patches, response, tables[instrument], rows, given, rng)


def _detected(model, patches):
    """Candidates of the detector, and the true source that each claims (-1: none)."""
    batch = patches.batch
    output, pixel_size = network_output(model.network, batch), float(batch.pixel_size[0])
    peaks = find_centres(output, pixel_size, batch.field_mask, bands=patches.bands)
    known = batch.has_background.numpy()[peaks.field]
    for value in (False, True):
        here = known == value
        peaks.score[here] = model.card.score(peaks.score[here], peaks.height[here], value)
    peaks = peaks.select(peaks.score >= FAINTEST_SCORE)
    true, _ = claimed_sources(patches, peaks)
    claimed = np.flatnonzero(true >= 0)
    true[claimed[~_is_point(patches)[true[claimed]]]] = -1
    return vars(peaks) | {"true": true}


def _is_point(patches):
    """Sources that a fit of points measures right, bool of shape ``(n_sources,)``."""
    return (patches.width < POINT * patches.bands.pixel_size).numpy()


def _given(patches, rng):
    """True sources at their own positions."""
    visible = visible_sources(patches, FAINTEST_GIVEN).numpy() & _is_point(patches)
    true = np.flatnonzero(visible)
    x, y = patches.x.numpy()[true], patches.y.numpy()[true]
    # Catalogue positions are not perfect.
    error = GIVEN_ERROR * patches.bands.pixel_size / float(patches.batch.pixel_size[0])
    x, y = (v + error * rng.standard_normal(len(v)) for v in (x, y))
    return {
        "field": patches.patch.numpy()[true],
        "x": x,
        "y": y,
        "sigma": np.full(len(true), error),
        "true": true,
    }


def _collect(patches, response, tables, rows, given, rng):
    batch = patches.batch
    field, true = torch.as_tensor(rows["field"]), torch.as_tensor(rows["true"])
    score = None if given else rows["score"]
    fitted = fit_batch(batch, response, field, rows["x"], rows["y"], score, rows["sigma"], not given, tables)
    fit, features, power_laws = fitted.fit, fitted.features, fitted.power_laws
    keep = true >= 0
    true, fields = true[keep], field[keep]
    spectra = {name: value[true] for name, value in patches.spectra.items()}
    ranges, columns = _energy_ranges(response, len(true), rng), []
    for e_min, e_max in ranges:
        scale = flux_scale(
            response, power_laws.select(keep), fit.counts[keep], fit.counts_error[keep], e_min, e_max
        )
        flux = photon_flux(spectra, e_min, e_max)
        columns.append(
            (
                scale.inputs(),
                scale.coordinate(flux),
                torch.log(flux.clamp(min=1e-30)).float(),
                scale.start,
                scale.width,
            )
        )
    place = torch.stack([patches.x[true], patches.y[true]], -1)
    weight = [e * m for e, m in zip(batch.exposure, batch.mask, strict=True)]
    information = position_information(
        tables, batch.levels, patches.expected, weight, fields, *place.unbind(-1), patches.counts[true]
    )
    n = len(true)
    return SimulatedSources(
        features.select(keep),
        torch.full((n,), given),
        place - torch.stack([fit.x, fit.y], -1)[keep],
        *(torch.stack(v, 1) for v in zip(*columns, strict=True)),
        patches.flux[true],
        patches.significance[true],
        patches.latitude[true],
        batch.has_background[fields],
        _isolated(patches, true),
        torch.linalg.inv(information.sum(1) + 1e-6 * torch.eye(3)),
        torch.stack([flux_bound(information[:, :, 2, 2], response, spectra, *r) for r in ranges], 1),
        batch.pixel_size[fields],
        patches.instrument[fields],
    )


def _energy_ranges(response, n, rng):
    """The whole range of the data, the middle of the bands, one band, a random range."""
    low, high = np.nanmin(response.e_min), np.nanmax(response.e_max)
    edges = np.append(response.e_min[response.present], high)
    band = rng.integers(len(edges) - 1, size=n)
    ends = np.sort(rng.uniform(np.log(low), np.log(high), (2, n)), axis=0)
    ends[1] = np.minimum(np.maximum(ends[1], ends[0] + 0.4), np.log(high))
    ends[0] = np.minimum(ends[0], ends[1] - 0.4)
    # For the LAT: 1-100 GeV as far as the data go.
    inner = response.bands.edges[min(2, len(response.bands) - 1)], response.bands.edges[-1] / 10
    inner = max(low, inner[0]), min(high, inner[1])
    if not inner[0] < inner[1]:
        inner = low, high
    pairs = [(low, high), inner, (edges[band], edges[band + 1]), np.exp(ends)]
    return [
        tuple(torch.as_tensor(np.broadcast_to(v, n).copy(), dtype=torch.float32) for v in pair)
        for pair in pairs
    ]


def _isolated(patches, true):
    """Whether no other true source of comparable flux is near."""
    x, y, patch = patches.x, patches.y, patches.patch
    nominal = patches.bands.pixel_size / patches.batch.pixel_size[patch[true]]
    distance = torch.hypot(x[true][:, None] - x, y[true][:, None] - y) / nominal[:, None]
    other = (patch[true][:, None] == patch) & (true[:, None] != torch.arange(len(x)))
    near = other & (distance < ISOLATION) & (patches.flux > NEIGHBOUR_FLUX * patches.flux[true][:, None])
    return ~near.any(1)
