# Licensed under a 3-clause BSD style license - see LICENSE
"""What the network is told of an instrument: kernels, trial spectra, conditions."""

import numpy as np
import torch
from scipy.special import ndtr

from .bands import LAT_BANDS
from .psf import mean_psf, psf_kernels, psf_radius, psf_width, sub_band_photons

__all__ = [
    "TRIAL_SPECTRA",
    "conditions",
    "extended_kernels",
    "feature_kernels",
    "n_conditions",
    "trial_spectra",
]

# (index, cut-off energy in GeV): hard, average and soft AGN, and a pulsar. The cut-off is that
# for the LAT; it moves with the middle of a model's energy range.
TRIAL_SPECTRA = ((1.8, np.inf), (2.3, np.inf), (2.8, np.inf), (1.3, 3.0))

# Half width of the matched filters in pixels of their band.
FEATURE_HALF = 10


def trial_spectra(response):
    """Share of the counts in each band for the trial spectra.

    Parameters
    ----------
    response : `~gammapy_asid.inputs.Response`
        Instrument response.

    Returns
    -------
    shares : `~numpy.ndarray`
        Shape ``(n_spectra, n_bands)``, each row adds to one.
    """
    shift = _middle(response.bands) / _middle(LAT_BANDS)
    shares = [
        sub_band_photons(response, index, cutoff * shift).sum(axis=1) for index, cutoff in TRIAL_SPECTRA
    ]
    return np.array([share / share.sum() for share in shares])


def _middle(bands):
    """Geometric mean of a model's energy range in GeV."""
    return np.sqrt(bands.edges[0] * bands.edges[-1])


def n_conditions(bands):
    """Length of the instrument description.

    Parameters
    ----------
    bands : `~gammapy_asid.inputs.Bands`
        Bands of the model.

    Returns
    -------
    n : int
        Number of `conditions`.
    """
    return 5 * len(bands) + 2


def conditions(response, has_background):
    """Instrument description: presence, PSF width, exposure and edges of each band.

    Parameters
    ----------
    response : `~gammapy_asid.inputs.Response`
        Instrument response.
    has_background : bool
        Whether the background is a prediction.

    Returns
    -------
    values : `~numpy.ndarray`
        Float32, of order one, shape ``(n_conditions,)``; zero for absent bands.
    """
    present = response.present
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = [
            np.ones(len(present)),
            np.log(psf_radius(response) / response.pixel_size),
            np.log10(response.exposure.mean(1) / 1e11),
            np.log(response.e_min / np.array(response.bands.edges[:-1])),
            np.log(response.e_max / np.array(response.bands.edges[1:])),
        ]
    per_band = np.where(present, columns, 0.0).ravel()
    field = [float(has_background), np.log(response.pixel_size / response.bands.pixel_size)]
    return np.concatenate([per_band, field]).astype(np.float32)


def feature_kernels(response):
    """Matched filters: the bands' point spread functions for an average spectrum.

    Averaged over the position of the source within its pixel.

    Parameters
    ----------
    response : `~gammapy_asid.inputs.Response`
        Instrument response.

    Returns
    -------
    filters : `~torch.Tensor`
        Shape ``(n_bands, k, k)``.
    """
    return psf_kernels(mean_psf(response), half=FEATURE_HALF).mean((1, 2, 3))


def extended_kernels(response):
    """Matched filters of extended sources: Gaussians as wide as source and point spread function together.

    Parameters
    ----------
    response : `~gammapy_asid.inputs.Response`
        Instrument response.

    Returns
    -------
    filters : list of `~torch.Tensor`
        For each extent of the bands, shape ``(n_bands, k, k)``: on pixels of the extent's level, or the
        band's if that is coarser. Zero in absent bands.
    """
    bands = response.bands
    psf = psf_width(psf_radius(response))
    edges = np.arange(-FEATURE_HALF, FEATURE_HALF + 2) - 0.5
    filters = []
    for extent, level in zip(bands.extents, bands.extent_levels, strict=True):
        pixel = response.pixel_size * 2.0 ** np.maximum(bands.levels, level)
        share = np.diff(ndtr(edges * (pixel / np.hypot(extent, psf))[:, None]), axis=1)
        kernel = np.nan_to_num(share[:, :, None] * share[:, None, :])
        filters.append(torch.tensor(kernel, dtype=torch.float32))
    return filters
