# Licensed under a 3-clause BSD style license - see LICENSE
"""Fluxes of sources with a deep ensemble."""

import logging
from os import PathLike
from typing import Any, Literal

import astropy.units as u
import numpy as np
import torch
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from gammapy.datasets import Datasets, MapDataset
from gammapy.estimators import ESTIMATOR_REGISTRY
from gammapy.modeling.models import DatasetModels

from ..catalog.candidates import Candidates
from ..catalog.columns import CandidateFlag
from ..catalog.fluxes import FLUX_UNIT, SourceFluxes
from ..inputs.bands import BandCube
from ..inputs.prepare import usable_datasets
from ..inputs.psf import psf_radius
from ..tasks.measurement.calibration import SPREADS
from ..tasks.measurement.fitted_sources import fit_field
from ..tasks.measurement.model import SourceEnsemble
from ..utils.arguments import checked_quantity
from .domain import band_cube, check_domain
from .sources import given_sources, place_sources
from .trained import TrainedEstimator

__all__ = ["DLFluxEstimator"]

log = logging.getLogger(__name__)

#: Columns of a flux, besides whether it is an upper limit.
COLUMNS = ("flux", "flux_err", "flux_errn", "flux_errp", "flux_ul")


class DLFluxEstimator(TrainedEstimator):
    """Estimate fluxes with calibrated uncertainties by a deep ensemble.

    All sources are fitted together on stamps of the band cube; an ensemble of networks
    corrects the fit and states how far it can be trusted. Method of AutoSourceID-FE (Stoppa et
    al. 2023, A&A 680, A108) with the likelihood fit as the starting point. Nothing but the
    background and the models of the dataset is taken as known; models that are
    estimated themselves are left out of the known sky.

    Parameters
    ----------
    model : str or path
        Name of a shipped model, or path of its weights.
    e_min, e_max : `~astropy.units.Quantity`, optional
        Range of energies of the flux; by default that of the data.
    uncertainty : {"mean-variance", "ensemble"}
        Two-step mean-variance estimation, or the scatter among the networks, either recalibrated
        on simulations.
    device : str, optional
        Torch device; by default the accelerator if there is one.
    """

    tag = "DLFluxEstimator"
    trained: SourceEnsemble

    def __init__(
        self,
        model: str | PathLike[str] = "lat",
        e_min: u.Quantity | None = None,
        e_max: u.Quantity | None = None,
        uncertainty: Literal["mean-variance", "ensemble"] = "mean-variance",
        device: str | torch.device | None = None,
    ) -> None:
        if uncertainty not in SPREADS:
            raise ValueError(f"The uncertainty is one of {', '.join(SPREADS)}, got {uncertainty!r}")
        e_min, e_max = (
            None if energy is None else checked_quantity(name, energy, "GeV", "an energy")
            for name, energy in (("e_min", e_min), ("e_max", e_max))
        )
        if e_min is not None and e_max is not None and not e_min < e_max:
            raise ValueError(f"e_min must be below e_max, got {e_min} and {e_max}")
        super().__init__(model, SourceEnsemble.load(model, "flux", device))
        self.e_min, self.e_max = e_min, e_max
        self.uncertainty = uncertainty

    @property
    def config_parameters(self) -> dict[str, Any]:
        """Configuration, without the networks."""
        return super().config_parameters | {
            "e_min": self.e_min,
            "e_max": self.e_max,
            "uncertainty": self.uncertainty,
        }

    def run(
        self, datasets: MapDataset | Datasets | BandCube, sources: SkyCoord | Candidates | DatasetModels
    ) -> SourceFluxes:
        """Estimate the fluxes of sources.

        Parameters
        ----------
        datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
            Data of one field, or the band cube of them.
        sources : SkyCoord, `~gammapy_asid.Candidates` or Models
            Positions: of Astropy, or of Gammapy models. Sources that are neither in the list nor on
            the dataset add to the flux of their neighbours.

        Returns
        -------
        fluxes : `~gammapy_asid.SourceFluxes`
            One row per source, none lost: a source outside the valid data has NaN and the flag
            ``OUTSIDE``.

        Raises
        ------
        TypeError, ValueError
            If the data can't be used, see `~gammapy_asid.inputs.to_band_cube`, the range of
            energies is not inside that of the data, the sources have no positions, or the data are those of
            another instrument than the model was trained for.
        """
        given = given_sources(sources)
        datasets = usable_datasets(datasets)
        cube = band_cube(datasets, self.card, without=given.models)
        domain = check_domain(self.card, cube, datasets, "the sources there are flagged")
        ranges = self._ranges(cube.response)
        x, y, valid, flags = place_sources(given.positions, cube)
        flags[valid] |= _outside_training(domain, x[valid], y[valid])
        columns = _no_columns(len(x), len(ranges))
        if valid.any():
            score = None if given.scores is None else given.scores[valid]
            for name, values in self._measured(cube, x[valid], y[valid], score, ranges).items():
                columns[name][valid] = values
            flux = columns["flux"][valid]
            flags[valid] |= self._too_bright(flux[:, 0])
            flags[valid] |= _outshone(x[valid], y[valid], flux[:, 1:], cube)
        e_min, e_max = ranges[0]
        table = QTable(
            {
                "name": np.array(given.names, dtype=str),
                "ra": given.positions.icrs.ra,
                "dec": given.positions.icrs.dec,
                "e_min": np.full(len(x), e_min) * u.GeV,
                "e_max": np.full(len(x), e_max) * u.GeV,
                **{name: column[:, 0] for name, column in columns.items() if name != "index"},
                "index": columns["index"],
                "flags": flags.astype("i4"),
            }
        )
        return SourceFluxes(table, _band_table(columns, cube.response), self._meta(cube, domain, ranges[0]))

    def _measured(self, cube, x, y, score, ranges):
        """Columns of the fluxes of sources on valid data, in ranges of energies."""
        sources = fit_field(cube, x, y, score, free_position=False, device=self.device)
        each = [_columns(fluxes) for fluxes in self.trained.fluxes(sources, ranges, self.uncertainty)]
        columns = {name: np.stack([own[name] for own in each], axis=1) for name in each[0]}
        return columns | {"index": sources.power_laws.index.cpu().numpy()}

    def _meta(self, cube, domain, energy_range):
        response = cube.response
        return {
            "model": self.card.name,
            "weights_sha256": self.card.weights_sha256,
            "uncertainty": self.uncertainty,
            "energy_range": [float(energy) for energy in energy_range],
            "known_sky": cube.meta["known_sky"],
            "outside_training": list(domain.problems),
            "bands": [
                [float(low), float(high)] if np.isfinite(low) else None
                for low, high in zip(response.e_min, response.e_max, strict=True)
            ],
        }

    def _too_bright(self, flux):
        """Flag of sources that are brighter than those of the training."""
        bright = flux > self.trained.brightest * FLUX_UNIT
        if bright.any():
            log.warning(
                f"{bright.sum()} sources are brighter than those for which model {self.card.name!r} was "
                f"trained (above {self.trained.brightest:.2g} cm-2 s-1; flag UNTRAINED): their fluxes are "
                "too low, take those of a likelihood fit."
            )
        return np.where(bright, CandidateFlag.UNTRAINED, 0)

    def _ranges(self, response):
        """Ranges of energies in GeV: the one that is wanted, which the data must hold, then the bands."""
        low, high = np.nanmin(response.e_min), np.nanmax(response.e_max)
        e_min = low if self.e_min is None else self.e_min.to_value("GeV")
        e_max = high if self.e_max is None else self.e_max.to_value("GeV")
        if e_min < low * (1 - 1e-6) or e_max > high * (1 + 1e-6) or not e_min < e_max:
            raise ValueError(
                f"The flux is wanted for {e_min:.4g}-{e_max:.4g} GeV, and the data hold {low:.4g}-{high:.4g} "
                "GeV: choose e_min and e_max inside that range"
            )
        present = response.present
        return [(e_min, e_max), *zip(response.e_min[present], response.e_max[present], strict=True)]


