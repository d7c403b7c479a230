# Licensed under a 3-clause BSD style license - see LICENSE
"""Datasets as estimators use them: checked, and without what was not observed."""

import logging

import numpy as np
from gammapy.datasets import MapDataset
from gammapy.maps import HpxGeom, Map, RegionGeom
from scipy.ndimage import distance_transform_edt

from .bands import BandCube
from .checks import check_dataset, each_usable
from .longitudes import wrapped_geom, wrapped_irf, wrapped_map, wrapped_models
from .pixel_grid import same_image
from .unobserved import unobserved

__all__ = ["prepare_dataset", "usable_datasets"]

log = logging.getLogger(__name__)


def prepare_dataset(dataset):
    """Dataset that is checked and has a mask of what was really observed.

    Masked are, besides what the dataset masks itself, pixels whose exposure is zero or not finite, and parts
    without any counts where many are predicted, see `~gammapy_asid.inputs.unobserved.unobserved`. Maps
    that wrap around the sky get their reference in the middle, counts and background lose their
    unit of photons, masks become boolean, and values that are neither observed nor finite become zero. At
    energies at which the PSF has no data it is that of the nearest energy that has.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Dataset; left unchanged.

    Returns
    -------
    dataset : `~gammapy.datasets.MapDataset`
        Dataset of the same name that shares the data as far as possible; the dataset itself where there is
        nothing to do. Prepared once more it is the same.

    Raises
    ------
    TypeError
        If it is no `~gammapy.datasets.MapDataset`.
    ValueError
        If a part is missing or unusable, or nothing is left.
    """
    check_dataset(dataset)
    geom = wrapped_geom(dataset.counts.geom)
    maps = {
        what: _on_geom(getattr(dataset, what), geom, kind)
        for what, kind in (("counts", None), ("background", None), ("mask_safe", bool), ("mask_fit", bool))
    }
    maps["exposure"], bad = _finite(_exposure_image(dataset.exposure, geom))
    masks = [m.data for m in (maps["mask_safe"], maps["mask_fit"]) if m is not None]
    valid = np.logical_and.reduce(masks) if masks else np.ones(geom.data_shape, bool)
    observed = _observed(maps, geom, valid, bad, dataset.name)
    if not np.array_equal(observed, valid):
        maps["mask_safe"] = Map.from_geom(geom, data=observed)
    for what in ("counts", "background"):
        maps[what] = _without_gaps(maps[what], observed)
    irfs = {
        "psf": _whole_psf(wrapped_irf(dataset.psf), geom.axes["energy"], dataset.name),
        "edisp": wrapped_irf(dataset.edisp),
    }
    parts = maps | irfs
    models = wrapped_models(dataset.models)
    same = all(part is getattr(dataset, what) for what, part in parts.items())
    if same and all(a is b for a, b in zip(models or (), dataset.models or (), strict=True)):
        return dataset
    return MapDataset(**parts, gti=dataset.gti, meta=dataset.meta, name=dataset.name, models=models)


def usable_datasets(datasets):
    """Prepared datasets; one among several that holds nothing usable is left out with a warning.

    Parameters
    ----------
    datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
        Data; left unchanged. A `~gammapy_asid.inputs.BandCube`, which was made of such datasets, is returned
        as it is.

    Returns
    -------
    datasets : list of `~gammapy.datasets.MapDataset`
        At least one, see `prepare_dataset`.

    Raises
    ------
    TypeError
        If one is no `~gammapy.datasets.MapDataset`.
    ValueError
        If none can be used.
    """
    return datasets if isinstance(datasets, BandCube) else each_usable(datasets, prepare_dataset)


def _on_geom(m, geom, kind=None):
    """Map of the kind on the geometry of the counts, which it has up to its description."""
    if m is None:
        return None
    same = m.geom is geom or (m.geom == geom and wrapped_geom(m.geom) is m.geom)
    if same and m.unit == "" and (kind is None or m.data.dtype == kind):
        return m
    data = m.data if kind is None else np.asarray(m.data, dtype=kind)
    return Map.from_geom(geom, data=data.reshape(geom.data_shape))


def _exposure_image(exposure, geom):
    """Exposure as a map of the sky: that of a region holds everywhere."""
    if not isinstance(exposure.geom, RegionGeom):
        return wrapped_map(exposure)
    axis = exposure.geom.axes["energy_true"]
    cube = geom.to_image().to_cube([axis])
    data = exposure.data.reshape(axis.nbin, *[1] * (len(cube.data_shape) - 1))
    return Map.from_geom(cube, data=np.broadcast_to(data, cube.data_shape), unit=exposure.unit)


def _without_gaps(m, observed):
    """Map with zeros where it is not finite outside of what was observed."""
    if m is None or np.isfinite(m.data).all():
        return m
    return Map.from_geom(m.geom, data=np.where(observed | np.isfinite(m.data), m.data, 0))


