# Licensed under a 3-clause BSD style license - see LICENSE
"""Maps whose longitudes run on beyond half a turn from their reference."""

import numpy as np
from gammapy.irf import PSFMap
from gammapy.maps import Map, WcsGeom
from gammapy.modeling.models import Models

__all__ = ["wrapped_geom", "wrapped_irf", "wrapped_map", "wrapped_models"]

#: Projections in which a longitude is a column, whatever the longitude of the reference.
CYLINDRICAL = ("CAR", "CEA", "CYP", "MER")
#: Tolerance in deg.
EPS = 1e-6


def wrapped_geom(geom):
    """The same pixels with their reference in the middle, where they reach beyond half a turn from it.

    A projection knows longitudes of up to 180 deg on either side of its reference: positions in columns
    farther away have no pixel. Cylindrical projections with their reference on the equator can have it
    anywhere.

    Parameters
    ----------
    geom : `~gammapy.maps.Geom`
        Geometry.

    Returns
    -------
    geom : `~gammapy.maps.Geom`
        The geometry itself where there is nothing to do.
    """
    if type(geom) is not WcsGeom or not geom.is_regular or geom.projection not in CYLINDRICAL:
        return geom
    wcs = geom.wcs.wcs
    matrix = geom.wcs.pixel_scale_matrix
    if abs(wcs.crval[1]) > EPS or matrix[0, 1] or matrix[1, 0]:
        return geom
    nx, step = geom.data_shape[-1], matrix[0, 0]
    ends = (np.array([0.5, nx + 0.5]) - wcs.crpix[0]) * step
    middle = 0.5 * (nx + 1)
    if np.abs(ends).max() <= 180 + EPS or wcs.crpix[0] == middle:
        return geom
    moved = geom.wcs.deepcopy()
    moved.wcs.crval = [(wcs.crval[0] + (middle - wcs.crpix[0]) * step) % 360, wcs.crval[1]]
    moved.wcs.crpix = [middle, wcs.crpix[1]]
    return WcsGeom(moved, npix=geom.npix, axes=geom.axes)


def wrapped_map(m):
    """Map on `wrapped_geom`, which shares its data.

    Parameters
    ----------
    m : `~gammapy.maps.Map` or None
        Map.

    Returns
    -------
    m : `~gammapy.maps.Map` or None
        The same one where nothing is odd.
    """
    if m is None:
        return None
    geom = wrapped_geom(m.geom)
    return m if geom is m.geom else Map.from_geom(geom, data=m.data, unit=m.unit, meta=m.meta)


def wrapped_irf(irf):
    """Point spread function or energy dispersion with its maps on `wrapped_geom`.

    Parameters
    ----------
    irf : `~gammapy.irf.PSFMap`, `~gammapy.irf.EDispMap` or None
        Response.

    Returns
    -------
    irf : object
        The same one where nothing is odd.
    """
    if irf is None:
        return None
    name = "psf_map" if isinstance(irf, PSFMap) else "edisp_map"
    maps = [getattr(irf, name), irf.exposure_map]
    wrapped = [wrapped_map(m) for m in maps]
    return irf if all(a is b for a, b in zip(maps, wrapped, strict=True)) else type(irf)(*wrapped)


def wrapped_models(models):
    """Models, those with a map of an odd reference copied with it on `wrapped_geom`.

    Parameters
    ----------
    models : `~gammapy.modeling.models.Models` or None
        Models.

    Returns
    -------
    models : `~gammapy.modeling.models.Models` or None
        Models.
    """
    return None if models is None else Models([_wrapped_model(model) for model in models])


def _wrapped_model(model):
    spatial = getattr(model, "spatial_model", None)
    if wrapped_map(getattr(spatial, "map", None)) is not getattr(spatial, "map", None):
        copy = model.copy(name=model.name, datasets_names=model.datasets_names)
        copy.spatial_model._map = wrapped_map(spatial.map)
        return copy
    template = getattr(model, "map", None)
    if wrapped_map(template) is not template:
        return model.copy(name=model.name, map=wrapped_map(template), spatial_model=spatial)
    return model
