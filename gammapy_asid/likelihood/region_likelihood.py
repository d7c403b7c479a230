# Licensed under a 3-clause BSD style license - see LICENSE
"""Likelihood of a region as a function of few parameters, on the counts that Gammapy predicts."""

from dataclasses import dataclass

import numpy as np
from gammapy.modeling.models import FoVBackgroundModel
from iminuit import Minuit

__all__ = ["RegionLikelihood", "SourceFit"]

#: Evaluations after which a fit has failed.
MAX_CALLS = 3000
#: Predicted counts below this are raised to it, as in Gammapy.
SMALLEST = 1e-25
#: Range of levels of the background.
NORM_RANGE = (0.1, 10.0)


@dataclass
class SourceFit:
    """Result of a fit.

    Parameters
    ----------
    stat : float
        Cash statistic at the minimum.
    minuit : `~iminuit.Minuit`
        Minimiser at the minimum. The parameters of the source come first and are called as in its model.
    """

    stat: float
    minuit: Minuit

    def covariance(self, names):
        """Covariance of parameters of the source, shape ``(n, n)``."""
        self.minuit.hesse()
        covariance = self.minuit.covariance
        if covariance is None or not self.minuit.fmin.has_accurate_covar:
            raise RuntimeError("the errors could not be found")
        return np.array([[covariance[one, other] for other in names] for one in names])


class RegionLikelihood:
    """Poisson likelihood (Cash 1979, ApJ 228, 939) of a region.

    The levels of neighbours and backgrounds enter linearly: their predicted counts are computed once.
    Only the candidate is predicted anew, by Gammapy, where its position or the shape of its spectrum moves.

    Parameters
    ----------
    region : `~gammapy_asid.likelihood.region.Region`
        Region.
    """

    def __init__(self, region):
        self.datasets, self.source = region.datasets, None
        self.masks = [
            np.ones(d.counts.data.shape, dtype=bool)
            if d.mask is None
            else np.asarray(d.mask.data, dtype=bool)
            for d in self.datasets
        ]
        self.counts = self._flat([d.counts.data for d in self.datasets])
        self.seen = np.flatnonzero(self.counts > 0)
        self.seen_counts = self.counts[self.seen]
        fixed, free, self.limits = np.zeros(len(self.counts)), [], []
        backgrounds = {d.name: d for d in self.datasets if d.background is not None}
        for model in region.known:
            if isinstance(model, FoVBackgroundModel):
                template = self._background(backgrounds.pop(model.datasets_names[0]), model)
                level, limits = model.spectral_model.norm, NORM_RANGE
            else:
                template = self._predict(model)
                level, limits = getattr(model.spectral_model, "amplitude", None), (0, None)
            if level is None or level.frozen:
                fixed += template
            else:
                free.append(template)
                self.limits.append(limits)
        for dataset in backgrounds.values():
            fixed += self._flat([dataset.background.data * (d is dataset) for d in self.datasets])
        self.fixed, self.free = fixed, np.array(free).reshape(len(free), len(fixed))

    def _flat(self, images):
        return np.concatenate(
            [np.asarray(image, dtype=float)[mask] for image, mask in zip(images, self.masks, strict=True)]
        )

    def _background(self, dataset, model):
        dataset.models = [model]
        data = dataset.npred_background().data
        return self._flat([data if d is dataset else np.zeros(d.counts.data.shape) for d in self.datasets])

    def _predict(self, model):
        """Counts that Gammapy predicts for a model."""
        images = []
        for dataset in self.datasets:
            if (
                dataset.models is None
                or list(dataset.models.names) != [model.name]
                or self.source is not model
            ):
                dataset.models = [model]
            images.append(dataset.npred_signal().data)
        self.source = model
        return self._flat(images)

    def minimise(self, source=None):
        """Fit the levels, and a source if there is one.

        Parameters
        ----------
        source : `~gammapy.modeling.models.SkyModel`, optional
            Source; its free parameters take their fitted values.

        Returns
        -------
        fit : `SourceFit`
            Result.

        Raises
        ------
        RuntimeError
            If the fit does not converge.
        """
        parameters = [] if source is None else list(source.parameters.free_parameters)
        shape = [p for p in parameters if p.name != "amplitude"]
        start = source.spectral_model.amplitude.value if parameters else 0.0
        cache = {}

        def counts_of(values):
            key = tuple(values)
            if key not in cache:
                cache.clear()
                for parameter, value in zip(shape, values, strict=True):
                    parameter.value = value
                cache[key] = self._predict(source)
            return cache[key]

        n = len(parameters)
        is_level = np.array([p.name == "amplitude" for p in parameters], dtype=bool)

        def stat(values):
            expected = self.fixed + values[n:] @ self.free
            if n:
                expected = expected + values[:n][is_level][0] * counts_of(values[:n][~is_level])
            seen = np.maximum(expected[self.seen], SMALLEST)
            return 2 * (expected.sum() - self.seen_counts @ np.log(seen))

        names = [p.name for p in parameters] + [f"level_{i}" for i in range(len(self.free))]
        values = [1.0 if p.name == "amplitude" else p.value for p in parameters] + [1.0] * len(self.free)
        if not names:
            return SourceFit(stat(np.zeros(0)), None)
        minuit = Minuit(stat, np.array(values), name=names)
        minuit.errordef, minuit.strategy = Minuit.LEAST_SQUARES, 1
        for parameter in parameters:
            minuit.errors[parameter.name] = STEPS[parameter.name]
            minuit.limits[parameter.name] = (
                (0, None) if parameter.name == "amplitude" else (parameter.min, parameter.max)
            )
        for i, limits in enumerate(self.limits):
            minuit.errors[f"level_{i}"], minuit.limits[f"level_{i}"] = 0.1, limits
        minuit.migrad(ncall=MAX_CALLS)
        if not minuit.valid or not np.isfinite(minuit.fval):
            raise RuntimeError("the fit did not converge")
        for parameter in parameters:
            level = start if parameter.name == "amplitude" else 1.0
            parameter.value = level * minuit.values[parameter.name]
        return SourceFit(float(minuit.fval), minuit)


#: First steps of the parameters: deg, and for the amplitude a share of itself.
STEPS = {
    "amplitude": 0.3,
    "lon_0": 0.02,
    "lat_0": 0.02,
    "sigma": 0.05,
    "index": 0.2,
    "alpha": 0.2,
    "beta": 0.05,
}
