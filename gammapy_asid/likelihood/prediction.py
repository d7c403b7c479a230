# Licensed under a 3-clause BSD style license - see LICENSE
"""Counts that Gammapy predicts, as one vector over the valid pixels of several datasets."""

import numpy as np
from gammapy.modeling.models import TemplateNPredModel

from ..inputs.masks import valid_bins
from ..inputs.prediction import ModelCounts

__all__ = ["Pixels", "SourcePrediction"]


class Pixels:
    """The valid pixels of several datasets as one vector.

    Parameters
    ----------
    datasets : `~gammapy.datasets.Datasets`
        Data.
    kernels : list of `~gammapy_asid.inputs.prediction.Kernels`
        Of each dataset.

    Attributes
    ----------
    counts : `~numpy.ndarray`
        Counts of the valid pixels, shape ``(n_pix,)``.
    """

    def __init__(self, datasets, kernels):
        self.datasets, self.kernels = datasets, kernels
        self.masks = [valid_bins(dataset) for dataset in datasets]
        self.counts = self.flat([d.counts.data for d in datasets])

    def flat(self, images):
        """Vector of images.

        Parameters
        ----------
        images : list of `~numpy.ndarray`
            One per dataset; None stands for zeros.

        Returns
        -------
        vector : `~numpy.ndarray`
            Their valid pixels, shape ``(n_pix,)``.
        """
        parts = [
            np.zeros(mask.sum()) if image is None else np.asarray(image, dtype=float)[mask]
            for image, mask in zip(images, self.masks, strict=True)
        ]
        return np.concatenate(parts)

    def images(self, vector):
        """Images of a vector.

        Parameters
        ----------
        vector : `~numpy.ndarray`
            Shape ``(n_pix,)``.

        Returns
        -------
        images : list of `~numpy.ndarray`
            One per dataset, zero where not valid.
        """
        images = [np.zeros(mask.shape) for mask in self.masks]
        ends = np.cumsum([mask.sum() for mask in self.masks])
        for image, mask, part in zip(images, self.masks, np.split(vector, ends[:-1]), strict=True):
            image[mask] = part
        return images

    def background(self, name, model=None):
        """Background of one dataset.

        Parameters
        ----------
        name : str
            Name of the dataset.
        model : `~gammapy.modeling.models.FoVBackgroundModel`, optional
            Factor.

        Returns
        -------
        counts : `~numpy.ndarray`
            Zero in the other datasets, shape ``(n_pix,)``.
        """
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
    model : `~gammapy.modeling.models.SkyModel` or `~gammapy.modeling.models.TemplateNPredModel`
        Model, of all datasets or of those it names.
    pixels : `Pixels`
        Pixels to predict.
    """

    def __init__(self, model, pixels):
        self.pixels = pixels
        self.parts = [
            _counts(model, dataset, kernels)
            for dataset, kernels in zip(pixels.datasets, pixels.kernels, strict=True)
        ]

    def __call__(self):
        """Counts at the present parameters, shape ``(n_pix,)``."""
        return self.pixels.flat([None if part is None else part() for part in self.parts])


def _counts(model, dataset, kernels):
    """Function that gives the counts of a model on a dataset; None where it is of others."""
    if model.datasets_names is not None and dataset.name not in model.datasets_names:
        return None
    if isinstance(model, TemplateNPredModel):
        return lambda: model.evaluate().data
    return ModelCounts(model, dataset, kernels)
