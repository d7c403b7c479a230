# Licensed under a 3-clause BSD style license - see LICENSE
"""Simulation of the band cube of a whole field."""

import numpy as np
import torch
from scipy.signal import fftconvolve

from ..inputs.bands import BandCube
from ..inputs.pixel_grid import PixelGrid
from ..inputs.psf import mean_psf, psf_kernels
from ..inputs.rebin import block_sum, padded_geom
from .sky import SPECTRAL_PARAMETERS, ResponseBank, interval_weights, render_sources, source_counts

__all__ = ["simulate_cube"]

# Half width in pixels of the stamp of a source: the tails of a bright one reach far.
HALF = 48


def simulate_cube(geom, response, catalog, emission=None, rng=None):
    """Simulate one field.

    Parameters
    ----------
    geom : `~gammapy.maps.WcsGeom`
        Image geometry of nearly square pixels: ZEA (any field), TAN to 10 deg from its
        centre, CAR along the equator. Enlarged at the top and right to multiples of the
        coarsest pixel.
    response : `~gammapy_asid.inputs.Response`
        Instrument response, taken with the pixel size of `geom`.
    catalog : `~gammapy_asid.simulation.MockCatalog`
        Sources; those within the reach of the point spread function shine in from outside.
    emission : `~gammapy_asid.simulation.EmissionModel`, optional
        Diffuse emission. Its expected counts become the background of the cube,
        which is otherwise None.
    rng : `~numpy.random.Generator`, optional
        Draws Poisson counts; by default the counts are those expected (Asimov).

    Returns
    -------
    cube : `~gammapy_asid.inputs.BandCube`
        Float32 arrays; all pixels of the bands present are valid.

    Raises
    ------
    ValueError
        If the pixels are distorted.
    """
    bands = response.bands
    geom = padded_geom(geom.to_image(), bands.block)
    grid = PixelGrid(geom, None)
    if not (grid.is_square or geom.projection == "ZEA"):
        raise ValueError(
            f"The pixels of the {geom.projection} field are no squares of one size: "
            "use the projection ZEA, or a smaller field"
        )
    response = response.with_pixel_size(grid.size)
    background = None if emission is None else _emission(geom, response, emission)
    expected = _sources(geom, response, catalog)
    if background is not None:
        expected = [s + b for s, b in zip(expected, background, strict=True)]
    counts = expected if rng is None else [rng.poisson(image) for image in expected]
    return BandCube(
        geom=geom,
        response=response,
        counts=[image.astype(np.float32) for image in counts],
        mask=np.broadcast_to(response.present[:, None, None], (len(bands), *geom.data_shape)).copy(),
        exposure=[
            np.full(image.shape, p, np.float32) for image, p in zip(expected, response.present, strict=True)
        ],
        background=None if background is None else [image.astype(np.float32) for image in background],
    )


def _sources(geom, response, catalog):
    """Expected counts of the sources per band."""
    position = catalog.positions
    # Behind the tangent point a projection has no place, or a wrong one.
    near = position.separation(geom.center_skydir).deg < 85
    x, y = (torch.tensor(v, dtype=torch.float32) for v in geom.coord_to_pix(position[near]))
    spectra = {
        name: torch.tensor(getattr(catalog, name)[near], dtype=torch.float32) for name in SPECTRAL_PARAMETERS
    }
    bank = ResponseBank([response], half=HALF)
    zero = torch.zeros(len(x), dtype=torch.long)
    counts = source_counts(bank, zero, spectra)
    images = render_sources(bank, zero, zero, x, y, counts, geom.data_shape, 1, faintest=0)
    return [image[0].double().numpy() for image in images]


def _emission(geom, response, emission):
    """Expected counts of the diffuse emission per band, seen through the point spread function."""
    block = response.bands.block
    margin = block * int(np.ceil(response.rad[-1] / response.pixel_size / block))
    wide = geom.pad(margin, axis_name=None)
    position = wide.get_coord().skycoord.galactic
    intensity = emission.interpolate(position.l.deg, position.b.deg)
    flux = np.nan_to_num(intensity * wide.solid_angle().to_value("sr")[..., None])
    weights = interval_weights(response)
    kernels = psf_kernels(mean_psf(response), half=margin, phases=1)[:, 0, 0, 0].double().numpy()
    images = []
    for row, kernel, level in zip(weights, kernels, response.bands.levels, strict=True):
        edge = margin >> level
        image = fftconvolve(block_sum(flux @ row, 2**level), kernel, mode="same")
        images.append(image[edge:-edge, edge:-edge].clip(min=0))
    return images
