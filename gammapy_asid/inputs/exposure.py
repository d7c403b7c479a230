# Licensed under a 3-clause BSD style license - see LICENSE
"""Exposure of a dataset on other pixels."""

import numpy as np
from astropy.coordinates import SkyCoord
from gammapy.maps import HpxGeom, RegionGeom
from scipy.ndimage import map_coordinates

from .pixel_grid import same_image

__all__ = ["exposure_at", "exposure_nodes"]


def exposure_nodes(exposure, pixels, grid, regrid):
    """Exposure at the finest pixels.

    Parameters
    ----------
    exposure : `~gammapy.maps.Map`
        Exposure with an ``energy_true`` axis.
    pixels : `~gammapy_asid.inputs.field_pixels.FieldPixels`
        Pixels to serve.
    grid : `~gammapy_asid.inputs.pixel_grid.PixelGrid`
        Pixels of the counts.
    regrid : `~gammapy_asid.inputs.rebin.Regrid`
        Their transfer to the field, used where the exposure has the same pixels.

    Returns
    -------
    nodes : `~numpy.ndarray`
        True energies in GeV, shape ``(n_nodes,)``.
    values : `~numpy.ndarray`
        Exposure in cm2 s, shape ``(n_nodes, ny, nx)``.
    """
    nodes = exposure.geom.axes["energy_true"].center.to_value("GeV")
    image = None if isinstance(exposure.geom, RegionGeom) else exposure.geom.to_image()
    if same_image(image, grid.geom):
        flat = np.nan_to_num(exposure.quantity.to_value("cm2 s").astype(float)).reshape(len(nodes), -1)
        area = pixels.relative_area(grid) * flat.any(axis=0)
        total = regrid.spread(area[None])[0]
        values = regrid.spread(flat * area)
        return nodes, np.divide(values, total, out=np.zeros_like(values), where=total > 0)
    return nodes, exposure_at(exposure, pixels.geom)


def exposure_at(exposure, geom):
    """Exposure at the pixels of an image, interpolated.

    Parameters
    ----------
    exposure : `~gammapy.maps.Map`
        Exposure with an ``energy_true`` axis, on other pixels.
    geom : `~gammapy.maps.WcsGeom`
        Image geometry.

    Returns
    -------
    values : `~numpy.ndarray`
        Exposure in cm2 s, 0 outside the map; shape ``(n_nodes, ny, nx)``.
    """
    n_nodes, shape = exposure.geom.axes["energy_true"].nbin, geom.data_shape
    data = np.nan_to_num(exposure.quantity.to_value("cm2 s").astype(float))
    if isinstance(exposure.geom, RegionGeom):
        return np.broadcast_to(data.reshape(n_nodes, 1, 1), (n_nodes, *shape))
    if isinstance(exposure.geom, HpxGeom):
        return _from_healpix(exposure, geom)
    image = exposure.geom.to_image()
    x, y = image.coord_to_pix(geom.get_coord().skycoord)
    ny, nx = image.data_shape
    inside = (x > -1) & (x < nx) & (y > -1) & (y < ny)
    at = np.stack([np.nan_to_num(y), np.nan_to_num(x)])
    values = np.stack([map_coordinates(plane, at, order=1, mode="nearest") for plane in data])
    return values * inside


def _from_healpix(exposure, geom):
    """Exposure of a HEALPix map in cm2 s, interpolated at half its pixel size and from there."""
    ny, nx = geom.data_shape
    native = np.degrees(np.sqrt(exposure.geom.to_image().solid_angle().to_value("sr").flat[0]))
    pixel_size = np.sqrt(np.nanmedian(geom.solid_angle().to_value("deg2")))
    step = max(int(0.5 * native / pixel_size), 1)
    y, x = np.meshgrid(*(np.arange(0, n - 1 + step, step) for n in (ny, nx)), indexing="ij")
    lon, lat = geom.pix_to_coord((x, y))
    sky = SkyCoord(lon, lat, frame=geom.frame)
    nodes = exposure.geom.axes["energy_true"].center[:, None, None]
    coarse = exposure.interp_by_coord({"skycoord": sky[None], "energy_true": nodes})
    coarse = np.nan_to_num(coarse) * exposure.unit.to("cm2 s")
    at = np.mgrid[:ny, :nx] / step
    return np.stack([map_coordinates(plane, at, order=1) for plane in coarse])
