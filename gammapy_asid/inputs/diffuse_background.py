# Licensed under a 3-clause BSD style license - see LICENSE
"""Diffuse emission of files as the background of a dataset."""

from itertools import pairwise

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from gammapy.maps import Map
from gammapy.modeling.models import TemplateSpatialModel, create_fermi_isotropic_diffuse_model
from scipy.special import exprel

from ..utils.fits_files import open_fits

__all__ = ["diffuse_background", "read_emission", "read_isotropic"]

#: Energies of each bin in which diffuse emission is integrated.
N_NODES = 4
#: Stands for an intensity of zero.
TINY = 1e-100


def diffuse_background(geom, exposure, emission, isotropic=None):
    """Expected counts of diffuse emission, not blurred by the point spread function.

    Parameters
    ----------
    geom : `~gammapy.maps.WcsGeom` or `~gammapy.maps.HpxGeom`
        Pixels and energies.
    exposure : `~gammapy.maps.Map`
        Exposure.
    emission : `~gammapy.modeling.models.TemplateSpatialModel`
        Interstellar emission, differential intensity.
    isotropic : `~gammapy.modeling.models.SpectralModel`, optional
        Spectrum of the isotropic emission per steradian.

    Returns
    -------
    background : `~gammapy.maps.Map`
        Expected counts, zero outside the sky.
    """
    image = geom.to_image()
    sky = image.get_coord().skycoord
    outside = ~np.isfinite(sky.spherical.lon.deg)
    solid = np.where(outside, 0, np.nan_to_num(image.solid_angle().to_value("sr")))
    # Pixels outside the sky have no position: any will do, their solid angle is zero
    lon, lat = (np.where(outside, 0, a.deg) for a in (sky.spherical.lon, sky.spherical.lat))
    sky = SkyCoord(lon, lat, unit="deg", frame=image.frame)
    background = Map.from_geom(geom)
    edges = geom.axes["energy"].edges
    for i, (low, high) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        nodes = np.geomspace(low, high, N_NODES)
        # E dN/dE, a power law between the nodes; the exposure varies little inside a bin
        values = (_intensity(e, sky, emission, isotropic) * e.to_value("GeV") for e in nodes)
        step = np.log(high / low).to_value("") / (N_NODES - 1)
        flux = sum(step * one * exprel(np.log(other / one)) for one, other in pairwise(values))
        middle = {"skycoord": sky, "energy_true": np.sqrt(low * high)}
        seen = exposure.interp_by_coord(middle, fill_value=0) * exposure.unit.to("cm2 s")
        background.data[i] = np.nan_to_num(flux * seen * solid).clip(min=0)
    return background


def _intensity(energy, sky, emission, isotropic):
    """Differential intensity in cm-2 s-1 GeV-1 sr-1, positive."""
    axis = emission.map.geom.axes["energy_true"]
    nodes = np.log(axis.center.to_value("GeV"))
    at = np.log(energy.to_value("GeV"))
    i = int(np.clip(np.searchsorted(nodes, at) - 1, 0, len(nodes) - 2))
    share = (at - nodes[i]) / (nodes[i + 1] - nodes[i])
    # A power law between the energies of the cube, also beyond its ends
    low, high = (np.maximum(plane, TINY, dtype=float) for plane in emission.map.data[i : i + 2])
    plane = Map.from_geom(emission.map.geom.to_image(), data=low ** (1 - share) * high**share)
    unit = u.Unit("cm-2 s-1 GeV-1 sr-1")
    intensity = plane.interp_by_coord({"skycoord": sky}, fill_value=None) * emission.map.unit.to(unit)
    if isotropic is not None:
        intensity = intensity + isotropic(energy).to_value("cm-2 s-1 GeV-1")
    return np.maximum(intensity, TINY)


def read_emission(filename):
    """Read an interstellar emission with its spectrum.

    Parameters
    ----------
    filename : str or path
        File.

    Returns
    -------
    emission : `~gammapy.modeling.models.TemplateSpatialModel`
        Differential intensity.

    Raises
    ------
    ValueError
        If it is another kind of file.
    """
    with open_fits(filename):
        pass
    try:
        model = TemplateSpatialModel.read(filename, normalize=False)
        n_energies = model.map.geom.axes["energy_true"].nbin
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise ValueError(f"{filename} holds no emission with energies ({error})") from error
    if n_energies < 2:
        raise ValueError(f"{filename} holds one energy: the emission must have its spectrum")
    return model


def read_isotropic(filename):
    """Read an isotropic spectrum, as the Fermi tools have it.

    Parameters
    ----------
    filename : str or path
        File.

    Returns
    -------
    spectrum : `~gammapy.modeling.models.SpectralModel`
        Spectrum per steradian.

    Raises
    ------
    ValueError
        If it is another kind of file.
    """
    try:
        return create_fermi_isotropic_diffuse_model(filename).spectral_model
    except (ValueError, IndexError) as error:
        raise ValueError(f"{filename} holds no isotropic spectrum ({error})") from error
