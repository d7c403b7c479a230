# Licensed under a 3-clause BSD style license - see LICENSE
"""A dataset on square pixels, for methods that need them."""

import numpy as np
from gammapy.datasets import MapDataset
from gammapy.irf import PSFMap
from gammapy.maps import Map, MapAxis, WcsGeom

from .field import Field, PixelGrid
from .response import RAD, exposure_nodes, psf_nodes, smear_psf

__all__ = ["regular_dataset"]


def regular_dataset(parts, seed=0):
    """Bring the parts of a dataset to one image with square pixels of their size.

    The models of Gammapy are blurred as if pixels were squares of one size, which those of HEALPix and of
    projections of the whole sky are not. Counts are conserved: each is put in one of the
    pixels that its own overlaps, and the point spread function is widened by what that blurs.

    Parameters
    ----------
    parts : list of `~gammapy.datasets.MapDataset`
        Parts of one dataset, see `~gammapy_asid.survey.TileCutter`; left unchanged.
    seed : int
        Seed for the place of counts.

    Returns
    -------
    dataset : `~gammapy.datasets.MapDataset`
        Dataset with the name and the models of the first part; that part itself where the pixels of its
        counts are square and those of its exposure the same.
    """
    first = parts[0]
    valid = [_valid(part) for part in parts]
    grids = [
        PixelGrid(part.counts.geom.to_image(), v.any(axis=0)) for part, v in zip(parts, valid, strict=True)
    ]
    # Gammapy's predictions need the exposure on the pixels of the counts, too
    if len(parts) == 1 and grids[0].is_regular and first.exposure.geom.to_image() == grids[0].geom:
        return first
    field = Field(grids, min(grid.size for grid in grids))
    energy, rng = first.counts.geom.axes["energy"], np.random.default_rng(seed)
    geom = field.geom.to_cube([energy])
    counts, background, coverage = (np.zeros(geom.data_shape) for _ in range(3))
    for part, grid, good in zip(parts, grids, valid, strict=True):
        regrid = field.regrid(grid)
        counts += regrid.scatter(_flat(part.counts) * good, rng)
        coverage += regrid.spread(good * field.relative_area(grid))
        if part.background is not None:
            background += regrid.spread(_flat(part.background) * good)
    nodes, exposure = exposure_nodes(first.exposure, field, grids[0], field.regrid(grids[0]))
    dataset = MapDataset(
        counts=Map.from_geom(geom, data=counts),
        background=None if first.background is None else Map.from_geom(geom, data=background),
        exposure=Map.from_geom(
            field.geom.to_cube([first.exposure.geom.axes["energy_true"]]), data=exposure, unit="cm2 s"
        ),
        psf=_smeared(first.psf, field.geom.center_skydir, grids[0].spread)
        if field.is_spread(grids[0])
        else first.psf,
        edisp=first.edisp,
        gti=first.gti,
        # Pixels of which a part has no data would hold too few counts
        mask_safe=Map.from_geom(geom, data=coverage > 0.95),
        name=first.name,
    )
    dataset.models = first.models
    return dataset


def _valid(dataset):
    shape = dataset.counts.data.shape
    mask = np.ones(shape, bool) if dataset.mask is None else np.asarray(dataset.mask.data)
    return mask.reshape(shape[0], -1)


def _flat(m):
    return np.nan_to_num(np.asarray(m.data, dtype=float)).reshape(len(m.data), -1)


def _smeared(psf, position, width):
    """Point spread function of counts that lost their place inside their pixels."""
    nodes, values = psf_nodes(psf, position)
    axes = [
        MapAxis.from_nodes(RAD, unit="deg", name="rad"),
        MapAxis.from_nodes(nodes, unit="GeV", name="energy_true", interp="log"),
    ]
    geom = WcsGeom.create(npix=(2, 1), proj="CAR", binsz=180, axes=axes)
    values = smear_psf(values, width)[..., None, None]
    return PSFMap(Map.from_geom(geom, data=np.broadcast_to(values, geom.data_shape).copy(), unit="sr-1"))
