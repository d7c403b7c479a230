# Licensed under a 3-clause BSD style license - see LICENSE
"""Photons drawn at their places on the sky, and datasets of them on any pixels."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from gammapy.datasets import MapDataset
from gammapy.irf import EDispKernelMap, PSFMap
from gammapy.maps import Map, MapAxis, WcsGeom

from gammapy_asid.simulation import analytic_lat_exposure, analytic_lat_psf
from gammapy_asid.simulation.analytic_lat import energy_axes
from gammapy_asid.simulation.sky_grid import interval_shares

__all__ = ["Photons", "draw_photons", "photon_dataset", "scaled_psf"]

#: Edges of the energy bins in GeV.
EDGES = (0.3, 0.5, 1.0, 2.0, 7.0, 20.0, 1000.0)
#: Pixels of the emission that photons are drawn from, in deg.
FINE = 0.05


@dataclass
class Photons:
    """Photons of a part of the sky.

    Parameters
    ----------
    position : `~astropy.coordinates.SkyCoord`
        Places where they were seen.
    energy_bin : `~numpy.ndarray`
        Number of their bin of `EDGES`.
    emission : `~gammapy_asid.simulation.diffuse.EmissionModel`
        Diffuse emission that some of them come from.
    livetime : float
        Length of the observation in years.
    """

    position: SkyCoord
    energy_bin: np.ndarray
    emission: object
    livetime: float


def draw_photons(rng, centre, radius, catalog, emission, livetime=10.0):
    """Draw the photons of sources and of diffuse emission around a direction.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Random numbers.
    centre : `~astropy.coordinates.SkyCoord`
        Direction.
    radius : float
        Radius in deg in which diffuse photons are drawn; sources all shine.
    catalog : `~gammapy_asid.simulation.MockCatalog`
        Sources.
    emission : `~gammapy_asid.simulation.diffuse.EmissionModel`
        Diffuse emission, not blurred.
    livetime : float
        Length of the observation in years.

    Returns
    -------
    photons : `Photons`
        Photons.
    """
    axis, true_axis = energy_axes(EDGES)
    exposure = analytic_lat_exposure(true_axis.center.to_value("GeV"), livetime)
    n_true = true_axis.nbin // axis.nbin
    lon, lat, bins = [], [], []
    fine = WcsGeom.create(skydir=centre, width=2 * radius, binsz=FINE, proj="ZEA", frame="galactic")
    expected = _diffuse(fine, emission, true_axis, exposure)
    for energy_bin, image in enumerate(expected):
        y, x = np.divmod(np.repeat(np.arange(image.size), rng.poisson(image.ravel())), image.shape[1])
        sky = fine.pix_to_coord((x + rng.uniform(-0.5, 0.5, x.size), y + rng.uniform(-0.5, 0.5, x.size)))
        lon.append(sky[0].to_value("deg"))
        lat.append(sky[1].to_value("deg"))
        bins.append(np.full(x.size, energy_bin))
    psf = analytic_lat_psf(true_axis)
    rad = psf.psf_map.geom.axes["rad"].edges.to_value("rad")
    profiles = psf.psf_map.data.reshape(len(exposure), len(rad) - 1, -1)[..., 0]
    sources = catalog.positions
    edges = true_axis.edges.to_value("GeV")
    for i, (e_min, e_max) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        place = np.repeat(np.arange(len(sources)), rng.poisson(catalog.flux(e_min, e_max) * exposure[i]))
        inside = np.concatenate([[0], np.cumsum(profiles[i] * np.diff(-np.cos(rad)))])
        offset = np.interp(rng.random(place.size), inside / inside[-1], rad) * u.rad
        seen = sources[place].directional_offset_by(rng.uniform(0, 2 * np.pi, place.size) * u.rad, offset)
        lon.append(seen.l.deg)
        lat.append(seen.b.deg)
        bins.append(np.full(place.size, i // n_true))
    position = SkyCoord(np.concatenate(lon), np.concatenate(lat), unit="deg", frame="galactic")
    return Photons(position, np.concatenate(bins), emission, livetime)


def photon_dataset(photons, image, psf_scale=1.0, name="photons"):
    """Dataset of photons on pixels.

    Parameters
    ----------
    photons : `Photons`
        Photons.
    image : `~gammapy.maps.WcsGeom` or `~gammapy.maps.HpxGeom`
        Pixels.
    psf_scale : float
        Width of the point spread function that is stated over the true one.
    name : str
        Name.

    Returns
    -------
    dataset : `~gammapy.datasets.MapDataset`
        Counts, the true background, exposure, PSF and energy dispersion (none).
    """
    axis, true_axis = energy_axes(EDGES)
    exposure = analytic_lat_exposure(true_axis.center.to_value("GeV"), photons.livetime)
    geom = image.to_cube([axis])
    counts = Map.from_geom(geom)
    counts.fill_by_coord({"skycoord": photons.position, "energy": axis.center[photons.energy_bin]})
    coarse = WcsGeom.create(binsz=5, proj="CAR", frame="galactic", axes=[true_axis])
    return MapDataset(
        counts=counts,
        background=Map.from_geom(geom, data=_diffuse(image, photons.emission, true_axis, exposure)),
        exposure=Map.from_geom(
            coarse, data=np.broadcast_to(exposure[:, None, None], coarse.data_shape).copy(), unit="cm2 s"
        ),
        psf=scaled_psf(analytic_lat_psf(true_axis), psf_scale),
        edisp=EDispKernelMap.from_diagonal_response(axis, true_axis),
        name=name,
    )


def scaled_psf(psf, factor):
    """Point spread function that is wider by a factor."""
    axes = psf.psf_map.geom.axes
    rad = MapAxis.from_edges(factor * axes["rad"].edges, name="rad")
    geom = psf.psf_map.geom.to_image().to_cube([rad, axes["energy_true"]])
    return PSFMap(Map.from_geom(geom, data=psf.psf_map.data / factor**2, unit="sr-1"), psf.exposure_map)


def _diffuse(image, emission, true_axis, exposure):
    """Expected counts of diffuse emission in the bins, shape ``(n_bins, ...)``."""
    galactic = image.get_coord().skycoord.galactic
    intensity = emission.interpolate(galactic.l.deg, galactic.b.deg)
    intensity = intensity * image.solid_angle().to_value("sr")[..., None]
    edges = true_axis.edges.to_value("GeV")
    share = interval_shares(edges[:-1], edges[1:]) * exposure[:, None]
    share = share.reshape(len(EDGES) - 1, -1, share.shape[1]).sum(axis=1)
    return np.moveaxis(np.nan_to_num(intensity) @ share.T, -1, 0)
