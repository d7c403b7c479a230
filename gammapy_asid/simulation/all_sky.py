# Licensed under a 3-clause BSD style license - see LICENSE
"""LAT-like dataset of the whole simulated sky, photon by photon."""

import astropy.units as u
import numpy as np
from gammapy.datasets import MapDataset
from gammapy.irf import EDispKernelMap
from gammapy.maps import Map, WcsGeom

from .analytic_lat import ENERGY_EDGES, N_TRUE, analytic_lat_exposure, analytic_lat_psf, energy_axes
from .sky_grid import interval_shares

__all__ = ["simulate_sky"]

#: Pixel size of the exposure map in deg.
EXPOSURE_PIXEL = 5.0


def simulate_sky(
    image, catalog, emission, known_emission=None, livetime=10.0, energy_edges=ENERGY_EDGES, rng=None
):
    """Simulate the whole sky as the LAT would see it.

    Photons of sources are drawn one by one and moved by the point spread function; the diffuse
    emission is drawn in the pixels, without being blurred.

    Parameters
    ----------
    image : `~gammapy.maps.WcsGeom` or `~gammapy.maps.HpxGeom`
        Pixels, in Galactic coordinates for a HEALPix map or any frame for a WCS map.
    catalog : `~gammapy_asid.simulation.mock_catalog.MockCatalog`
        Sources.
    emission : `~gammapy_asid.simulation.diffuse.EmissionModel`
        Diffuse emission that makes the counts.
    known_emission : `~gammapy_asid.simulation.diffuse.EmissionModel`, optional
        Diffuse emission that the background of the dataset states; by default `emission`.
    livetime : float
        Length of the survey in years.
    energy_edges : sequence of float
        Energy edges in GeV, inside 0.3 GeV to 1 TeV.
    rng : `~numpy.random.Generator`, optional
        Draws the counts; by default one with the seed 0.

    Returns
    -------
    dataset : `~gammapy.datasets.MapDataset`
        Counts, background, exposure, PSF and energy dispersion (none).

    Raises
    ------
    ValueError
        If the energies are not inside 0.3 GeV to 1 TeV.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    axis, true_axis = energy_axes(energy_edges)
    exposure = analytic_lat_exposure(true_axis.center.to_value("GeV"), livetime)
    geom = image.to_cube([axis])

    background = _diffuse_counts(image, known_emission or emission, true_axis, exposure)
    expected = background if known_emission is None else _diffuse_counts(image, emission, true_axis, exposure)
    counts = Map.from_geom(geom, data=rng.poisson(expected).astype(np.float32))
    psf = analytic_lat_psf(true_axis)
    _add_photons(counts, catalog, psf, exposure, true_axis, rng)
    coarse = WcsGeom.create(binsz=EXPOSURE_PIXEL, proj="CAR", frame="galactic", axes=[true_axis])
    return MapDataset(
        counts=counts,
        background=Map.from_geom(geom, data=background),
        exposure=Map.from_geom(
            coarse, data=np.broadcast_to(exposure[:, None, None], coarse.data_shape).copy(), unit="cm2 s"
        ),
        psf=psf,
        edisp=EDispKernelMap.from_diagonal_response(axis, true_axis),
        name="sky",
    )


def _diffuse_counts(image, emission, true_axis, exposure):
    """Expected counts in the bins of the dataset, zero outside the sky, shape ``(n_bins, ...)``."""
    galactic = image.get_coord().skycoord.galactic
    lon, lat = (np.nan_to_num(angle.deg) for angle in (galactic.l, galactic.b))
    solid = np.where(np.isfinite(galactic.l), np.nan_to_num(image.solid_angle().to_value("sr")), 0)
    intensity = emission.interpolate(lon, lat) * solid[..., None]
    edges = true_axis.edges.to_value("GeV")
    share = interval_shares(edges[:-1], edges[1:]) * exposure[:, None]
    share = share.reshape(-1, N_TRUE, share.shape[1]).sum(axis=1)
    return np.stack([(intensity @ weight).astype(np.float32) for weight in share])


def _add_photons(counts, catalog, psf, exposure, true_axis, rng):
    """Add the photons of the sources to the counts."""
    sources = catalog.positions
    edges = true_axis.edges.to_value("GeV")
    rad = psf.psf_map.geom.axes["rad"].edges.to_value("rad")
    profiles = psf.psf_map.data.reshape(len(exposure), len(rad) - 1, -1)[..., 0]
    for i, (e_min, e_max) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        number = rng.poisson(catalog.flux(e_min, e_max) * exposure[i])
        inside = np.concatenate([[0], np.cumsum(profiles[i] * np.diff(-np.cos(rad)))])
        offset = np.interp(rng.random(number.sum()), inside / inside[-1], rad) * u.rad
        angle = rng.uniform(0, 2 * np.pi, number.sum()) * u.rad
        place = np.repeat(np.arange(len(number)), number)
        photons = sources[place].directional_offset_by(angle, offset)
        plane = Map.from_geom(counts.geom.to_image(), data=np.zeros(counts.data.shape[1:], np.float32))
        plane.fill_by_coord({"skycoord": photons})
        counts.data[i // N_TRUE] += plane.data
