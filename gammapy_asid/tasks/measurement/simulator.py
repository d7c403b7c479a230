# Licensed under a 3-clause BSD style license - see LICENSE
"""Simulated sources with their features: what the ensembles learn from."""

from dataclasses import dataclass

import numpy as np
import torch

from ...inputs.psf import psf_tables
from ...simulation.spectra import photon_flux
from ...stats.flux_scale import flux_bound, flux_scale
from ...stats.source_images import position_information
from ...utils.devices import moved
from ...utils.tensor_rows import TensorRows
from ..detection.simulated_candidates import detected_candidates, visible_sources
from .features import SourceFeatures
from .fitted_sources import GIVEN_ERROR, fit_batch

__all__ = ["FAINTEST_GIVEN", "SimulatedSources", "simulate_sources"]

#: Expected significance from which a source is fitted at a given position.
FAINTEST_GIVEN = 0.5

# Empty places among the given positions of a patch: their mean number.
N_EMPTY = 5
# They are farther than this from every source of that significance, in nominal finest pixels; half of them
# are near one, within as many times that distance.
EMPTY_DISTANCE, EMPTY_NEAR = 3.0, 4.0
# Sources narrower than this many nominal finest pixels are points.
POINT = 0.25
# Ranges of energies that the flux of each source is asked for.
N_RANGES = 4
# A source is isolated if no other of a fifth of its flux is nearer than this in nominal finest pixels.
ISOLATION, NEIGHBOUR_FLUX = 10.0, 0.2


