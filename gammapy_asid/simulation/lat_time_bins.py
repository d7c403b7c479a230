# Licensed under a 3-clause BSD style license - see LICENSE
"""LAT-like Gammapy datasets of a simulated sky in bins of time, whose sources vary."""

from dataclasses import dataclass, replace

import astropy.units as u
import numpy as np
from astropy.table import QTable
from astropy.time import Time
from gammapy.data import GTI
from gammapy.datasets import Datasets

from ..utils.arguments import check_number
from .analytic_lat import ENERGY_EDGES
from .lat_dataset import LATField
from .mock_catalog import MockCatalog
from .variability import draw_light_curves

__all__ = ["SURVEY_START", "SimulatedTimeBins", "bin_names", "exposure_shares", "simulate_time_bins"]

#: Begin of the survey of the Fermi-LAT, 2008-08-04, as MJD (UTC).
SURVEY_START = 54682.66

#: Share of each year of the survey in which the Fermi-LAT observed, 2008 to 2024, from the good time
#: intervals of the 16-year source list. A solar panel stuck in the tenth year; later ones have the mean.
OBSERVED_SHARE = (
    *(0.8241, 0.8383, 0.8322, 0.8248, 0.8180, 0.8288, 0.8358, 0.8391),
    *(0.8376, 0.7848, 0.8381, 0.8424, 0.8417, 0.8494, 0.8484, 0.8449),
)

#: Fewest and most bins.
MIN_BINS, MAX_BINS = 2, 20


@dataclass
class SimulatedTimeBins:
    """A simulated field in bins of time, and the truth.

    Parameters
    ----------
    datasets : `~gammapy.datasets.Datasets`
        A `~gammapy.datasets.MapDataset` for each bin, in order of time, with its GTI.
    catalog : `~gammapy_asid.simulation.MockCatalog`
        Sources in the field with their classes; their flux is the mean over the whole time.
    light_curves : `~astropy.table.QTable`
        A row for each source of `catalog`, in its order: position, class, mean flux from 1 to 100 GeV, and
        ``relative_flux``, the flux in each bin over the mean. The bins, of equal length, stand in the meta
        data: ``MJDSTART`` (UTC), ``LIVETIME`` in years of 365.25 days and ``NBINS``.
    """

    datasets: Datasets
    catalog: MockCatalog
    light_curves: QTable


def exposure_shares(edges):
    """Share of the exposure of the Fermi-LAT's survey in each time bin.

    Differences between directions are left out.

    Parameters
    ----------
    edges : array-like of float
        Edges in years after the begin of the survey, rising, shape ``(n_bins + 1,)``. What lies before the
        begin counts as the first year.

    Returns
    -------
    shares : `~numpy.ndarray`
        Shape ``(n_bins,)``, their sum is 1.
    """
    edges = np.asarray(edges, dtype=float)
    years = np.arange(len(OBSERVED_SHARE) + 1)
    before = np.minimum(edges, 0) * OBSERVED_SHARE[0]
    after = np.maximum(edges - years[-1], 0) * np.mean(OBSERVED_SHARE)
    observed = before + np.interp(edges, years, np.append(0, np.cumsum(OBSERVED_SHARE))) + after
    return np.diff(observed) / (observed[-1] - observed[0])


def bin_names(name, n_bins):
    """Names of the datasets of time bins.

    Parameters
    ----------
    name : str
        Beginning of the names.
    n_bins : int
        Number of bins.

    Returns
    -------
    names : list of str
        Names.
    """
    return [f"{name}-{number:02d}" for number in range(n_bins)]


