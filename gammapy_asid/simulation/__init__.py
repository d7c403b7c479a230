# Licensed under a 3-clause BSD style license - see LICENSE
"""Simulated skies: populations, instruments, diffuse emission, and the counts they make."""

from ..inputs.psf import psf_kernels
from .analytic_lat import analytic_lat_exposure, analytic_lat_psf
from .cube import simulate_cube
from .diffuse import EmissionBank, EmissionModel, analytic_emission
from .fit_populations import fit_populations
from .instruments import ExposureMap, lat_response
from .lat_bank import build_heldout_models, build_lat_bank
from .lat_dataset import simulate_dataset
from .lat_time_bins import simulate_time_bins
from .mock_catalog import MockCatalog
from .populations import DEFAULT_POPULATIONS, Population, draw_sky
from .sky import ResponseBank, emission_counts, render_sources, source_counts
from .variability import draw_light_curves

__all__ = [
    "DEFAULT_POPULATIONS",
    "EmissionBank",
    "EmissionModel",
    "ExposureMap",
    "MockCatalog",
    "Population",
    "ResponseBank",
    "analytic_emission",
    "analytic_lat_exposure",
    "analytic_lat_psf",
    "build_heldout_models",
    "build_lat_bank",
    "draw_light_curves",
    "draw_sky",
    "emission_counts",
    "fit_populations",
    "lat_response",
    "psf_kernels",
    "render_sources",
    "simulate_cube",
    "simulate_dataset",
    "simulate_time_bins",
    "source_counts",
]