@dataclass
class SimulatedSources(TensorRows):
    """Features of simulated sources with their truth, tensors with one row per source.

    Some of the given positions are empty places: sources of flux 0.

    Parameters
    ----------
    features : `~gammapy_asid.tasks.measurement.features.SourceFeatures`
        Features.
    given : `~torch.Tensor`
        Whether the position was given, else the source was detected; bool.
    offset : `~torch.Tensor`
        True position minus the fitted one in finest pixels, shape ``(n, 2)``.
    range_inputs, range_coordinate : `~torch.Tensor`
        For the ranges of energies: what the network is told, shape ``(n, N_RANGES, 6)``, and the
        true flux on the learned scale, shape ``(n, N_RANGES)``. The ranges: the whole, the middle, one band,
        and a random one.
    range_start, range_width, range_log_unit : `~torch.Tensor`
        Zero point and unit of the learned scale, and the logarithm of the flux with which it is made, see
        `~gammapy_asid.stats.flux_scale.FluxScale`; shape ``(n, N_RANGES)``.
    flux, significance, latitude : `~torch.Tensor`
        True flux as the simulator gives it, expected significance, Galactic latitude in deg (of an empty
        place: the mean of the sources of its patch).
    has_background : `~torch.Tensor`
        Whether the field has a prediction, bool.
    isolated : `~torch.Tensor`
        Whether no true source of a fifth of the flux is near (of an empty place: none that is fitted), bool.
    bound : `~torch.Tensor`
        Cramer-Rao covariance of x, y (finest pixels) and the relative flux of all bands, shape
        ``(n, 3, 3)``.
    range_bound : `~torch.Tensor`
        Relative error of the flux in each range that the photons allow, see
        `~gammapy_asid.stats.flux_scale.flux_bound`; shape ``(n, N_RANGES)``.
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
    range_start: torch.Tensor
    range_width: torch.Tensor
    range_log_unit: torch.Tensor
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

    @property
    def empty(self):
        """Places without a source, bool."""
        return self.flux == 0


def simulate_sources(model, simulator, n_patches, seed, batch_size=32):
    """Simulate patches, fit the sources in them and collect what the ensembles learn from.

    Every second batch holds the detector's candidates, the other true sources at their own
    positions and empty places.

    Parameters
    ----------
    model : `~gammapy_asid.tasks.detection.model.DetectionModel`
        Detection model.
    simulator : `~gammapy_asid.simulation.patch_simulator.PatchSimulator`
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
        Sources of one batch, on the CPU.
    """
    simulator, tables = simulator.to(model.device), {}
    for i in range(-(-n_patches // batch_size)):
        rng = np.random.default_rng((seed, i))
        instrument = int(rng.choice(len(simulator.weights), p=simulator.weights))
        response = simulator.bank.responses[instrument]
        if instrument not in tables:
            tables[instrument] = psf_tables(response).to(model.device)
        patches = simulator.draw(batch_size, (seed, i, 1), instrument)
        given, on_host = bool(i % 2), patches.to("cpu")
        rows = _given(on_host, rng) if given else _point_candidates(model, on_host)
        if len(rows["true"]):
            yield _collect(patches, response, tables[instrument], rows, given, rng).to("cpu")


def _point_candidates(model, patches):
    """Candidates of the detector, and the true source that each claims (-1: none that is a point)."""
    rows = detected_candidates(model, patches)
    true = rows["true"]
    claimed = np.flatnonzero(true >= 0)
    true[claimed[~_is_point(patches)[true[claimed]]]] = -1
    return rows


def _is_point(patches):
    """Sources that a fit of points measures right, bool of shape ``(n_sources,)``."""
    return (patches.width < POINT * patches.bands.pixel_size).numpy()


def _given(patches, rng):
    """True sources at their own positions, and empty places (true source -1)."""
    visible = visible_sources(patches, FAINTEST_GIVEN).numpy() & _is_point(patches)
    true = np.flatnonzero(visible)
    x, y = patches.x.numpy()[true], patches.y.numpy()[true]
    # Catalogue positions are not perfect.
    nominal = patches.bands.pixel_size / float(patches.batch.pixel_size[0])
    x, y = (v + GIVEN_ERROR * nominal * rng.standard_normal(len(v)) for v in (x, y))
    field, empty_x, empty_y = _empty_places(patches, nominal, rng)
    return {
        "field": np.append(patches.patch.numpy()[true], field),
        "x": np.append(x, empty_x),
        "y": np.append(y, empty_y),
        "sigma": np.full(len(true) + len(field), GIVEN_ERROR * nominal),
        "true": np.append(true, np.full(len(field), -1)),
    }


def _empty_places(patches, nominal, rng):
    """Patch and position of random places on valid pixels where no source is that could be seen."""
    mask = patches.batch.field_mask.numpy() > 0
    n_patches, ny, nx = mask.shape
    field = np.repeat(np.arange(n_patches), rng.integers(0, 2 * N_EMPTY + 1, n_patches))
    x, y = rng.uniform(0, nx - 1, len(field)), rng.uniform(0, ny - 1, len(field))
    some = (patches.significance >= FAINTEST_GIVEN).numpy()
    source_field, source_x, source_y = (v.numpy()[some] for v in (patches.patch, patches.x, patches.y))
    # Half of them beside a source of their patch, if it has one.
    order = np.argsort(source_field, kind="stable")
    first, last = (np.searchsorted(source_field[order], field, side=side) for side in ("left", "right"))
    near = np.flatnonzero((rng.random(len(field)) < 0.5) & (last > first))
    source = order[rng.integers(first[near], last[near])]
    reach = nominal * EMPTY_DISTANCE * rng.uniform(1, EMPTY_NEAR, len(near))
    angle = rng.uniform(0, 2 * np.pi, len(near))
    x[near] = source_x[source] + reach * np.cos(angle)
    y[near] = source_y[source] + reach * np.sin(angle)
    inside = (x >= 0) & (x <= nx - 1) & (y >= 0) & (y <= ny - 1)
    row, column = (np.round(v).astype(int).clip(0, n - 1) for v, n in ((y, ny), (x, nx)))
    good = inside & mask[field, row, column]
    # Extended sources fill twice their width.
    size = patches.width.numpy()[some] / float(patches.batch.pixel_size[0])
    distance = np.hypot(x[:, None] - source_x, y[:, None] - source_y)
    good &= ~((field[:, None] == source_field) & (distance < EMPTY_DISTANCE * nominal + 2 * size)).any(axis=1)
    return field[good], x[good], y[good]


def _collect(patches, response, tables, rows, given, rng):
    batch, device = patches.batch, patches.batch.device
    field, true = (torch.as_tensor(rows[name], device=device) for name in ("field", "true"))
    score = None if given else rows["score"]
    fitted = fit_batch(batch, response, field, rows["x"], rows["y"], score, rows["sigma"], not given, tables)
    fit, features, power_laws = fitted.fit, fitted.features, fitted.power_laws
    # Of the detector's candidates those that are true, of the given positions all.
    keep = (true >= 0) | given
    true, fields = true[keep], field[keep]
    empty = true < 0
    spectra = {name: _of_sources(value, true, 1.0) for name, value in patches.spectra.items()}
    spectra["amplitude"] = torch.where(empty, 0.0, spectra["amplitude"])
    ranges, columns = moved(_energy_ranges(response, len(true), rng), device), []
    for e_min, e_max in ranges:
        scale = flux_scale(
            response, power_laws.select(keep), fit.counts[keep], fit.counts_error[keep], e_min, e_max
        )
        coordinate = scale.coordinate(photon_flux(spectra, e_min, e_max))
        columns.append((scale.inputs(), coordinate, scale.start, scale.width, scale.log_unit))
    start = (torch.as_tensor(rows[axis], dtype=torch.float32).to(device)[keep] for axis in ("x", "y"))
    place = [
        torch.where(empty, own, _of_sources(value, true))
        for own, value in zip(start, (patches.x, patches.y), strict=True)
    ]
    place, counts = torch.stack(place, -1), _of_sources(patches.counts, true)
    weight = [e * m for e, m in zip(batch.exposure, batch.mask, strict=True)]
    information = position_information(
        tables, batch.levels, patches.expected, weight, fields, *place.unbind(-1), counts
    )
    of_flux = information[:, :, 2, 2]
    columns = zip(*columns, strict=True)
    parts = zip(("inputs", "coordinate", "start", "width", "log_unit"), columns, strict=True)
    return SimulatedSources(
        features=features.select(keep),
        given=torch.full((len(true),), given, device=device),
        offset=place - torch.stack([fit.x, fit.y], -1)[keep],
        **{f"range_{name}": torch.stack(part, 1) for name, part in parts},
        flux=_of_sources(patches.flux, true),
        significance=_of_sources(patches.significance, true),
        latitude=torch.where(empty, _mean_latitude(patches)[fields], _of_sources(patches.latitude, true)),
        has_background=batch.has_background[fields],
        isolated=_isolated(patches, true, fields, place),
        # A little is added: where nothing is known there is no inverse
        bound=torch.linalg.inv(information.sum(1) + 1e-6 * torch.eye(3, device=device)),
        range_bound=torch.stack([flux_bound(of_flux, response, spectra, *r) for r in ranges], 1),
        pixel_size=batch.pixel_size[fields],
        instrument=patches.instrument[fields],
    )


def _energy_ranges(response, n, rng):
    """The whole range of the data, the middle of the bands, one band, a random range."""
    low, high = np.nanmin(response.e_min), np.nanmax(response.e_max)
    edges = np.append(response.e_min[response.present], high)
    band = rng.integers(len(edges) - 1, size=n)
    ends = np.sort(rng.uniform(np.log(low), np.log(high), (2, n)), axis=0)
    ends[1] = np.minimum(np.maximum(ends[1], ends[0] + 0.4), np.log(high))
    ends[0] = np.minimum(ends[0], ends[1] - 0.4)  # at least a factor of 1.5 apart
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


def _of_sources(values, true, empty=0.0):
    """Values of true sources, and a constant at empty places (-1)."""
    return torch.cat([values, values.new_full((1, *values.shape[1:]), empty)])[true]


def _mean_latitude(patches):
    """Mean latitude of the sources of each patch."""
    n = len(patches.batch)
    total = torch.bincount(patches.patch, patches.latitude, minlength=n)
    return (total / torch.bincount(patches.patch, minlength=n)).to(patches.latitude)


def _isolated(patches, true, field, place):
    """Whether no other true source of comparable flux is near, or, at an empty place, none that is fitted."""
    distance = torch.hypot(*(place[:, None] - torch.stack([patches.x, patches.y], -1)).unbind(-1))
    nominal = patches.bands.pixel_size / patches.batch.pixel_size[field]
    number = torch.arange(len(patches.x), device=true.device)
    other = (field[:, None] == patches.patch) & (true[:, None] != number)
    flux = _of_sources(patches.flux, true)[:, None]
    fitted = patches.significance >= FAINTEST_GIVEN
    comparable = torch.where(flux > 0, patches.flux > NEIGHBOUR_FLUX * flux, fitted)
    return ~(other & comparable & (distance < ISOLATION * nominal[:, None])).any(1)
