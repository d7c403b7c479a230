# Licensed under a 3-clause BSD style license - see LICENSE
"""Likelihood of a region as a function of few parameters, on the counts that Gammapy predicts."""

from functools import cached_property, partial
from itertools import product

import numpy as np
from gammapy.modeling.models import FoVBackgroundModel

from .point_prediction import PointPrediction
from .poisson_fit import cash, fisher_scoring
from .prediction import Pixels, SourcePrediction
from .region import NORM_RANGE

__all__ = ["RegionLikelihood", "RegionFit"]

#: Steps of the numerical derivatives by spectral parameters.
SPECTRAL_STEPS = {"index": 0.1, "alpha": 0.1, "beta": 0.03}
#: Differences by places, in pixels to either side.
WIDE, NARROW = 0.5, 0.05
#: Distance in pixels of further starts, how many are tried, and how much worse they may be.
STEP, MORE_STARTS, WORST_START = 0.5, 2, 3.0


class RegionFit:
    """Result of a fit.

    Parameters
    ----------
    stat : float
        Cash statistic at the minimum.
    names : sequence of str
        Free parameters of the source.
    solve : callable, optional
        Gives their covariance, levels of all others free; shape ``(n, n)``.
    """

    def __init__(self, stat, names=(), solve=None):
        self.stat, self.names, self._solve = stat, list(names), solve

    @cached_property
    def _matrix(self):
        return self._solve()

    def covariance(self, names):
        """Covariance of some parameters of the source, shape ``(n, n)``."""
        index = [self.names.index(name) for name in names]
        return self._matrix[np.ix_(index, index)]


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
        """Function that gives the counts of a model at its present parameters."""
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
        return _MovingSource(source, self).minimise()