def simulate_time_bins(
    center,
    width,
    catalog,
    emission,
    n_bins=10,
    livetime=10.0,
    start=SURVEY_START,
    energy_edges=ENERGY_EDGES,
    pixel_size=0.1,
    rng=None,
    light_curves=None,
    name="simulated",
):
    """Datasets of a simulated sky in bins of time, seen by a LAT-like instrument.

    The field is that of `~gammapy_asid.simulation.simulate_dataset`, cut into bins of equal length: added up,
    they are a draw of it. Exposure and background of a bin follow the time in which the Fermi-LAT observed.

    Parameters
    ----------
    center : `~astropy.coordinates.SkyCoord`
        Centre of the field.
    width : tuple of `~astropy.units.Quantity`
        Width in longitude and latitude.
    catalog : `~gammapy_asid.simulation.mock_catalog.MockCatalog`
        Sources of the sky; their flux is the mean over the whole time. Those outside the field and its margin
        are left out.
    emission : `~gammapy_asid.simulation.diffuse.EmissionModel`
        Diffuse emission of the sky.
    n_bins : int
        Number of bins, 2 to 20.
    livetime : float
        Length of the survey in years.
    start : float
        Begin of the survey, MJD (UTC).
    energy_edges : sequence of float
        Energy edges in GeV, inside 0.3 GeV to 1 TeV.
    pixel_size : float
        Pixel size in deg.
    rng : `~numpy.random.Generator`, optional
        Draws light curves and Poisson counts. Without it counts are the expectation (Asimov), and light
        curves must be given.
    light_curves : array-like, optional
        Flux of each source in each bin over its mean, shape ``(n, n_bins)``. By default drawn for the classes
        of the sources by `~gammapy_asid.simulation.variability.draw_light_curves`.
    name : str
        Beginning of the names of the datasets; the number of the bin follows.

    Returns
    -------
    simulated : `SimulatedTimeBins`
        Datasets and truth.

    Raises
    ------
    ValueError
        If there are no such bins, energies or fields, or the light curves do not fit.
    """
    check_number("n_bins", n_bins, low=MIN_BINS, high=MAX_BINS, whole=True)
    check_number("livetime", livetime, above=0)
    check_number("start", start)
    years = np.linspace(0, livetime, n_bins + 1)
    shares = exposure_shares(years + (start - SURVEY_START) / 365.25)
    light_curves = _checked_light_curves(light_curves, rng, catalog, years, shares)
    field = LATField(center, width, energy_edges, pixel_size)
    background = field.expected(field.diffuse_flux(emission), livetime)
    datasets = Datasets()
    bins = zip(bin_names(name, n_bins), shares, light_curves.T, years[:-1], years[1:], strict=True)
    for bin_name, share, relative, first, last in bins:
        now = replace(catalog, amplitude=catalog.amplitude * relative)
        total = share * background + field.expected(field.source_flux(now), share * livetime)
        counts = total if rng is None else rng.poisson(total).astype(float)
        gti = _gti(start, first, last)
        datasets.append(field.dataset(counts, share * background, share * livetime, bin_name, gti))
    inside = field.image.contains(catalog.positions)
    meta = {"MJDSTART": start, "LIVETIME": livetime, "NBINS": n_bins}
    truth = _light_curve_table(catalog.select(inside), light_curves[inside], meta)
    return SimulatedTimeBins(datasets, catalog.select(inside), truth)


def _checked_light_curves(light_curves, rng, catalog, years, shares):
    """Light curves, drawn if there are none."""
    if light_curves is None:
        if rng is None:
            raise ValueError("Nothing draws light curves: give rng, or light_curves of your own")
        return draw_light_curves(rng, catalog.source_class, years, shares, flux=catalog.flux(1, 100))
    light_curves = np.asarray(light_curves, dtype=float)
    if light_curves.shape != (len(catalog), len(shares)):
        raise ValueError(
            f"The light curves of {len(catalog)} sources in {len(shares)} bins have the shape "
            f"{(len(catalog), len(shares))}, got {light_curves.shape}"
        )
    if not np.all(np.isfinite(light_curves)) or np.any(light_curves < 0):
        raise ValueError("Light curves must be finite and not below 0")
    return light_curves


def _gti(start, first, last):
    """Good time interval between two times in years after the start."""
    reference = Time(start, format="mjd", scale="utc")
    return GTI.create(*([year * 365.25] * u.d for year in (first, last)), reference_time=reference)


def _light_curve_table(catalog, light_curves, meta):
    return QTable(
        {
            "lon": catalog.lon * u.deg,
            "lat": catalog.lat * u.deg,
            "source_class": catalog.source_class.astype(str),
            "flux": catalog.flux(1, 100) * u.Unit("cm-2 s-1"),
            "relative_flux": light_curves,
        },
        meta=meta,
    )
