# Licensed under a 3-clause BSD style license - see LICENSE
"""Matched filter for Poisson counts (Ofek & Zackay 2018, AJ 155, 169), on Gammapy's datasets."""

import numpy as np
from gammapy.estimators import TSMapEstimator
from gammapy.estimators.utils import estimate_exposure_reco_energy
from gammapy.irf import EDispKernelMap
from gammapy.maps import Map, Maps, WcsGeom
from scipy import fft
from scipy.interpolate import make_interp_spline
from scipy.ndimage import uniform_filter

from ..inputs.checks import check_expectation
from ..inputs.datasets import with_models, with_own_exposure
from ..inputs.expected_counts import expected_counts
from ..inputs.masks import valid_bins
from ..inputs.prepare import prepare_dataset
from ..utils.arguments import checked_quantity

__all__ = ["likelihood_gain", "matched_filter_maps"]

#: Ratio of neighbouring trial fluxes, and of neighbouring levels of the background: equal ones, so that their
#: quotients, on which alone a filter depends, are few. With splines between them gains are right to 1 %.
STEP = 2.0
#: Fluxes or levels that a cubic spline needs.
MIN_KNOTS = 4
#: Steps from one trial flux to the next at which the gain is read off: between them it loses less than .2 %.
FINE_STEPS = 8
#: Share of the mean background of a band below which none is believed. Real skies vary by a hundred; what is
#: predicted to be nothing is where a template ends, and one photon there would be infinitely significant.
FLOOR = 1e-3


def matched_filter_maps(dataset, model, kernel_width="1 deg", image=False):
    """Significance and flux of a source at every pixel by a matched filter.

    With a source of flux ``F``, of which a pixel would get ``F s`` counts on the background ``b``, counts
    ``n`` are more likely by ``sum(n ln(1 + F s / b)) - F sum(s)``, summed over pixels and energies: the
    counts correlated with a filter, less a constant. The largest value over all fluxes is the gain.

    Response and exposure are those of `~gammapy.estimators.TSMapEstimator`: the point spread function is that
    of the middle of the field, the exposure around a source that of each pixel.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data on a WCS geometry with a background, its models being the known sky; left unchanged.
    model : `~gammapy.modeling.models.SkyModel`
        Source; its position and the scale of its spectrum do not matter.
    kernel_width : str or `~astropy.units.Quantity`
        Width of the filters.
    image : bool
        Whether energies are summed before, with the mean point spread function of the photons of the model.

    Returns
    -------
    maps : `~gammapy.maps.Maps`
        Images ``sqrt_ts``, the root of twice the gain, and ``flux`` in 1 / (cm2 s) in the range of energies
        of the data; 0 where there is no excess, NaN where nothing is valid.

    Raises
    ------
    TypeError
        If the dataset is no `~gammapy.datasets.MapDataset`, or not on a WCS geometry.
    ValueError
        If the width is none, or the dataset lacks something or has neither background nor models.
    """
    width = checked_quantity("kernel_width", kernel_width, "deg", "an angle")
    dataset = prepare_dataset(dataset)
    geom = dataset.counts.geom
    if not isinstance(geom, WcsGeom):
        raise TypeError(
            f"A matched filter needs data on a WCS geometry, got {type(geom).__name__} for dataset "
            f"{dataset.name!r}."
        )
    check_expectation(dataset)
    background, valid = expected_counts(dataset), valid_bins(dataset)
    bare = with_own_exposure(_without_sky(dataset))
    # Gammapy's Fourier transforms leave tiny negative values
    kernels = np.maximum(TSMapEstimator(model, kernel_width=width).estimate_kernel(bare).data, 0)
    exposure = estimate_exposure_reco_energy(bare, model.spectral_model, normalize=False).quantity.to_value(
        ""
    )
    flux = model.spectral_model.integral(*geom.axes["energy"].edges[[0, -1]]).to_value("cm-2 s-1")

    seen = valid & (exposure > 0)
    cubes = [np.where(seen, data, 0.0) for data in (dataset.counts.data, background, exposure)]
    if image:
        kernels = np.average(kernels, axis=0, weights=cubes[2].mean(axis=(1, 2)))[None]
        cubes = [cube.sum(axis=0, keepdims=True) for cube in cubes]
    gain, scale = likelihood_gain(*cubes, kernels)
    somewhere = seen.any(axis=0)
    result = {"sqrt_ts": np.sqrt(2 * gain), "flux": scale * flux}
    units = {"sqrt_ts": "", "flux": "cm-2 s-1"}
    return Maps(
        **{
            name: Map.from_geom(geom.to_image(), data=np.where(somewhere, data, np.nan), unit=units[name])
            for name, data in result.items()
        }
    )


def _without_sky(dataset):
    """Dataset without masks and models, with an energy dispersion: what the response of a source needs."""
    edisp = dataset.edisp
    if edisp is None:
        axes = dataset.counts.geom.axes["energy"], dataset.exposure.geom.axes["energy_true"]
        edisp = EDispKernelMap.from_diagonal_response(*axes)
    return with_models(dataset, None, edisp=edisp, mask_safe=None, mask_fit=None)