class _MovingSource:
    """Expected counts with a source, as functions of its free parameters and of the levels.

    The amplitude, which comes first, is in units of its first value.
    """

    def __init__(self, source, likelihood):
        self.likelihood, self.source = likelihood, source
        self.predict = likelihood.prediction(source)
        self.amplitude = source.spectral_model.amplitude
        self.unit = self.amplitude.value
        # Spectra first: while the position stays the image of the source is not convolved anew
        places = [p for p in source.spatial_model.parameters if not p.frozen]
        spectral = [p for p in source.spectral_model.parameters if not p.frozen and p is not self.amplitude]
        self.shape = spectral + places
        self.pixels_wide = np.array([0.0] * len(spectral) + [self._width_of_pixel(p) for p in places])
        self.spectral_steps = np.array([SPECTRAL_STEPS[p.name] for p in spectral] + [0.0] * len(places))
        self.start = np.array([1.0, *(p.value for p in self.shape)])
        self.limits = np.array([(0, np.inf), *((p.min, p.max) for p in self.shape)])
        self.at, self.counts = None, None

    def _width_of_pixel(self, parameter):
        stretch = 1.0
        if parameter.name == "lon_0":
            stretch = np.cos(self.source.spatial_model.lat_0.quantity).value
        return self.likelihood.pixel_size / stretch

    def minimise(self):
        """Fit the source and the levels."""
        values = np.concatenate([self.start, self.likelihood.levels])
        fit = self._descend(values, WIDE)
        if self.pixels_wide.any():
            # Gammapy spreads a point over four pixels, so that the likelihood has kinks at their centres:
            # wide differences look beyond them, narrow ones find the bottom between them, on each side
            fits = [self._descend(start, NARROW) for start in self._starts(fit)]
            fit = min(fits, key=lambda fit: fit.stat)
        self._leave(fit.values)
        names = [self.amplitude.name, *(p.name for p in self.shape)]
        return RegionFit(fit.stat, names, partial(self._covariance, fit.values))

    def _descend(self, values, share):
        return fisher_scoring(
            self.likelihood.pixels.counts,
            self.expect,
            partial(self.derive, share=share),
            values,
            *np.concatenate([self.limits, self.likelihood.limits]).T,
        )

    def _starts(self, fit):
        """Values of a fit, and the best ones in the pixels around it."""
        places = 1 + np.flatnonzero(self.pixels_wide)
        around = []
        for move in product((-1, 0, 1), repeat=len(places)):
            if any(move):
                values = fit.values.copy()
                values[places] += STEP * np.array(move) * self.pixels_wide[places - 1]
                values[: len(self.start)] = np.clip(values[: len(self.start)], *self.limits.T)
                around.append((cash(self.expect(values), self.likelihood.pixels.counts), tuple(values)))
        best = [start for start in sorted(around)[:MORE_STARTS] if start[0] < fit.stat + WORST_START]
        return [fit.values, *(np.array(values) for _, values in best)]

    def _leave(self, values):
        """Leave the source with fitted values."""
        self._set(values[1 : len(self.start)])
        self.amplitude.value = self.unit * values[0]

    def _set(self, shape):
        for parameter, value in zip(self.shape, shape, strict=True):
            parameter.value = value

    def _template(self, shape):
        self._set(shape)
        self.amplitude.value = self.unit
        return self.predict()

    def expect(self, values):
        """Expected counts, shape ``(n_pix,)``."""
        n = len(self.start)
        self.at, self.counts = values[1:n].copy(), self._template(values[1:n])
        return self.likelihood.fixed + values[n:] @ self.likelihood.free + values[0] * self.counts

    def derive(self, values, share):
        """Derivatives, those of places over a share of a pixel to either side; shape ``(n_par, n_pix)``."""
        n = len(self.start)
        shape = values[1:n]
        if not np.array_equal(shape, self.at):
            self.expect(values)
        rows = [self.counts]
        for i, step in enumerate(self.spectral_steps + share * self.pixels_wide):
            low, high = np.clip([shape[i] - step, shape[i] + step], *self.limits[i + 1])
            ends = [self._template(np.r_[shape[:i], value, shape[i + 1 :]]) for value in (high, low)]
            rows.append(values[0] * (ends[0] - ends[1]) / (high - low))
        return np.concatenate([rows, self.likelihood.free])

    def _covariance(self, values):
        """Covariance of the source, from the observed information where that has an inverse."""
        n, counts = len(self.start), self.likelihood.pixels.counts
        expected = np.maximum(self.expect(values), 1e-12)
        derivatives = self.derive(values, WIDE)
        information = (derivatives * (counts / expected**2)) @ derivatives.T
        information[1:n, 1:n] += self._curvature(values, 1 - counts / expected)
        if np.linalg.eigvalsh(_scaled(information)).min() < 1e-6:
            information = (derivatives / expected) @ derivatives.T
        self._leave(values)
        covariance = np.linalg.pinv(information, hermitian=True)[:n, :n]
        scale = np.r_[self.unit, np.ones(n - 1)]
        return covariance * scale * scale[:, None]

    def _curvature(self, values, excess):
        """Second derivatives by the places, summed over the pixels with weights; shape ``(n, n)``."""
        n = len(self.start)
        shape, centre = values[1:n], self._template(values[1:n])
        moves = np.diag(self.pixels_wide)
        second = np.zeros(moves.shape)
        places = np.flatnonzero(self.pixels_wide)

        def at(move):
            return excess @ self._template(np.clip(shape + move, *self.limits[1:].T))

        for i in places:
            second[i, i] = at(moves[i]) + at(-moves[i]) - 2 * (excess @ centre)
            for j in places[places < i]:
                second[i, j] = second[j, i] = (
                    at(moves[i] + moves[j])
                    + at(-moves[i] - moves[j])
                    - at(moves[i] - moves[j])
                    - at(moves[j] - moves[i])
                ) / 4
        width = np.where(self.pixels_wide > 0, self.pixels_wide, 1.0)
        return values[0] * second / width / width[:, None]


def _scaled(matrix):
    scale = np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    return matrix / scale / scale[:, None]
