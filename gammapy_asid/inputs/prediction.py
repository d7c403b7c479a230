# Licensed under a 3-clause BSD style license - see LICENSE
"""Counts that Gammapy predicts for a model on a dataset."""

import numpy as np
from gammapy.datasets.evaluator import PSF_CONTAINMENT, MapEvaluator
from gammapy.maps import Map

__all__ = ["Kernels", "ModelCounts"]

#: Within this distance in deg the same kernels serve.
KERNEL_REACH = 0.25


class Kernels:
    """Kernels of the response of a dataset, as Gammapy makes them.

    One serves everywhere where the response does not change over the field.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data with a point spread function, on a WCS geometry.
    """

    def __init__(self, dataset):
        self.psf, self.edisp = dataset.psf, dataset.edisp
        self.image, self.energy = dataset.counts.geom.to_image(), dataset.counts.geom.axes["energy"]
        true = self.psf.energy_name == "energy_true"
        self.geom = self.image.to_cube([dataset.exposure.geom.axes["energy_true"] if true else self.energy])
        maps = [self.psf.psf_map] + ([] if self.edisp is None else [self.edisp.edisp_map])
        self.is_uniform = all(map(_is_uniform, maps))
        self.made = []

    def __call__(self, position=None):
        """Kernels for a model at a position.

        Parameters
        ----------
        position : `~astropy.coordinates.SkyCoord`, optional
            Position; for models without one, and for those outside the field, its centre.

        Returns
        -------
        psf : `~gammapy.irf.PSFKernel`
            Kernel of the point spread function.
        edisp : `~gammapy.irf.EDispKernel`
            Energy dispersion; None where the dataset has none.
        """
        if self.is_uniform and self.made:
            return self.made[0][1]
        if position is None or not self.image.contains(position)[0]:
            position = self.image.center_skydir
        for place, kernels in self.made:
            if place.separation(position).deg < KERNEL_REACH:
                return kernels
        psf = self.psf.get_psf_kernel(
            position=position, geom=self.geom, containment=PSF_CONTAINMENT, max_radius=None
        )
        edisp = None
        if self.edisp is not None:
            edisp = self.edisp.get_edisp_kernel(position=position, energy_axis=self.energy)
        self.made.append((position, (psf, edisp)))
        return psf, edisp


def _is_uniform(m):
    values = m.data.reshape(-1, int(np.prod(m.geom.to_image().data_shape)))
    return np.array_equal(values, np.broadcast_to(values[:, :1], values.shape), equal_nan=True)


def _is_everywhere(model, geom):
    """Whether a model is so wide that it covers an image."""
    radius = getattr(model, "evaluation_radius", None)
    if radius is None or model.position is None:
        return True
    return radius > model.position.separation(geom.center_skydir) + geom.to_image().width.max() / 2


class ModelCounts:
    """Counts of one model; only what its parameters changed is computed anew.

    Parameters
    ----------
    model : `~gammapy.modeling.models.SkyModel`
        Model of any kind, also without a position.
    dataset : `~gammapy.datasets.MapDataset`
        Data on square pixels, which the exposure shares; left unchanged.
    kernels : `Kernels`
        Of this dataset.
    """

    def __init__(self, model, dataset, kernels):
        self.dataset = dataset
        psf, edisp = kernels(model.position)
        # Gammapy loses a model whose centre is beyond the horizon of the projection
        mode = "global" if _is_everywhere(model, dataset.counts.geom) else "local"
        self.evaluator = MapEvaluator(
            model=model, psf=psf, edisp=edisp, gti=dataset.gti, evaluation_mode=mode
        )

    def add_to(self, total):
        """Add the counts at the present parameters to a map on the geometry of the counts.

        Parameters
        ----------
        total : `~gammapy.maps.Map`
            Counts, which are changed.
        """
        evaluator, dataset = self.evaluator, self.dataset
        if evaluator.needs_update:
            # It has its kernels already
            evaluator.update(dataset.exposure, None, None, dataset.counts.geom, dataset.mask_image)
        if evaluator.contributes:
            total.stack(evaluator.compute_npred())

    def __call__(self):
        """Counts at the present parameters, in the shape of those of the dataset."""
        total = Map.from_geom(self.dataset.counts.geom, dtype=float)
        self.add_to(total)
        return total.data
