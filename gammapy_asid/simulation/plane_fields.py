# Licensed under a 3-clause BSD style license - see LICENSE
"""Fields of imaging telescopes near the Galactic plane, from which training patches are cut."""

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from astropy.coordinates import SkyCoord
from gammapy.maps import WcsGeom

from ..inputs.bands import Bands, Response
from ..inputs.response import INDEX, N_SUB, normalise_psf
from ..utils.devices import Movable
from .imaging import ImagingInstrument
from .pointings import PATTERNS, draw_pointings

__all__ = ["PLANE_BANDS", "PlaneField", "draw_fields", "plane_field"]

#: Bands of the CTAO on the Galactic plane.
PLANE_BANDS = Bands(
    edges=(30.0, 100.0, 300.0, 1e3, 1e4, 1e5), levels=(2, 1, 0, 0, 0), pixel_size=0.04, extents=(0.1, 0.25)
)

# Instruments with their shares: the arrays of the CTAO, and the response of its first data challenge.
INSTRUMENTS = {"prod5-south": 0.55, "prod5-north": 0.25, "1dc-south": 0.2}

# Shares of the ways to point, see `PATTERNS`.
PATTERN_SHARES = (0.6, 0.25, 0.15)

# Edges in GeV of the energies of datasets, and their shares: all bands, some cut or missing, wide ones.
ENERGIES = {
    (30.0, 100.0, 300.0, 1e3, 1e4, 1e5): 0.5,
    (50.0, 100.0, 300.0, 1e3, 1e4, 1e5): 0.1,
    (70.0, 100.0, 300.0, 1e3, 1e4, 1e5): 0.1,
    (100.0, 300.0, 1e3, 1e4, 1e5): 0.15,
    (30.0, 1e3, 1e4, 1e5): 0.15,
}

# Width and height of a survey's field and of one place's in deg, and largest latitude of its centre.
WIDTH, LATITUDE = {"survey": (10.0, 7.0), "wobble": (6.0, 6.0)}, {"survey": 0.5, "wobble": 5.0}

# Pixels with less than this share of the largest exposure are not part of the data: nobody analyses them.
LEAST_EXPOSURE = 0.05

# Places whose point spread function makes the sources, beside that of the centre: it varies slowly.
N_PLACES = 3


@dataclass
class PlaneField(Movable):
    """Field without sources.

    Parameters
    ----------
    response : `~gammapy_asid.inputs.Response`
        Response as the network is told: that of the centre, with the mean exposure.
    places : list of `~gammapy_asid.inputs.Response`
        The same with the point spread functions of places in the field.
    place_x, place_y : `~numpy.ndarray`
        These places in finest pixels, shape ``(n_places,)``.
    background, exposure, mask : list of `~torch.Tensor`
        Per band, shape ``(ny / 2**level, nx / 2**level)``: expected counts of the instrument's background,
        exposure over its mean, and share of valid pixels.
    latitude : `~numpy.ndarray`
        Galactic latitude of the rows of finest pixels in deg, shape ``(ny,)``.
    """

    response: Response
    places: list
    place_x: np.ndarray
    place_y: np.ndarray
    background: list
    exposure: list
    mask: list
    latitude: np.ndarray


def draw_fields(seed, n_fields, pixel_size, bands=PLANE_BANDS):
    """Draw fields of random instruments, pointings, energies and pixel sizes.

    Parameters
    ----------
    seed : int or sequence of int
        Equal seeds give equal fields.
    n_fields : int
        Number of fields.
    pixel_size : tuple of float
        Interval of the finest pixel size in deg.
    bands : `~gammapy_asid.inputs.Bands`
        Bands of the model.

    Returns
    -------
    fields : list of `PlaneField`
        Fields.
    """
    rng = np.random.default_rng(seed)
    fields = []
    for _ in range(n_fields):
        name = rng.choice(list(INSTRUMENTS), p=list(INSTRUMENTS.values()))
        energies = list(ENERGIES)[rng.choice(len(ENERGIES), p=list(ENERGIES.values()))]
        pattern = PATTERNS[rng.choice(len(PATTERNS), p=PATTERN_SHARES)]
        latitude = LATITUDE[pattern.kind]
        center = SkyCoord(0, rng.uniform(-latitude, latitude), unit="deg", frame="galactic")
        size = float(np.exp(rng.uniform(*np.log(pixel_size))))
        width = WIDTH[pattern.kind]
        pointings, livetime = draw_pointings(rng, center, width[0], pattern)
        geom = WcsGeom.create(skydir=center, width=width, binsz=size, frame="galactic", proj="TAN")
        fields.append(plane_field(rng, name, bands, energies, geom, pointings, livetime))
    return fields


