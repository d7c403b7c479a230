# Licensed under a 3-clause BSD style license - see LICENSE
"""Pixel-integrated point spread functions at sub-pixel phases."""

from dataclasses import replace

import numpy as np
import torch

__all__ = ["PHASES", "mean_psf", "psf_kernels", "psf_radius", "psf_tables", "psf_width", "sub_band_photons"]

#: Places of a source within a pixel along each axis, and steps of the tables in a pixel.
PHASES = 5

# 68 % radius of a two-dimensional Gaussian in its widths, `RADIUS_68`, as the shipped networks know it: the
# digits left out would change what they see.
_RADIUS_68 = 1.51


def sub_band_photons(response, index, cutoff=np.inf, reference=1.0):
    """Photons of a power law in each sub-band, taken in its logarithmic middle.

    Parameters
    ----------
    response : `~gammapy_asid.inputs.Response`
        Instrument response.
    index : float
        Photon index.
    cutoff : float
        Energy in GeV of an exponential cut-off.
    reference : float
        Energy in GeV at which the flux without the cut-off is 1 / (cm2 s GeV).

    Returns
    -------
    photons : `~numpy.ndarray`
        Shape ``(n_bands, n_sub)``; 0 where absent.
    """
    edges = response.sub_edges
    energy = np.sqrt(edges[:, 1:] * edges[:, :-1])
    flux = (energy / reference) ** -index * np.exp(-energy / cutoff)
    return np.nan_to_num(flux * np.diff(edges) * response.exposure)


def mean_psf(response, index=2.3):
    """Response with one sub-band: the average over the photons of a power law.

    Parameters
    ----------
    response : `~gammapy_asid.inputs.Response`
        Instrument response.
    index : float
        Photon index; by default that of an average source.

    Returns
    -------
    response : `~gammapy_asid.inputs.Response`
        A copy.
    """
    photons = sub_band_photons(response, index)
    total = photons.sum(1, keepdims=True)
    psf = np.einsum("bk,bkr->br", photons / np.where(total > 0, total, 1), response.psf)
    return replace(response, psf=psf[:, None], exposure=response.exposure.mean(1, keepdims=True))


def psf_kernels(response, half=16, phases=PHASES):
    """Point spread function of every sub-band, integrated over its band's pixels.

    Parameters
    ----------
    response : `~gammapy_asid.inputs.Response`
        Instrument response.
    half : int
        Kernels are ``2 * half + 1`` pixels wide, and normalised to one.
    phases : int
        Number of source positions within a pixel along each axis: phase ``i``
        is a source at ``(i + 0.5) / phases - 0.5`` pixels from the centre.

    Returns
    -------
    kernels : `~torch.Tensor`
        Shape ``(n_bands, n_sub, phases, phases, 2 * half + 1, 2 * half + 1)``,
        axes 2 and 3 the phase in y and x. Zero in absent bands.
    """
    size = 2 * half + 1
    n_bands, n_sub = response.exposure.shape
    kernels = np.zeros((n_bands, n_sub, phases, phases, size, size), np.float32)
    # Cells of 1/phases pixel, one of them centred on the source.
    cell = np.arange(-half * phases - phases + 1, (half + 1) * phases)
    for band in np.flatnonzero(response.present):
        step = response.pixel_size * 2 ** response.bands.levels[band] / phases
        # A few points a cell where the function is steep: its centre would miss the core's curvature.
        sub = (np.arange(3) - 1) / 3
        r = np.hypot(*np.meshgrid(cell, cell, indexing="ij"))
        near = r < 3 * phases
        dy, dx = (c[near] for c in np.meshgrid(cell, cell, indexing="ij"))
        r_near = np.hypot(dy[:, None, None] + sub[:, None], dx[:, None, None] + sub)
        for k in range(n_sub):
            fine = np.interp(r * step, response.rad, response.psf[band, k], right=0)
            fine[near] = np.interp(r_near * step, response.rad, response.psf[band, k]).mean((1, 2))
            cells = np.lib.stride_tricks.sliding_window_view(fine, (size * phases, size * phases))
            # Pixel j of phase i covers the cells from j * phases - i on.
            for iy in range(phases):
                for ix in range(phases):
                    view = cells[phases - 1 - iy, phases - 1 - ix]
                    kernels[band, k, iy, ix] = view.reshape(size, phases, size, phases).sum((1, 3))
    total = kernels.sum((-2, -1), keepdims=True)
    return torch.from_numpy(kernels / np.where(total > 0, total, 1))


def psf_tables(response, half=10):
    """Pixel-integrated point spread function and its slopes on `PHASES` steps a pixel.

    Parameters
    ----------
    response : `~gammapy_asid.inputs.Response`
        Instrument response.
    half : int
        Largest distance from the source in pixels of the band.

    Returns
    -------
    tables : `~torch.Tensor`
        Shape ``(n_bands, 3, size, size)`` with the source in the middle: share of the photons in
        a pixel around each place, for an average spectrum, and the derivatives of it with respect
        to the source's x and y in pixels of the band.
    """
    wide = half + 2
    kernels = psf_kernels(mean_psf(response), half=max(16, wide))[:, 0]
    n_bands, size = len(kernels), kernels.shape[-1]
    # Pixel j of phase i lies 5 (j - half) + 2 - i steps from the source, for five of them.
    fine = kernels.flip((1, 2)).permute(0, 3, 1, 4, 2).reshape(n_bands, size * PHASES, size * PHASES)
    cut = ((size - 1) // 2 - wide) * PHASES
    fine = fine[:, cut : fine.shape[1] - cut, cut : fine.shape[2] - cut]
    dy, dx = torch.gradient(fine, dim=(1, 2))
    tables = torch.stack([fine, -dx * PHASES, -dy * PHASES], 1)
    cut = (wide - half) * PHASES
    return tables[..., cut:-cut, cut:-cut]


def psf_radius(response, containment=0.68):
    """Containment radius of each band.

    Parameters
    ----------
    response : `~gammapy_asid.inputs.Response`
        Instrument response.
    containment : float
        Share of the photons.

    Returns
    -------
    radius : `~numpy.ndarray`
        In deg, shape ``(n_bands,)``; NaN in absent bands.
    """
    rad = response.rad
    density = mean_psf(response).psf[:, 0] * np.sin(np.deg2rad(rad))
    steps = (density[:, 1:] + density[:, :-1]) / 2 * np.diff(rad)
    cumulative = np.concatenate([np.zeros((len(steps), 1)), np.cumsum(steps, axis=1)], axis=1)
    return np.array([np.interp(containment * c[-1], c, rad) if c[-1] > 0 else np.nan for c in cumulative])


def psf_width(radius):
    """Width of the Gaussian that holds 68 % of its photons inside a radius.

    Parameters
    ----------
    radius : float or `~numpy.ndarray`
        Radius, see `psf_radius`.

    Returns
    -------
    width : float or `~numpy.ndarray`
        Standard deviation along an axis, in the unit of the radius.
    """
    return radius / _RADIUS_68
