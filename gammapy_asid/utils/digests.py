# Licensed under a 3-clause BSD style license - see LICENSE
"""Hashes of what determines a result: settings, data with their units and axes, models, networks."""

import hashlib
from functools import partial
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, MethodType

import astropy.units as u
import numpy as np
import torch
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astropy.time import Time
from gammapy.datasets import MapDataset
from gammapy.irf import EDispMap, PSFMap
from gammapy.maps import Geom, Map, MapAxis
from gammapy.modeling.models import ModelBase

__all__ = ["digest"]


def digest(value):
    """Hash of a value: equal for equal values in any process.

    Parameters
    ----------
    value : object
        Numbers, strings, containers, arrays, tensors, quantities, tables, maps, datasets, models, and
        objects made of them.

    Returns
    -------
    digest : str
        SHA-256 in hexadecimal.
    """
    sha = hashlib.sha256()
    _feed(sha, value, ())
    return sha.hexdigest()


def _feed(sha, value, parents):
    if id(value) in parents:
        return _tag(sha, "itself", parents.index(id(value)))
    inside = (*parents, id(value))
    if isinstance(value, np.generic) and value.dtype.kind in "biufc":
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return _tag(sha, type(value).__name__, value)
    if isinstance(value, u.UnitBase):
        return _tag(sha, "unit", value.to_string())
    if isinstance(value, PurePath):
        return _tag(sha, "path", str(value))
    if isinstance(value, (type, FunctionType, BuiltinFunctionType)):
        return _tag(sha, "name", f"{value.__module__}.{value.__qualname__}")
    if isinstance(value, (list, tuple)):
        return _each(sha, "list", value, inside)
    if isinstance(value, dict):
        return _pairs(sha, "dict", value, inside)
    if isinstance(value, (set, frozenset)):
        return _tag(sha, "set", sorted(digest(item) for item in value))
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        if value.dtype == torch.bfloat16:
            value = value.float()
        return _array(sha, value.numpy(), inside)
    if isinstance(value, u.Quantity):
        _tag(sha, "unit", value.unit.to_string())
        return _array(sha, value.value, inside)
    if isinstance(value, np.ndarray):
        return _array(sha, value, inside)
    if isinstance(value, (partial, MethodType)):
        owner = value.args if isinstance(value, partial) else value.__self__
        function = value.func if isinstance(value, partial) else value.__func__
        return _each(sha, "call", [function, owner, getattr(value, "keywords", None)], inside)
    if isinstance(value, Table):
        columns = {name: value[name] for name in value.colnames}
        units = {name: getattr(column, "unit", None) for name, column in columns.items()}
        return _each(sha, "table", [value.colnames, columns, units], inside)
    for kind, parts in PARTS.items():
        if isinstance(value, kind):
            return _pairs(sha, kind.__name__, parts(value), inside)
    return _object(sha, value, inside)


def _tag(sha, kind, value):
    text = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
    sha.update(f"{kind}:{len(text)}:".encode() + text)


def _each(sha, kind, values, parents):
    _tag(sha, kind, len(values))
    for value in values:
        _feed(sha, value, parents)


def _pairs(sha, kind, pairs, parents):
    _tag(sha, kind, len(pairs))
    for key in sorted(pairs, key=str):
        _feed(sha, key, parents)
        _feed(sha, pairs[key], parents)


def _array(sha, array, parents):
    array = np.asanyarray(array)
    _tag(sha, "array", (array.dtype.str, array.shape))
    if np.ma.isMaskedArray(array):
        _array(sha, np.ma.getmaskarray(array), parents)
        array = array.filled()
    if array.dtype.kind == "O":
        return _each(sha, "objects", array.ravel().tolist(), parents)
    if array.nbytes:
        sha.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))


def _object(sha, value, parents):
    """Any other object, as its class and what it holds; what shadows a method is no data."""
    if isinstance(getattr(value, "__dict__", None), dict):
        held = {k: v for k, v in vars(value).items() if not callable(getattr(type(value), k, None))}
    else:
        held = list(value.__reduce_ex__(4)[1:3])
    _tag(sha, "object", f"{type(value).__module__}.{type(value).__qualname__}")
    _feed(sha, held, parents)


def _of_axis(axis):
    if isinstance(axis, MapAxis):
        values = axis.edges if axis.node_type == "edges" else axis.center
        return {"name": axis.name, "interp": axis.interp, "nodes": axis.node_type, "values": values}
    return {"name": axis.name, "values": str(axis)}


def _of_geom(geom):
    parts = {"kind": type(geom).__name__, "axes": [_of_axis(axis) for axis in geom.axes]}
    if getattr(geom, "is_region", False):
        return parts | {"wcs": str(geom.wcs.to_header()), "region": str(geom.region)}
    if geom.is_hpx:
        where = None if geom.is_allsky else np.asarray(geom.to_image()._ipix)
        return parts | {"nside": geom.nside, "nest": geom.nest, "frame": geom.frame, "pixels": where}
    return parts | {"wcs": geom.wcs.to_header_string(relax=True), "shape": geom.npix}


def _of_model(model):
    # Programs may choose the names anew each time
    settings = {
        k: v for k, v in model.to_dict(full_output=True).items() if k not in ("name", "datasets_names")
    }
    parts = {"kind": type(model).__name__, "settings": settings}
    # Templates are no part of the settings
    for part in (model, getattr(model, "spatial_model", None)):
        if isinstance(getattr(part, "map", None), Map):
            parts[f"map of {type(part).__name__}"] = part.map
    return parts


def _of_position(position):
    frame = position.spherical
    return {"frame": position.frame.name, "lon": frame.lon.deg, "lat": frame.lat.deg}


def _of_dataset(dataset):
    names = ("counts", "background", "exposure", "mask_safe", "mask_fit", "psf", "edisp")
    return {name: getattr(dataset, name) for name in names} | {"models": list(dataset.models or ())}


#: What makes up objects that also hold caches, names and plots.
PARTS = {
    MapDataset: _of_dataset,
    PSFMap: lambda psf: {"map": psf.psf_map},
    EDispMap: lambda edisp: {"map": edisp.edisp_map},
    Map: lambda m: {"geom": m.geom, "unit": m.unit, "data": m.data},
    Geom: _of_geom,
    ModelBase: _of_model,
    SkyCoord: _of_position,
    Time: lambda time: {"scale": time.scale, "jd": np.stack([time.jd1, time.jd2])},
}