def _no_columns(n, n_ranges):
    """Columns of sources without a flux."""
    columns = {name: np.full((n, n_ranges), np.nan) * FLUX_UNIT for name in COLUMNS}
    return columns | {"is_ul": np.zeros((n, n_ranges), bool), "index": np.full(n, np.nan)}


def _band_table(columns, response):
    """Fluxes in the bands that are present."""
    table = QTable({name: column[:, 1:] for name, column in columns.items() if name != "index"})
    present = np.flatnonzero(response.present)
    table.meta |= {
        "e_min": response.e_min[present] * u.GeV,
        "e_max": response.e_max[present] * u.GeV,
        "index": present,
    }
    return table


def _outside_training(domain, x, y):
    """Flags of sources that lie outside of what the model was trained for."""
    bins = CandidateFlag.COARSE_BINS if domain.coarse_bins else 0
    return np.where(domain.is_outside(x, y), CandidateFlag.UNTRAINED, 0) | bins


def _columns(fluxes):
    errn = np.maximum(fluxes.flux - fluxes.low68, 0) * FLUX_UNIT
    errp = np.maximum(fluxes.high68 - fluxes.flux, 0) * FLUX_UNIT
    return {
        "flux": fluxes.flux * FLUX_UNIT,
        "flux_err": (errn + errp) / 2,
        "flux_errn": errn,
        "flux_errp": errp,
        "flux_ul": fluxes.upper_limit * FLUX_UNIT,
        "is_ul": fluxes.low95 <= 0,
    }


def _outshone(x, y, flux, cube):
    """Flag of sources that the known sky outshines within the 68 % PSF radius of every band.

    `flux` has shape ``(n, n_present_bands)``.
    """
    if not cube.has_background:
        return np.zeros(len(x), int)
    outshone = np.ones(len(x), dtype=bool)
    radius = psf_radius(cube.response) / cube.response.pixel_size
    for band, own in zip(np.flatnonzero(cube.response.present), flux.T.to_value(FLUX_UNIT), strict=True):
        block = 2 ** cube.bands.levels[band]
        row, column = (((a + 0.5) // block).astype(int) for a in (y, x))
        exposure = cube.response.exposure[band].mean() * cube.exposure[band][row, column]
        known = cube.background[band][row, column] * np.pi * (radius[band] / block) ** 2
        outshone &= (0.68 * own * exposure < known) | (exposure == 0)
    return np.where(outshone, CandidateFlag.STRONG_DIFFUSE, 0)


ESTIMATOR_REGISTRY.append(DLFluxEstimator)
