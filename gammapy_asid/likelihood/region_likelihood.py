# Licensed under a 3-clause BSD style license - see LICENSE
"""Likelihood of a region as a function of few parameters, on the counts that Gammapy predicts."""

import numpy as np
from gammapy.modeling.models import FoVBackgroundModel

from .moving_source import MovingSource, RegionFit
from .point_prediction import PointPrediction
from .poisson_fit import fisher_scoring
from .prediction import Pixels, SourcePrediction
from .region import NORM_RANGE

__all__ = ["RegionLikelihood"]


class RegionLikelihood:
    """Poisson likelihood of a region.

    The levels of neighbours and backgrounds enter linearly: their predicted counts are computed once.
    Only the candidate is predicted anew where its position or the shape of its spectrum moves.

    Parameters
    ----------
    region : `~gammapy_asid.likelihood.region.Region`
        Region.
    """

    def __init__(self, region):
        self.pixels = Pixels(region.datasets, region.kernels)
        self.pixel_size = min(d.counts.geom.pixel_scales.to_value("deg").min() for d in region.datasets)
        fixed, free, limits = np.zeros(len(self.pixels.counts)), [], []
        backgrounds = {d.name for d in region.datasets if d.background is not None}
        for model in region.known:
            if isinstance(model, FoVBackgroundModel):
                name = model.datasets_names[0]
                backgrounds.discard(name)
                template, level = self.pixels.background(name, model), model.spectral_model.norm
                bounds = NORM_RANGE
            else:
                template, bounds = self.prediction(model)(), (0, np.inf)
                level = getattr(model.spectral_model, "amplitude", None)
            if level is None or level.frozen:
                fixed += template
            else:
                free.append(template)
                limits.append(bounds)
        for name in backgrounds:
            fixed += self.pixels.background(name)
        self.fixed, self.free = fixed, np.array(free).reshape(len(free), len(fixed))
        self.limits = np.array(limits).reshape(len(free), 2)
        self.levels = np.ones(len(free))

    def prediction(self, model):
        """Counts of a model.

        Parameters
        ----------
        model : `~gammapy.modeling.models.SkyModel` or `~gammapy.modeling.models.TemplateNPredModel`
            Model.

        Returns
        -------
        counts : callable
            Gives the counts at the present parameters of the model, shape ``(n_pix,)``.
        """
        kind = PointPrediction if PointPrediction.serves(model, self.pixels) else SourcePrediction
        return kind(model, self.pixels)

    def choose(self, source, name, values):
        """Leave a source with the value of one parameter that fits best, and its amplitude.

        Parameters
        ----------
        source : `~gammapy.modeling.models.SkyModel`
            Source, of which nothing else moves. Its amplitude becomes zero where none helps.
        name : str
            Parameter.
        values : sequence of float
            Its values.

        Returns
        -------
        stat : float
            Cash statistic, never worse than without the source.
        """
        predict, amplitude = self.prediction(source), source.spectral_model.amplitude
        fits = []
        for value in values:
            source.parameters[name].value = value
            rows = np.concatenate([[predict()], self.free])
            fits.append(
                fisher_scoring(
                    self.pixels.counts,
                    lambda v, rows=rows: self.fixed + v @ rows,
                    lambda _, rows=rows: rows,
                    np.r_[0.0, self.levels],
                    np.r_[0.0, self.limits[:, 0]],
                    np.r_[np.inf, self.limits[:, 1]],
                )
            )
        best = int(np.argmin([fit.stat for fit in fits]))
        source.parameters[name].value = values[best]
        amplitude.value *= fits[best].values[0]
        self.levels = fits[best].values[1:]
        return fits[best].stat

    def minimise(self, source=None):
        """Fit the levels, and a source if there is one.

        Parameters
        ----------
        source : `~gammapy.modeling.models.SkyModel`, optional
            Source; its free parameters take their fitted values.

        Returns
        -------
        fit : `RegionFit`
            Result.

        Raises
        ------
        RuntimeError
            If the fit does not converge.
        """
        if source is None:
            fit = fisher_scoring(
                self.pixels.counts,
                lambda levels: self.fixed + levels @ self.free,
                lambda _: self.free,
                self.levels,
                *self.limits.T,
            )
            self.levels = fit.values
            return RegionFit(fit.stat)
        return MovingSource(source, self).minimise()
