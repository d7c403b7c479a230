# Licensed under a 3-clause BSD style license - see LICENSE
"""Instrument, emission and datasets of the patches of the simulated sky 235."""

from dataclasses import replace

import astropy.units as u
import numpy as np
from gammapy.datasets import MapDataset
from gammapy.irf import EDispKernelMap
from gammapy.maps import MapAxis, WcsNDMap
from scipy.signal import fftconvolve

from gammapy_asid.inputs import Bands
from gammapy_asid.inputs.response import smear_psf
from gammapy_asid.simulation import lat_response
from gammapy_asid.simulation.sky_grid import INTERVALS

from ..common import data_folder
from .response_maps import psf_map, true_energy_axis
from .sky235 import BANDS, EXPOSURE, N_PIX, PIXEL_SIZE

__all__ = ["SKY_BANDS", "emission", "patch_dataset", "sky_response"]

#: Bands of the sky, all on the finest pixels.
SKY_BANDS = Bands(BANDS, levels=(0,) * len(EXPOSURE))
#: Side of the HEALPix pixels (NSIDE 256) that the published maps were sampled from, in deg.
HEALPIX_SIZE = 0.229
#: Border in pixels from which emission reaches into a patch.
MARGIN = 16


def sky_response(folder=None, bands=SKY_BANDS):
    """Response of the published maps.

    They are ULTRACLEANVETO with front and back events: neither alone fits the width
    of their bright sources.

    Parameters
    ----------
    folder : path, optional
        Data folder; default is GAMMAPY_ASID_DATA.
    bands : `~gammapy_asid.inputs.bands.Bands`
        Bands of a model; those below 0.5 GeV are absent.

    Returns
    -------
    response : `~gammapy_asid.inputs.bands.Response`
        Response.
    """
    response = lat_response(
        event_type="FRONT+BACK",
        e_min=BANDS[0],
        exposure=np.interp(bands.edges[:-1], BANDS[:-1], EXPOSURE),
        pixel_size=PIXEL_SIZE,
        bands=bands,
        caldb=data_folder(folder) / "lat" / "irfs",
    )
    return replace(response, psf=smear_psf(response.psf, HEALPIX_SIZE, response.rad), native=HEALPIX_SIZE)


def emission(sky, model, response, patches=slice(None)):
    """Expected counts of an emission model in the patches.

    Parameters
    ----------
    sky : `~benchmarks.skies.sky235.Sky`
        The sky.
    model : `~gammapy_asid.simulation.diffuse.EmissionModel`
        Emission, before the point spread function.
    response : `~gammapy_asid.inputs.bands.Response`
        Response in `SKY_BANDS`.
    patches : slice or array-like of int
        Patches.

    Returns
    -------
    counts : `~numpy.ndarray`
        Expected counts, shape ``(n, n_bands, 64, 64)``; NaN where the model says nothing.
    """
    half = 2 * MARGIN
    offset = np.hypot(*np.mgrid[-half : half + 1, -half : half + 1]) * PIXEL_SIZE
    kernels = [np.interp(offset, response.rad, psf.mean(axis=0)) for psf in response.psf]
    area = np.radians(PIXEL_SIZE) ** 2
    x, y = np.meshgrid(*2 * [np.arange(-MARGIN, N_PIX + MARGIN)])
    # What a kernel finds inside, so that the border loses nothing
    inside = [fftconvolve(np.ones(x.shape), kernel, mode="same") for kernel in kernels]
    first = [INTERVALS.index(edge) for edge in BANDS[:-1]]

    result = []
    for patch in np.arange(sky.n_patches)[patches]:
        intensity = model.interpolate(*sky.pixel_to_sky(np.full(x.shape, patch), x, y))
        bands = np.add.reduceat(intensity, first, axis=-1) * EXPOSURE * area
        planes = []
        for band, kernel in enumerate(kernels):
            blurred = fftconvolve(bands[..., band], kernel, mode="same") / inside[band]
            planes.append(blurred[MARGIN:-MARGIN, MARGIN:-MARGIN])
        result.append(planes)
    return np.array(result, dtype=np.float32)


def patch_dataset(sky, patch, counts, background, response):
    """Gammapy dataset of a patch.

    Parameters
    ----------
    sky : `~benchmarks.skies.sky235.Sky`
        The sky.
    patch : int
        Patch.
    counts, background : `~numpy.ndarray`
        Counts and expected counts of the known sky, shape ``(n_bands, 64, 64)``.
    response : `~gammapy_asid.inputs.bands.Response`
        Response in `SKY_BANDS`.

    Returns
    -------
    dataset : `~gammapy.datasets.MapDataset`
        Dataset whose true energies are the sub-bands of the response.
    """
    axis = MapAxis.from_energy_edges(BANDS * u.GeV)
    axis_true = true_energy_axis(response)
    geom = sky.geom(patch)

    exposure = WcsNDMap(geom.to_cube([axis_true]), unit="cm2 s")
    exposure.data += response.exposure.ravel()[:, None, None]
    return MapDataset(
        counts=WcsNDMap(geom.to_cube([axis]), counts),
        background=WcsNDMap(geom.to_cube([axis]), background),
        exposure=exposure,
        psf=psf_map(response),
        edisp=EDispKernelMap.from_diagonal_response(axis, axis_true),
        name=f"patch-{patch}",
    )
