# Licensed under a 3-clause BSD style license - see LICENSE
"""Fluxes of all sources of an image at once, by weighted least squares."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csc_array, hstack
from scipy.sparse.linalg import LinearOperator, cg

from ...utils.devices import Movable, inference
from .bound import flux_bound
from .design import CORE, Pixels, around, design
from .profiles import Profiles, nearest_pixels
from .sky import Sky

__all__ = ["JointFit", "joint_fit"]

#: Share of the information of a flux that ties it to the value of the step before: sources that cannot be
#: told apart share their light, and no flux diverges. The last step is tied to the one before it, which
#: leaves no bias.
RIDGE = 0.003

#: Error of the solution in units of the noise, and steps of conjugate gradients at most.
TOLERANCE, STEPS = 0.05, 60

#: Sources move no further, in units of the given error of the position.
LIMIT = 3.0

#: Error of a position for which none is given, over the full width at half maximum.
POSITION_ERROR = 0.1

#: Error of the sky level at a node, in units of the noise of a pixel.
SKY_ERROR = 1.0


@dataclass
class JointFit(Movable):
    """Sources as the fit sees them; tensors of shape ``(k,)`` but for `model` and `residual`.

    Parameters
    ----------
    image : `~torch.Tensor`
        Number of the image.
    x, y : `~torch.Tensor`
        Positions in pixels.
    flux, flux_err : `~torch.Tensor`
        Total light of a star in signal units, and its Cramér-Rao bound beside its neighbours; NaN where no
        pixel tells it.
    chi2 : `~torch.Tensor`
        Mean square of what is left in units of the noise within the full width at half maximum, NaN as above.
    good : `~torch.Tensor`
        Share of the light that falls on pixels which count.
    saturated : `~torch.Tensor`
        Whether a pixel within the full width at half maximum is saturated, bool.
    model : `~torch.Tensor`
        All sources and the fitted sky in signal units, shape ``(n, ny, nx)``.
    residual : `~torch.Tensor`
        Signal less model where pixels count, else 0; of the same shape.
    """

    image: torch.Tensor
    x: torch.Tensor
    y: torch.Tensor
    flux: torch.Tensor
    flux_err: torch.Tensor
    chi2: torch.Tensor
    good: torch.Tensor
    saturated: torch.Tensor
    model: torch.Tensor
    residual: torch.Tensor

    def __len__(self):
        return len(self.flux)


@inference()
def joint_fit(batch, x, y, image=None, iterations=2, position_error=None, sky_mesh=None):
    """Fit the point spread function to all sources of images at once.

    Weighted linear least squares over all pixels (as in Schlafly et al. 2018, ApJS 234, 39) by
    conjugate gradients; positions move by Gauss-Newton steps together with the fluxes.

    Parameters
    ----------
    batch : `~gammapy_asid.optical.batch.ImageBatch`
        Images.
    x, y : array-like
        Positions of the sources in pixels, shape ``(k,)``.
    image : array-like, optional
        Number of the image of each source; by default all are in the first.
    iterations : int
        Steps of the positions; with 0 they stay.
    position_error : float or array-like, optional
        Standard deviation of the given positions in pixels, along each axis, to which the fit is tied; by
        default `POSITION_ERROR` of the full width at half maximum.
    sky_mesh : float, optional
        Distance in pixels of the nodes of a level of the sky that is fitted together with the sources; by
        default the background that was subtracted is taken for true.

    Returns
    -------
    fit : `JointFit`
        Fluxes and what is left.

    Raises
    ------
    ValueError
        If positions are not finite or not of one length.
    """
    batch = batch.to("cpu")
    x, y, image = _checked(batch, x, y, image)
    problem = _Problem(batch, image, sky_mesh)
    error = POSITION_ERROR * batch.fwhm[image] if position_error is None else position_error
    error = torch.as_tensor(error, dtype=torch.float32).expand(len(x))
    flux = problem.solve(x, y, torch.zeros(len(x)))[0]
    new_x, new_y = x, y
    for _ in range(iterations if len(x) else 0):
        previous = torch.stack([new_x - x, new_y - y]) / error
        flux, moves = problem.solve(new_x, new_y, flux, error, previous)
        moved = (previous + moves).clamp(-LIMIT, LIMIT) * error
        new_x, new_y = x + moved[0], y + moved[1]
    flux = problem.solve(new_x, new_y, flux, repeats=2)[0]
    return problem.result(new_x, new_y, flux, error if iterations else None)


def _checked(batch, x, y, image):
    x, y = (torch.as_tensor(np.asarray(v), dtype=torch.float32).flatten() for v in (x, y))
    image = torch.zeros(len(x)).long() if image is None else torch.as_tensor(np.asarray(image)).long()
    if not len(x) == len(y) == len(image):
        raise ValueError(f"Positions need one length, got {len(x)}, {len(y)} and {len(image)}")
    if not (torch.isfinite(x).all() and torch.isfinite(y).all()):
        raise ValueError("Positions must be finite numbers of pixels: leave out the sources that have none")
    if len(image) and not (image.min() >= 0 and image.max() < len(batch)):
        raise ValueError(f"Sources lie in images 0 to {len(batch) - 1}, got {image.min()} to {image.max()}")
    return x, y, image


class _Problem:
    """Images and their sources, to be solved at one set of positions after the other."""

    def __init__(self, batch, image, sky_mesh):
        self.batch, self.image = batch, image
        self.pixels = Pixels(batch)
        self.profiles = Profiles(batch)
        reach = int(np.ceil(CORE * float(batch.fwhm.max()))) + 1
        self.near = Profiles(batch, min(reach, self.profiles.half))
        self.sky = None if sky_mesh is None else Sky(self.pixels, sky_mesh)
        self.sky_level = None

    def brightness(self, x, y):
        """Flux of a star that has the brightest pixel around each place."""
        column, row = nearest_pixels(x, y)
        index, inside = around(self.pixels.shape, self.image, column, row, (1, 1))
        peak = torch.where(inside, self.batch.signal.flatten()[index], 0.0).flatten(1).amax(1)
        return peak / self.batch.kernels.amax((1, 2))[self.image]

    def design(self, x, y, flux, slopes=None):
        """Matrices of `~gammapy_asid.optical.fit.design.design`."""
        bright = self.brightness(x, y)
        # In crowds most of what is bright belongs to others; what a blend takes can come back
        bright = torch.where(flux != 0, torch.minimum(bright, 1.5 * flux.abs() + 10), bright)
        return design(self.pixels, (self.near, self.profiles), self.image, x, y, bright, slopes)

    def solve(self, x, y, flux, error=None, previous=None, repeats=1):
        """Fluxes, and with errors of the positions also moves in units of these."""
        k = len(x)
        if error is None:
            matrices, tied, pull = self.design(x, y, flux), np.zeros(k), np.zeros(k)
        else:
            matrices = self.design(x, y, flux, flux.clamp(min=0) * error)
            tied = np.concatenate([np.zeros(k), np.ones(2 * k)])
            pull = np.concatenate([np.zeros(k), -previous.flatten().numpy()])
        start = np.concatenate([flux.numpy(), np.zeros(len(tied) - k)])
        if self.sky is not None:
            nodes = np.zeros(len(self.sky))
            level = nodes if self.sky_level is None else self.sky_level
            tied = np.concatenate([tied, nodes + SKY_ERROR**-2])
            pull, start = np.concatenate([pull, nodes]), np.concatenate([start, level])
        matrix = hstack(matrices, format="csc") if len(matrices) > 1 else matrices[0]
        for _ in range(repeats):
            start = _least_squares(matrix, self.sky, self.pixels.data, start, k, tied, pull)
        values = torch.from_numpy(start)
        if self.sky is not None:
            self.sky_level = values[-len(self.sky) :].numpy()
        return values[:k], None if error is None else values[k : 3 * k].view(2, k)

    def result(self, x, y, flux, error):
        """`JointFit` at the last positions."""
        batch, pixels = self.batch, self.pixels
        model = self.model(x, y, flux)
        residual = torch.where(pixels.good, batch.signal - model, 0.0)
        light = self.profiles(self.image, x, y)
        column, row = nearest_pixels(x, y)
        index, inside = around(pixels.shape, self.image, column, row, (self.profiles.half,) * 2)
        good = pixels.good.flatten()[index] & inside
        share = (light * good).sum((1, 2)) / light.sum((1, 2))
        offset = torch.arange(-self.profiles.half, self.profiles.half + 1)
        near = (offset[:, None] ** 2 + offset**2) <= batch.fwhm[self.image, None, None] ** 2
        square = (residual**2 / batch.variance.clamp(min=1e-6)).flatten()[index]
        chi2 = (square * (near & good)).sum((1, 2)) / (near & good).sum((1, 2))
        saturated = (batch.saturated.flatten()[index] & near & inside).any(2).any(1)
        flux_err = flux_bound(batch, x, y, flux, self.image, error, profiles=self.profiles)
        flux = torch.where(flux_err.isfinite(), flux, torch.nan)
        return JointFit(self.image, x, y, flux, flux_err, chi2, share, saturated, model, residual)

    def model(self, x, y, flux):
        """Light of all sources, also on pixels that do not count, and the sky."""
        image = torch.zeros(int(np.prod(self.pixels.shape)))
        half = self.profiles.half
        for chunk in torch.arange(len(x)).split(2048):
            light = self.profiles(self.image[chunk], x[chunk], y[chunk]) * flux[chunk, None, None]
            column, row = nearest_pixels(x[chunk], y[chunk])
            index, inside = around(self.pixels.shape, self.image[chunk], column, row, (half, half))
            image.index_add_(0, index[inside], light[inside])
        if self.sky is not None:
            image += torch.from_numpy(self.sky.level(self.sky_level)).flatten()
        return image.view(self.pixels.shape)


def _least_squares(matrix, sky, data, start, k, tied, pull):
    """Solution near a start; the first `k` unknowns by `RIDGE`, the others by `tied` to `pull`.

    Unknowns are counted in units of their errors, so that bright and faint sources converge alike.
    """
    start, tied, pull = (values.astype(np.float32) for values in (start, tied, pull))
    squares = csc_array((matrix.data**2, matrix.indices, matrix.indptr), shape=matrix.shape)
    n = matrix.shape[1]

    def forward(values):
        light = matrix @ values[:n]
        return light if sky is None else light + sky.forward(values[n:])

    def backward(light):
        values = matrix.T @ light
        return values if sky is None else np.concatenate([values, sky.backward(light)])

    information = squares.sum(0) if sky is None else np.concatenate([squares.sum(0), sky.information()])
    information = information + tied
    information[:k] *= 1 + RIDGE
    scale = 1 / np.sqrt(np.maximum(information, 1e-30))
    prior = tied.copy()
    prior[:k] = information[:k] * (RIDGE / (1 + RIDGE))

    def normal(values):
        values = values * scale
        return scale * (backward(forward(values)) + prior * values)

    size = len(start)
    gradient = scale * (backward(data - forward(start)) + tied * (pull - start))
    operator = LinearOperator((size, size), matvec=normal, dtype=np.float32)
    step, _ = cg(operator, gradient, rtol=0, atol=TOLERANCE * np.sqrt(max(size, 1)), maxiter=STEPS)
    return start + step * scale