def _whole_psf(psf, energy, name):
    """PSF with that of the nearest energy where it has no data at some: no photons get lost."""
    data = np.nan_to_num(psf.psf_map.data)
    n_energies, n_rad, *shape = data.shape
    data = data.reshape(n_energies, n_rad, -1)
    good = data.any(axis=1)
    gaps = ~good & good.any(axis=0)
    if not gaps.any():
        return psf
    axis, index, data = psf.psf_map.geom.axes[psf.energy_name], np.arange(n_energies), data.copy()
    for place in np.flatnonzero(gaps.any(axis=0)):
        known = np.flatnonzero(good[:, place])
        nearest = known[np.abs(index[:, None] - known).argmin(axis=1)]
        data[:, :, place] = data[nearest, :, place]
    # Beyond the energies of the counts it hardly matters
    counted = (axis.edges[1:] > energy.edges[0]) & (axis.edges[:-1] < energy.edges[-1])
    lost = np.flatnonzero(gaps.any(axis=1) & counted)
    if len(lost):
        low, high = (edges.to_value("GeV") for edges in (axis.edges[lost[0]], axis.edges[lost[-1] + 1]))
        log.warning(
            f"Dataset {name!r} has a PSF without data at {len(lost)} energies of {low:.3g}-{high:.3g} GeV: "
            "that of the nearest energy is taken."
        )
    psf_map = Map.from_geom(
        psf.psf_map.geom, data=data.reshape(n_energies, n_rad, *shape), unit=psf.psf_map.unit
    )
    return type(psf)(psf_map, psf.exposure_map)


def _finite(exposure):
    """Exposure with zeros where it is not finite, and where these are (None for nowhere).

    Pixels of a projection outside of the sky take the value of the nearest inside, since
    interpolation reaches them.
    """
    bad = ~np.isfinite(exposure.data)
    if not bad.any():
        return exposure, None
    data = np.where(bad, 0, exposure.data)
    image = exposure.geom.to_image()
    if not isinstance(image, HpxGeom):
        outside = ~np.isfinite(image.get_coord().lon)
        if outside.any():
            nearest = distance_transform_edt(outside, return_distances=False, return_indices=True)
            data, bad = data[:, *nearest], bad & ~outside
    return Map.from_geom(exposure.geom, data=data, unit=exposure.unit), bad if bad.any() else None


def _observed(maps, geom, valid, bad, name):
    """Which pixels count, shape of the counts."""
    exposure, counts = maps["exposure"], maps["counts"].data
    observed = valid.copy()
    if bad is not None:
        lost = observed & _touched(exposure, bad, geom)
        observed &= ~lost
        if lost.any():
            _say(lost, name, "have an exposure that is not finite (NaN or infinite)")
    observed &= _spread(exposure, (exposure.data > 0).any(axis=0), geom)
    if not observed.any():
        raise ValueError(
            f"Dataset {name!r}: the exposure is zero everywhere in the valid part of the field, or not "
            "finite: check dataset.exposure and its unit."
        )
    background = None if maps["background"] is None else maps["background"].data
    missing = unobserved(counts, background, observed, geom.to_image())
    if missing.any():
        observed &= ~missing
        _say(
            missing,
            name,
            "lie in empty parts where many counts are expected, which were not observed",
            ": set dataset.mask_safe to what was",
        )
    if not observed.any():
        raise ValueError(f"Dataset {name!r}: nothing is left, see the warnings before")
    return observed


def _touched(exposure, bad, geom):
    """Bins of the counts whose exposure depends on values that are not finite."""
    nodes = exposure.geom.axes["energy_true"].center.to_value("GeV")
    edges = geom.axes["energy"].edges.to_value("GeV")
    # One node beyond either edge takes part in an interpolation
    first = np.clip(np.searchsorted(nodes, edges[:-1], side="right") - 1, 0, len(nodes) - 1)
    last = np.clip(np.searchsorted(nodes, edges[1:]), 0, len(nodes) - 1)
    touched = {
        pair: _spread(exposure, bad[pair[0] : pair[1] + 1].any(axis=0), geom)
        for pair in set(zip(first, last, strict=True))
    }
    return np.stack(
        [np.broadcast_to(touched[pair], geom.data_shape[1:]) for pair in zip(first, last, strict=True)]
    )


def _spread(exposure, flags, geom):
    """Pixels of the counts next to flagged pixels of the exposure, shape of an image."""
    own, image = exposure.geom.to_image(), geom.to_image()
    if same_image(own, image):
        return flags
    if isinstance(own, HpxGeom):
        m = Map.from_geom(own, data=flags.astype(float))
        return np.nan_to_num(m.get_by_coord(image.get_coord())) > 0
    sky = image.get_coord().skycoord
    x, y = (np.nan_to_num(a, nan=-9.0) for a in own.coord_to_pix(sky))
    ny, nx = own.data_shape
    inside = (x > -1) & (x < nx) & (y > -1) & (y < ny)
    near = np.zeros(inside.shape, bool)
    for row in (np.floor(y), np.ceil(y)):
        for column in (np.floor(x), np.ceil(x)):
            near |= flags[row.astype(int).clip(0, ny - 1), column.astype(int).clip(0, nx - 1)]
    return near & inside


def _say(lost, name, what, advice=""):
    pixels = lost.any(axis=0)
    log.warning(
        f"Dataset {name!r}: {pixels.sum()} of {pixels.size} pixels {what}; they are left out, "
        f"in {lost.any(axis=tuple(range(1, lost.ndim))).sum()} of {len(lost)} energy bins{advice}"
    )