def likelihood_gain(counts, background, exposure, kernels):
    """Largest gain of the logarithm of the likelihood by a source at each pixel, and its flux.

    Parameters
    ----------
    counts, background : `~numpy.ndarray`
        Counts and what is expected without the source, shape ``(n_bands, ny, nx)``; 0 where not valid.
    exposure : `~numpy.ndarray`
        Expected counts of a source of flux 1, same shape; 0 where not valid.
    kernels : `~numpy.ndarray`
        Shares of them in the pixels around the source, shape ``(n_bands, ky, kx)`` with odd sizes.

    Returns
    -------
    gain, flux : `~numpy.ndarray`
        Shape ``(ny, nx)``; both 0 where no flux gains.
    """
    correlation = _Correlation(counts.shape[1:], kernels.shape[1:])
    expected = correlation.back(sum(map(correlation.product, exposure, kernels)))
    fluxes = _trial_fluxes(counts, expected, kernels.shape[1:])
    total = np.zeros((len(fluxes), *correlation.shape), complex)
    for n, b, e, kernel in zip(counts, background, exposure, kernels, strict=True):
        if n.any():
            _add_band(total, correlation, n, _in_fluxes(b, e), kernel, fluxes)
    gains = np.stack([correlation.back(row) for row in total]) - fluxes[:, None, None] * expected
    return _largest(gains, fluxes)


class _Correlation:
    """Correlations of images with kernels in Fourier space.

    Images are padded by half a kernel in front, where what wraps around falls.

    Parameters
    ----------
    image, kernel : tuple of int
        Their shapes.
    """

    def __init__(self, image, kernel):
        self.half, self.image = tuple(k // 2 for k in kernel), image
        self.size = [
            fft.next_fast_len(max(n + k // 2, k), real=True) for n, k in zip(image, kernel, strict=True)
        ]
        self.shape = self.size[0], self.size[1] // 2 + 1

    def of_image(self, image):
        padded = np.zeros(self.size)
        padded[tuple(slice(h, h + n) for h, n in zip(self.half, self.image, strict=True))] = image
        return fft.rfft2(padded)

    def of_kernel(self, kernel):
        # Axis by axis: most rows are zero still when the first is transformed
        return fft.fft(fft.rfft(kernel, self.size[1]), self.size[0], axis=0).conj()

    def product(self, image, kernel):
        return self.of_image(image) * self.of_kernel(kernel)

    def back(self, product):
        ny, nx = self.image
        return fft.irfft2(product, self.size)[:ny, :nx]


def _trial_fluxes(counts, expected, kernel):
    """Fluxes from one expected photon, for less is never significant, to all photons within the kernel.

    The flux at which the gain is largest does not explain more photons than there are. One more flux at
    either end makes the spline right up to there.
    """
    seen = expected > 1e-6 * expected.max()
    photons = uniform_filter(counts.sum(axis=0), kernel, mode="constant") * np.prod(kernel)
    first = 1 / expected.max() / STEP
    last = np.max(photons[seen] / expected[seen]) * STEP
    return first * STEP ** np.arange(_n_knots(last / first))


def _n_knots(ratio):
    """Number of knots for a range from 1 to a ratio."""
    return max(int(np.ceil(np.log(max(ratio, 1)) / np.log(STEP))) + 1, MIN_KNOTS)


def _in_fluxes(background, exposure):
    """Background in units of flux, as sources are; bounded from below, infinite where not valid."""
    seen = exposure > 0
    mean = background[seen].mean() or 1 / seen.sum()
    bounded = np.maximum(background, FLOOR * mean)
    return np.divide(bounded, exposure, out=np.full(exposure.shape, np.inf), where=seen)


def _add_band(total, correlation, counts, background, kernel, fluxes):
    """Add the counts of a band correlated with ``ln(1 + flux * kernel / background)`` for each flux.

    The background changes from pixel to pixel, and a correlation has one filter. So the logarithm, as a
    function of the inverse of the background, is a spline between levels, exact where the source is faint:
    each level has its share of the counts of every pixel.
    """
    y, x = np.nonzero(counts)
    inverse = 1 / background[y, x]
    # One more level at either end, too
    n_levels = _n_knots(inverse.max() / inverse.min() * STEP**2)
    levels = inverse.max() * STEP / STEP ** np.arange(n_levels)
    shares = make_interp_spline(levels[::-1], np.eye(n_levels)[::-1], k=3)(inverse)
    images = []
    for share in shares.T:
        image = np.zeros(counts.shape)
        image[y, x] = counts[y, x] * share
        images.append(correlation.of_image(image))
    # Quotients of a flux and a level are powers of the same number
    for quotient in range(1 - n_levels, len(fluxes)):
        filtered = correlation.of_kernel(np.log1p(fluxes[0] * levels[0] * STEP**quotient * kernel))
        for level in range(max(-quotient, 0), min(n_levels, len(fluxes) - quotient)):
            total[level + quotient] += images[level] * filtered


def _largest(gains, fluxes):
    """Largest gain over the fluxes at each pixel, and that flux."""
    log, n_fine = np.log(fluxes), (len(fluxes) - 1) * FINE_STEPS + 1
    fine = np.linspace(log[0], log[-1], n_fine)
    between = make_interp_spline(log, np.eye(len(fluxes)), k=3)(fine)
    values = np.tensordot(between, gains, axes=1)
    best = values.argmax(axis=0)
    gain = np.maximum(np.take_along_axis(values, best[None], axis=0)[0], 0)
    return gain, np.where(gain > 0, np.exp(fine[best]), 0)