def plane_field(rng, irf, bands, energies, geom, pointings, livetime):
    """Pointings summed into a field on the bands of a model.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Draws the places.
    irf : str, path or dict
        Response, see `~gammapy_asid.simulation.imaging.ImagingInstrument.from_irf`.
    bands : `~gammapy_asid.inputs.Bands`
        Bands of the model.
    energies : tuple of float
        Edges in GeV of the bins of the data, each of which belongs to the band of its logarithmic centre.
    geom : `~gammapy.maps.WcsGeom`
        Finest pixels.
    pointings, livetime
        See `~gammapy_asid.simulation.imaging.ImagingInstrument.field`.
    """
    ny, nx = (n // bands.block * bands.block for n in geom.data_shape)
    instrument = ImagingInstrument.from_irf(
        irf, Bands(energies, (0,) * (len(energies) - 1), bands.pixel_size)
    )
    field = instrument.field(geom, pointings, livetime)
    middle = np.sqrt(np.multiply(energies[:-1], energies[1:]))
    band = np.searchsorted(bands.edges, middle, side="right") - 1

    edges = np.array(energies)
    power = (edges[:-1, None] / edges[1:, None]) ** (
        (INDEX - 1) * np.arange(field.exposure.shape[1]) / field.exposure.shape[1]
    )
    photons = power / power.sum(1, keepdims=True)
    seen = np.einsum("bk,bkyx->byx", photons, field.exposure)[:, :ny, :nx]
    valid = (seen > LEAST_EXPOSURE * seen.max(axis=(1, 2), keepdims=True)).astype(np.float32)
    mean = (field.exposure[..., :ny, :nx] * valid[:, None]).sum((2, 3)) / valid.sum((1, 2))[:, None]
    band_mean = (photons * mean).sum(1)

    response = _in_bands(field.response(), bands, band, photons, mean)
    row, column = np.nonzero(valid.any(0))
    chosen = rng.choice(len(row), N_PLACES)
    place_x, place_y = np.append(column[chosen], nx / 2), np.append(row[chosen], ny / 2)
    places = [
        _in_bands(field.response(geom.wcs.pixel_to_world(x, y)), bands, band, photons, mean)
        for x, y in zip(place_x, place_y, strict=True)
    ]

    def on_levels(images, total):
        result = [torch.zeros(ny >> level, nx >> level) for level in bands.levels]
        for target, image in zip(band, images, strict=True):
            level = bands.levels[target]
            image = torch.from_numpy(np.ascontiguousarray(image[:ny, :nx], dtype=np.float32))
            pooled = F.avg_pool2d(image[None, None], 2**level)[0, 0]
            result[target] = pooled * 4**level if total else pooled
        return result

    return PlaneField(
        response=response,
        places=places,
        place_x=place_x,
        place_y=place_y,
        background=on_levels(field.background[:, :ny, :nx] * valid, True),
        exposure=on_levels(seen / band_mean[:, None, None], False),
        mask=on_levels(valid, False),
        latitude=geom.center_skydir.galactic.b.deg
        + (np.arange(ny) - (ny - 1) / 2) * float(geom.pixel_scales[1].to_value("deg")),
    )


def _in_bands(response, bands, band, photons, exposure):
    """Response of a dataset's energy bins as one on the bands, with the sub-bands of a dataset's."""
    n_fine = response.exposure.shape[1]
    # Overlap of the fine and the coarse sub-bands, both equal steps in the logarithm of the energy.
    fine, coarse = np.linspace(0, 1, n_fine + 1), np.linspace(0, 1, N_SUB + 1)
    overlap = np.minimum(fine[1:], coarse[1:, None]) - np.maximum(fine[:-1], coarse[:-1, None])
    weight = overlap.clip(min=0)[None] * photons[:, None]
    area = (weight * exposure[:, None]).sum(2)
    psf = np.einsum("bsk,bkr->bsr", weight * response.exposure[:, None], response.psf)
    full = {
        "exposure": np.zeros((len(bands), N_SUB)),
        "psf": np.zeros((len(bands), N_SUB, len(response.rad))),
        "e_min": np.full(len(bands), np.nan),
        "e_max": np.full(len(bands), np.nan),
    }
    full["exposure"][band] = area / weight.sum(2)
    full["psf"][band] = normalise_psf(psf)
    full["e_min"][band], full["e_max"][band] = response.e_min, response.e_max
    return replace(response, bands=bands, **full)
