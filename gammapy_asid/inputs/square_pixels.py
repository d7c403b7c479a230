# Licensed under a 3-clause BSD style license - see LICENSE
"""A dataset on square pixels, for methods that need them."""

import numpy as np
from gammapy.datasets import MapDataset
from gammapy.irf import PSFMap
from gammapy.maps import Map, MapAxis, WcsGeom
from gammapy.modeling.models import TemplateNPredModel

from .datasets import counts_model, with_own_exposure
from .expected_counts import template_counts
from .exposure import exposure_nodes
from .field_pixels import FieldPixels
from .masks import valid_bins
from .pixel_grid import PixelGrid
from .response import RAD, psf_nodes, smear_psf

__all__ = ["on_square_pixels"]


def on_square_pixels(parts, seed=0):
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
        Dataset with the name and the models of the first part, whose exposure has the pixels of the
        counts. One part with square pixels keeps them, and its counts.
    """
    first = parts[0]
    valid = [valid_bins(part).reshape(len(part.counts.data), -1) for part in parts]
    grids = [
        PixelGrid(part.counts.geom.to_image(), v.any(axis=0)) for part, v in zip(parts, valid, strict=True)
    ]
    if len(parts) == 1 and grids[0].is_nominal:
        return with_own_exposure(first)
    pixels = FieldPixels(grids, min(grid.size for grid in grids))
    geom = pixels.geom.to_cube([first.counts.geom.axes["energy"]])
    counts, background, templates, coverage, exposure = _added(parts, grids, valid, pixels, geom, seed)
    models = [model for model in first.models or () if not isinstance(model, TemplateNPredModel)]
    if templates.any():
        models.append(counts_model(Map.from_geom(geom, data=templates), first.name))
    true = pixels.geom.to_cube([first.exposure.geom.axes["energy_true"]])
    spread = pixels.is_spread(grids[0])
    return MapDataset(
        counts=Map.from_geom(geom, data=counts),
        background=None if first.background is None else Map.from_geom(geom, data=background),
        exposure=Map.from_geom(true, data=exposure, unit="cm2 s"),
        psf=_smeared(first.psf, pixels.geom.center_skydir, grids[0].spread) if spread else first.psf,
        edisp=first.edisp,
        gti=first.gti,
        # Pixels of which a part has no data would hold too few counts
        mask_safe=Map.from_geom(geom, data=coverage > 0.95),
        name=first.name,
        models=models,
    )


def _added(parts, grids, valid, pixels, geom, seed):
    """Counts, background, templates and valid share of the pixels of all parts together, and the exposure."""
    rng = np.random.default_rng(seed)
    counts, background, templates, coverage = (np.zeros(geom.data_shape) for _ in range(4))
    exposure = 0.0
    for part, grid, good in zip(parts, grids, valid, strict=True):
        regrid = pixels.regrid(grid)
        counts += regrid.scatter(_flat(part.counts) * good, rng)
        coverage += regrid.spread(good * pixels.relative_area(grid))
        for total, own in ((background, part.background), (templates, template_counts(part))):
            if own is not None:
                total += regrid.spread(_flat(own) * good)
        # The exposure of a part may end where the part does
        exposure = np.maximum(exposure, exposure_nodes(part.exposure, pixels, grid, regrid)[1])
    return counts, background, templates, coverage, exposure


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
