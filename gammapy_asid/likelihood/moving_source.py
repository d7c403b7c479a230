# Licensed under a 3-clause BSD style license - see LICENSE
"""Fit of a source that moves, beside others of which only the levels are free."""

from functools import cached_property, partial
from itertools import product

import numpy as np

from .poisson_fit import LEAST_EXPECTED, cash, fisher_scoring

__all__ = ["MovingSource", "RegionFit"]

#: Steps of the numerical derivatives by spectral parameters: about their errors at the faintest sources that
#: are fitted, where the likelihood is a parabola.
SPECTRAL_STEPS = {"index": 0.1, "alpha": 0.1, "index_1": 0.1, "beta": 0.03, "expfactor": 0.06}
#: Differences by places, in pixels to either side: as far as the next kink, and well between two.
WIDE, NARROW = 0.5, 0.05
#: Distance in pixels of further starts, beyond the next kink; how many are tried; and how much worse they may
#: be: one that is worse by more leads to no better minimum.
STEP, MORE_STARTS, WORST_START = 0.5, 2, 3.0
#: Smallest eigenvalue of an information matrix of unit diagonal that has an inverse in double precision.
LEAST_EIGENVALUE = 1e-6
#: Information of a parameter without effect, so that nothing is divided by zero or overflows.
LEAST_DIAGONAL = 1e-300


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
        """Covariance of some parameters of the source.

        Parameters
        ----------
        names : list of str
            Parameters.

        Returns
        -------
        covariance : `~numpy.ndarray`
            Shape ``(n, n)``.
        """
        index = [self.names.index(name) for name in names]
        return self._matrix[np.ix_(index, index)]


class MovingSource:
    """Expected counts with a source, as functions of its free parameters and of the levels.

    The amplitude, which comes first, is in units of its first value.

    Parameters
    ----------
    source : `~gammapy.modeling.models.SkyModel`
        Source, whose parameters move.
    likelihood : `~gammapy_asid.likelihood.region_likelihood.RegionLikelihood`
        Likelihood, whose levels are the start.
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
        """Fit the source, which takes its fitted values, and the levels (`RegionFit`)."""
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
            self._expect,
            partial(self._derive, share=share),
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
                around.append((cash(self._expect(values), self.likelihood.pixels.counts), tuple(values)))
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

    def _expect(self, values):
        """Expected counts, shape ``(n_pix,)``."""
        n = len(self.start)
        self.at, self.counts = values[1:n].copy(), self._template(values[1:n])
        return self.likelihood.fixed + values[n:] @ self.likelihood.free + values[0] * self.counts

    def _derive(self, values, share):
        """Derivatives, those of places over a share of a pixel to either side; shape ``(n_par, n_pix)``."""
        n = len(self.start)
        shape = values[1:n]
        if not np.array_equal(shape, self.at):
            self._expect(values)
        rows = [self.counts]
        for i, step in enumerate(self.spectral_steps + share * self.pixels_wide):
            low, high = np.clip([shape[i] - step, shape[i] + step], *self.limits[i + 1])
            ends = [self._template(np.r_[shape[:i], value, shape[i + 1 :]]) for value in (high, low)]
            rows.append(values[0] * (ends[0] - ends[1]) / (high - low))
        return np.concatenate([rows, self.likelihood.free])

    def _covariance(self, values):
        """Covariance of the source, from the observed information where that has an inverse."""
        n, counts = len(self.start), self.likelihood.pixels.counts
        expected = np.maximum(self._expect(values), LEAST_EXPECTED)
        derivatives = self._derive(values, WIDE)
        information = (derivatives * (counts / expected**2)) @ derivatives.T
        information[1:n, 1:n] += self._curvature(values, 1 - counts / expected)
        if np.linalg.eigvalsh(_scaled(information)).min() < LEAST_EIGENVALUE:
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
    scale = np.sqrt(np.maximum(np.diag(matrix), LEAST_DIAGONAL))
    return matrix / scale / scale[:, None]
