# Licensed under a 3-clause BSD style license - see LICENSE
"""Counts that Gammapy predicts, as one vector over the valid pixels of several datasets."""

import numpy as np
from gammapy.datasets.evaluator import PSF_CONTAINMENT, MapEvaluator
from gammapy.maps import Map

__all__ = ["Pixels", "SourcePrediction", "psf_kernels"]


def psf_kernels(datasets):
    """Kernels of the point spread functions that are the same all over a dataset.

    Parameters
    ----------
    datasets : `~gammapy.datasets.Datasets`
        Data.

    Returns
    -------
    kernels : list of `~gammapy.irf.PSFKernel` or None
        As Gammapy makes them; None for a dataset whose point spread function changes over the field.
    """
    kernels = []
    for dataset in datasets:
        psf, kernel = dataset.psf, None
        if psf is not None and psf.has_single_spatial_bin:
            geom = (dataset.exposure if psf.energy_name == "energy_true" else dataset.counts).geom
            kernel = psf.get_psf_kernel(
                position=geom.center_skydir, geom=geom, containment=PSF_CONTAINMENT, max_radius=None
            )
        kernels.append(kernel)
    return kernels


class Pixels:
    """The valid pixels of several datasets as one vector.

    Parameters
    ----------
    datasets : `~gammapy.datasets.Datasets`
        Data.
    kernels : list
        Result of `psf_kernels`.

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
            MapEvaluator(model=model, psf=kernel, gti=dataset.gti)
            for dataset, kernel in zip(pixels.datasets, pixels.kernels, strict=True)
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
            evaluator.update(dataset.exposure, dataset.psf, dataset.edisp, geom, dataset.mask_image)
        if not evaluator.contributes:
            return None
        whole = Map.from_geom(geom, dtype=float)
        whole.stack(evaluator.compute_npred())
        return whole.data
