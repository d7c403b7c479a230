# Licensed under a 3-clause BSD style license - see LICENSE
"""Hashes of what determines a result: settings, data with their units and axes, models, networks."""

import hashlib
from functools import partial
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, MethodType, NoneType

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
    if isinstance(value, PLAIN):
        return _tag(sha, type(value).__name__, value)
    for kinds, feed in KINDS.items():
        if isinstance(value, kinds):
            return feed(sha, value, inside)
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


def _quantity(sha, quantity, parents):
    _tag(sha, "unit", quantity.unit.to_string())
    _array(sha, quantity.value, parents)


def _tensor(sha, tensor, parents):
    tensor = tensor.detach().cpu()
    # NumPy has no such numbers
    _array(sha, (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy(), parents)


def _call(sha, call, parents):
    """A function with some of its arguments, or a method with its object."""
    if isinstance(call, partial):
        parts = [call.func, call.args, call.keywords]
    else:
        parts = [call.__func__, call.__self__, None]
    _each(sha, "call", parts, parents)


def _table(sha, table, parents):
    columns = {name: table[name] for name in table.colnames}
    units = {name: getattr(column, "unit", None) for name, column in columns.items()}
    _each(sha, "table", [table.colnames, columns, units], parents)


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
    """Any other object, as its class and what it holds; what shadows a method is no data.

    A class that was called otherwise says what its objects were, so that folders of earlier work go on: see
    `~gammapy_asid.learning.card.StrictCard.digested`.
    """
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    if hasattr(type(value), "digested"):
        name, held = value.digested()
    elif isinstance(getattr(value, "__dict__", None), dict):
        held = {k: v for k, v in vars(value).items() if not callable(getattr(type(value), k, None))}
    else:
        held = list(value.__reduce_ex__(4)[1:3])
    _tag(sha, "object", name)
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


#: What is its own text.
PLAIN = (NoneType, bool, int, float, complex, str, bytes)

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

#: How each kind of value is fed; the first that fits is taken.
KINDS = {
    u.UnitBase: lambda sha, unit, _: _tag(sha, "unit", unit.to_string()),
    PurePath: lambda sha, path, _: _tag(sha, "path", str(path)),
    (type, FunctionType, BuiltinFunctionType): lambda sha, value, _: _tag(
        sha, "name", f"{value.__module__}.{value.__qualname__}"
    ),
    (list, tuple): lambda sha, values, parents: _each(sha, "list", values, parents),
    dict: lambda sha, pairs, parents: _pairs(sha, "dict", pairs, parents),
    (set, frozenset): lambda sha, values, _: _tag(sha, "set", sorted(digest(value) for value in values)),
    torch.Tensor: _tensor,
    u.Quantity: _quantity,
    np.ndarray: _array,
    (partial, MethodType): _call,
    Table: _table,
}
