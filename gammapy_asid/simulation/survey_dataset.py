# Licensed under a 3-clause BSD style license - see LICENSE
"""Gammapy datasets of surveys by imaging telescopes: many pointings summed at once."""

import astropy.units as u
import numpy as np
from gammapy.datasets import MapDataset
from gammapy.irf import EDispKernelMap, PSFMap, load_irf_dict_from_file
from gammapy.maps import Map, MapAxis, WcsGeom
from gammapy.utils.scripts import make_path

from ..inputs.bands import Bands
from ..inputs.response import RAD
from .imaging import IRF_FILES, ImagingInstrument

__all__ = ["survey_dataset"]

# Pixels of the smooth responses in deg, from which those of the dataset are interpolated.
COARSE, COARSE_PSF = 0.2, 1.0
# Offset from the pointings at which the energy dispersion is taken, that of most photons of a survey.
EDISP_OFFSET = 1 * u.deg
# Pixels that no pointing has within this offset in deg are not valid: beyond it the area is small.
MAX_OFFSET = 5.0


def survey_dataset(geom, energy_axis_true, pointings, livetime, irf="prod5-south", name="survey"):
    """Dataset without counts of many pointings of one instrument.

    Much faster than to make a dataset of each pointing and to stack them: background, exposure and point
    spread function depend on the offset from the pointing only and are added on coarse pixels.

    Parameters
    ----------
    geom : `~gammapy.maps.WcsGeom`
        Geometry of the counts, with an energy axis.
    energy_axis_true : `~gammapy.maps.MapAxis`
        True energies.
    pointings : `~astropy.coordinates.SkyCoord`
        Pointings, shape ``(n_pointings,)``.
    livetime : `~astropy.units.Quantity`
        Observation time of each, or one for all.
    irf : str or path
        Response, see `~gammapy_asid.simulation.imaging.ImagingInstrument.from_irf`.
    name : str
        Name of the dataset.

    Returns
    -------
    dataset : `~gammapy.datasets.MapDataset`
        Counts are zero; ``mask_safe`` is True within 5 deg of a pointing. The energy dispersion is that at
        1 deg from a pointing.

    Raises
    ------
    ValueError
        If no pointing is near the field.
    """
    image = geom.to_image()
    coarse = _coarse(image, COARSE)
    background = _instrument(irf, geom.axes["energy"]).field(coarse, pointings, livetime).background
    density = Map.from_geom(coarse.to_cube([geom.axes["energy"]]), data=background)
    density.data /= coarse.solid_angle().to_value("sr")
    background = density.interp_to_geom(geom)
    background.data *= image.solid_angle().to_value("sr")

    # One sub-band a bin would be enough; the mean over its sub-bands is that of the bin.
    field = _instrument(irf, energy_axis_true).field(coarse, pointings, livetime)
    exposure = Map.from_geom(
        coarse.to_cube([energy_axis_true]), data=_bin_centre(field.exposure), unit="cm2 s"
    )
    nearest = np.min([p.separation(coarse.get_coord().skycoord).deg for p in field.pointings], axis=0)
    reached = Map.from_geom(coarse, data=nearest).interp_to_geom(image).data < MAX_OFFSET
    axis = geom.axes["energy"]
    irfs = load_irf_dict_from_file(make_path(IRF_FILES.get(str(irf), irf)))
    kernel = irfs["edisp"].to_edisp_kernel(EDISP_OFFSET, energy_axis=axis, energy_axis_true=energy_axis_true)
    return MapDataset(
        counts=Map.from_geom(geom, dtype=np.float32),
        background=background,
        exposure=exposure.interp_to_geom(image.to_cube([energy_axis_true])),
        psf=_psf_map(field, image, energy_axis_true),
        edisp=EDispKernelMap.from_edisp_kernel(kernel),
        mask_safe=Map.from_geom(geom, data=np.broadcast_to(reached, geom.data_shape).copy()),
        name=name,
    )


def _coarse(image, size):
    """Pixels of another size that cover an image and a border."""
    return WcsGeom.create(
        skydir=image.center_skydir,
        width=image.width[:, 0] + 2 * size * u.deg,
        binsz=size,
        frame=image.frame,
        proj="TAN",
    )


def _instrument(irf, axis):
    edges = tuple(axis.edges.to_value("GeV"))
    return ImagingInstrument.from_irf(irf, Bands(edges, (0,) * axis.nbin))


def _bin_centre(exposure):
    """Exposure at the logarithmic centre of each bin, from that of its sub-bands."""
    middle = exposure.shape[1] // 2
    return np.sqrt(exposure[:, middle - 1] * exposure[:, middle])


def _psf_map(field, image, axis):
    """Point spread function on coarse pixels, weighted with the exposure of the pointings."""
    geom = _coarse(image, COARSE_PSF)
    psf = PSFMap.from_geom(geom.to_cube([MapAxis.from_nodes(RAD, unit="deg", name="rad"), axis]))
    for row, column in np.ndindex(geom.data_shape):
        position = geom.wcs.pixel_to_world(column, row)
        if field.pointings.separation(position).deg.min() >= field.instrument.offset[-1]:
            continue
        response = field.response(position)
        psf.psf_map.data[:, :, row, column] = response.psf[:, response.exposure.shape[1] // 2]
        exposure = _bin_centre(response.exposure) * u.cm**2 * u.s
        psf.exposure_map.data[:, 0, row, column] = exposure.to_value(psf.exposure_map.unit)
    return psf
