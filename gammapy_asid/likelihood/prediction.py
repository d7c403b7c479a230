# Licensed under a 3-clause BSD style license - see LICENSE
"""Counts that Gammapy predicts, as one vector over the valid pixels of several datasets."""

import numpy as np
from gammapy.datasets.evaluator import PSF_CONTAINMENT, MapEvaluator
from gammapy.maps import Map

__all__ = ["Kernels", "Pixels", "SourcePrediction"]


#: Within this distance in deg a kernel of the point spread function serves.
KERNEL_REACH = 0.25


class Kernels:
    """Kernels of the point spread function of a dataset, as Gammapy makes them.

    One serves everywhere where the function does not change over the field.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data.
    """

    def __init__(self, dataset):
        self.psf = dataset.psf
        self.made = []
        if self.psf is not None:
            true = self.psf.energy_name == "energy_true"
            self.geom = (dataset.exposure if true else dataset.counts).geom
            if self.psf.has_single_spatial_bin:
                self._make(self.geom.center_skydir)

    def __call__(self, position):
        """Kernel (`~gammapy.irf.PSFKernel`) for a source at a position; None where there is no PSF."""
        if self.psf is None:
            return None
        if self.psf.has_single_spatial_bin:
            return self.made[0][1]
        for place, kernel in self.made:
            if place.separation(position).deg < KERNEL_REACH:
                return kernel
        return self._make(position)

    def _make(self, position):
        kernel = self.psf.get_psf_kernel(
            position=position, geom=self.geom, containment=PSF_CONTAINMENT, max_radius=None
        )
        self.made.append((position, kernel))
        return kernel


class Pixels:
    """The valid pixels of several datasets as one vector.

    Parameters
    ----------
    datasets : `~gammapy.datasets.Datasets`
        Data.
    kernels : list of `Kernels`
        Of each dataset.

    Attributes
    ----------
    counts : `~numpy.ndarray`
        Counts of the valid pixels, shape ``(n_pix,)``.
    """

    def __init__(self, datasets, kernels):
        self.datasets, self.kernels = datasets, kernels
        self.masks = [
            np.ones(d.counts.data.shape, dtype=bool)
            if d.mask is None
            else np.asarray(d.mask.data, dtype=bool)
            for d in datasets
        ]
        self.counts = self.flat([d.counts.data for d in datasets])

    def flat(self, images):
        """Vector of images, one per dataset; None stands for zeros."""
        parts = [
            np.zeros(mask.sum()) if image is None else np.asarray(image, dtype=float)[mask]
            for image, mask in zip(images, self.masks, strict=True)
        ]
        return np.concatenate(parts)

    def background(self, name, model=None):
        """Background of the dataset of that name, times its model if there is one."""
        images = []
        for dataset in self.datasets:
            own = dataset.background if dataset.name == name else None
            if own is not None and model is not None:
                own = own * model.evaluate_geom(geom=own.geom)
            images.append(None if own is None else own.data)
        return self.flat(images)


class SourcePrediction:
    """Counts of one model; only what its parameters changed is computed anew.

    Parameters
    ----------
    model : `~gammapy.modeling.models.SkyModel`
        Model.
    pixels : `Pixels`
        Pixels to predict.
    """

    def __init__(self, model, pixels):
        self.pixels = pixels
        self.evaluators = [
            MapEvaluator(model=model, psf=kernels(model.position), gti=dataset.gti)
            for dataset, kernels in zip(pixels.datasets, pixels.kernels, strict=True)
        ]

    def __call__(self):
        """Counts at the present parameters, shape ``(n_pix,)``."""
        images = [
            self._image(evaluator, dataset)
            for evaluator, dataset in zip(self.evaluators, self.pixels.datasets, strict=True)
        ]
        return self.pixels.flat(images)

    @staticmethod
    def _image(evaluator, dataset):
        geom = dataset.counts.geom
        if evaluator.needs_update:
            # It has its kernel already
            evaluator.update(dataset.exposure, None, dataset.edisp, geom, dataset.mask_image)
        if not evaluator.contributes:
            return None
        whole = Map.from_geom(geom, dtype=float)
        whole.stack(evaluator.compute_npred())
        return whole.data
