# Licensed under a 3-clause BSD style license - see LICENSE
"""The main job on a field that everyone has: real where data are present, simulated elsewhere."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from gammapy.catalog import SourceCatalog3FHL
from gammapy.datasets import MapDataset

from ..utils.arguments import check_number
from .diffuse import analytic_emission
from .lat_dataset import simulate_dataset
from .lat_time_bins import simulate_time_bins
from .populations import draw_sky

__all__ = ["DemoField", "demo_field", "galactic_centre_field", "simulated_field", "simulated_time_bins"]

log = logging.getLogger(__name__)

#: Simulated sources that are listed as known, flux from 1 to 100 GeV in cm-2 s-1: well above the threshold of
#: ten years.
KNOWN_FLUX = 4.5e-10

#: Data and catalogue of the Galactic centre, in Gammapy's data collection.
GALACTIC_CENTRE = "fermi-3fhl-gc/fermi-3fhl-gc.fits.gz", "catalogs/fermi/gll_psch_v13.fit.gz"


@dataclass
class DemoField:
    """A field to find sources in.

    Parameters
    ----------
    title : str
        What it is.
    dataset : `~gammapy.datasets.MapDataset`
        Data.
    known : `~astropy.coordinates.SkyCoord`
        Positions of its known sources.
    known_as : str
        What those are.
    """

    title: str
    dataset: MapDataset
    known: SkyCoord
    known_as: str


def galactic_centre_field(folder):
    """Real Fermi-LAT data around the Galactic centre, above 10 GeV, and the 3FHL catalogue.

    Parameters
    ----------
    folder : path
        Gammapy's data collection, usually ``$GAMMAPY_DATA``.
    """
    folder = Path(folder)
    data, sources = (folder / name for name in GALACTIC_CENTRE)
    dataset = MapDataset.read(data, name="fermi-3fhl-gc")
    known = SourceCatalog3FHL(sources).positions
    valid = dataset.mask_safe.reduce_over_axes(np.logical_or)
    known = known[valid.geom.contains(known)]
    known = known[valid.get_by_coord(known).astype(bool)]
    return DemoField("Fermi-LAT, Galactic centre, 10-500 GeV", dataset, known, "3FHL sources on valid data")


def simulated_field(center=(75.0, 20.0), width=(20.0, 15.0), livetime=10.0, pixel_size=0.1, seed=1):
    """A simulated sky that needs no file, as the Fermi-LAT sees it.

    Parameters
    ----------
    center : tuple of float
        Galactic longitude and latitude in deg.
    width : tuple of float
        Width in longitude and latitude in deg.
    livetime : float
        Length of the survey in years.
    pixel_size : float
        Pixel size in deg.
    seed : int
        Seed of the sky and of the counts.

    Returns
    -------
    field : `DemoField`
        Field.
    catalog : `~gammapy_asid.simulation.MockCatalog`
        All sources in it.
    """
    sky, rng = _simulated_sky(center, width, seed)
    dataset = simulate_dataset(*sky, livetime=livetime, pixel_size=pixel_size, rng=rng)
    catalog = sky[2]
    positions = catalog.positions
    inside = dataset.counts.geom.to_image().contains(positions)
    bright = catalog.flux(1, 100) > KNOWN_FLUX
    field = DemoField(
        title=f"Simulated Fermi-LAT field, {livetime:g} years, 0.3 GeV-1 TeV",
        dataset=dataset,
        known=positions[inside & bright],
        known_as=f"simulated sources above {KNOWN_FLUX:g} cm-2 s-1 (1-100 GeV)",
    )
    return field, catalog.select(inside)


def simulated_time_bins(
    center=(75.0, 20.0), width=(20.0, 15.0), livetime=10.0, pixel_size=0.1, seed=1, n_bins=10
):
    """The sky of `simulated_field` in bins of time, its sources varying.

    Parameters
    ----------
    center : tuple of float
        Galactic longitude and latitude in deg.
    width : tuple of float
        Width in longitude and latitude in deg.
    livetime : float
        Length of the survey in years.
    pixel_size : float
        Pixel size in deg.
    seed : int
        Seed of the sky, of the light curves and of the counts.
    n_bins : int
        Number of bins, 2 to 20.

    Returns
    -------
    simulated : `~gammapy_asid.simulation.lat_time_bins.SimulatedTimeBins`
        Datasets, sources and their light curves.
    """
    sky, rng = _simulated_sky(center, width, seed)
    return simulate_time_bins(*sky, n_bins=n_bins, livetime=livetime, pixel_size=pixel_size, rng=rng)


def _simulated_sky(center, width, seed):
    """Centre, width, sources and diffuse emission of a simulation, and the random numbers that drew them."""
    check_number("seed", seed, low=0, whole=True)
    rng = np.random.default_rng(seed)
    center = SkyCoord(*center, unit="deg", frame="galactic")
    return (center, width * u.deg, draw_sky(rng), analytic_emission(seed)), rng


def demo_field():
    """The Galactic centre where the environment variable GAMMAPY_DATA leads to it, else a simulation.

    A variable that leads elsewhere is said.

    Returns
    -------
    field : `DemoField`
        Field.
    """
    folder = os.environ.get("GAMMAPY_DATA")
    missing = [name for name in GALACTIC_CENTRE if folder and not (Path(folder) / name).is_file()]
    if folder and not missing:
        return galactic_centre_field(folder)
    if folder:
        log.warning(
            f"GAMMAPY_DATA is {folder}, where {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} "
            "missing: a simulated field is taken instead. Correct the variable, or get the data with "
            "'gammapy download datasets'"
        )
    return simulated_field()[0]
