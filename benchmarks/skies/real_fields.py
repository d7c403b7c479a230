# Licensed under a 3-clause BSD style license - see LICENSE
"""Real fields of the Fermi-LAT as Gammapy datasets."""

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from gammapy.data import EventList
from gammapy.datasets import MapDataset
from gammapy.irf import EDispKernelMap, PSFMap
from gammapy.maps import Map, MapAxis, WcsNDMap
from gammapy.modeling.models import (
    Models,
    PowerLawNormSpectralModel,
    SkyModel,
    TemplateSpatialModel,
    create_fermi_isotropic_diffuse_model,
)

from gammapy_asid.inputs import Bands, dataset_from_files
from gammapy_asid.simulation import lat_response

from ..common import data_folder
from .response_maps import psf_map

__all__ = ["EVENTS_2FHL", "FIELDS", "V07", "field_2fhl", "known_sky", "sky_models", "load_field", "sky_3fhl"]

#: Exposure of the response P8R3 over that of P7REP, at energies in GeV.
P8R3_OVER_P7REP = {0.05: 3.1, 0.1: 1.67, 0.3: 1.31, 1: 1.30, 3: 1.21, 10: 1.19, 100: 1.33, 500: 1.69}
#: Events above 50 GeV of the whole sky.
EVENTS_2FHL = "lat/allsky/fermi_2fhl_events.fits.gz"
#: Interstellar emission of the whole sky in pixels of 1.5 deg, and the isotropic emission of SOURCE events.
V07 = "lat/iem/gll_iem_v07_12x11_blockmean_fixedwcs.fits"
ISOTROPIC = "lat/iem/iso/iso_P8R3_SOURCE_V3_v1.txt"
#: Years of the exposure map and of the observation of 3C 279.
EXPOSURE_YEARS, YEARS_3C279 = 5.3, 2.0


def galactic_centre(folder):
    """Field of 20 deg x 10 deg around the Galactic centre, 10-500 GeV, 7 years."""
    dataset = MapDataset.read(folder / "gammapy-data/fermi-3fhl-gc/fermi-3fhl-gc.fits.gz", name="gc")
    # The mask of the file leaves out a border of 1 deg for a fit: the counts there are good
    dataset.mask_safe = None
    return dataset


def sky_3fhl(folder):
    """Whole sky above 10 GeV in HEALPix pixels of 0.9 deg, 7 years, with v07 averaged to 1.5 deg."""
    source = folder / "gammapy-data/fermi_3fhl"
    return dataset_from_files(
        folder / "lat/allsky/fermi_3fhl_counts_cube_hpx.fits.gz",
        source / "fermi_3fhl_exposure_cube_hpx.fits.gz",
        source / "fermi_3fhl_psf_gc.fits.gz",
        next((folder / "lat/iem").glob("gll_iem_v07_12x11*")),
        source / "iso_P8R2_SOURCE_V6_v06.txt",
        frame="icrs",
    )


def crab(folder):
    """Field of 5 deg x 4 deg around the Crab, 10 GeV-2 TeV."""
    path = folder / "gammapy-data/fermi-3fhl-crab/Fermi-LAT-3FHL_data_Fermi-LAT.fits"
    return MapDataset.read(path, name="crab")


def blazar_3c279(folder, e_min=0.3):
    """Field of 20 deg x 20 deg around 3C 279, 0.3-500 GeV, 2 years, all events of SOURCE class."""
    path = folder / "lat/roi/3C279_binned_ccube.fits"
    with fits.open(path) as hdus:
        edges = np.append(hdus["EBOUNDS"].data["E_MIN"], hdus["EBOUNDS"].data["E_MAX"][-1]) * 1e-6
        data = hdus[0].data
        image = Map.from_hdulist(fits.HDUList([fits.PrimaryHDU(data[0], _image_header(hdus[0].header))]))
    first = np.argmin(np.abs(np.log(edges / e_min)))
    axis = MapAxis.from_energy_edges(edges[first:] * u.GeV)
    counts = WcsNDMap(image.geom.to_cube([axis]), data[first:].astype(np.float32))

    fine = np.geomspace(e_min, 1000, 25)
    bands = Bands(tuple(fine), levels=(0,) * 24)
    response = lat_response(
        "P8R3_SOURCE_V2", "FRONT+BACK", bands=bands, n_sub=1, e_min=e_min, caldb=folder / "lat" / "irfs"
    )
    psf = psf_map(response)
    all_sky = _exposure_p7rep(folder)
    energies, ratios = np.array([*P8R3_OVER_P7REP.items()]).T
    exposure = WcsNDMap(image.geom.to_cube([psf.psf_map.geom.axes["energy_true"]]), unit="cm2 s")
    coords = exposure.geom.get_coord()
    ratio = np.interp(np.log(coords["energy_true"].to_value("GeV")), np.log(energies), ratios)
    exposure.data = all_sky.interp_by_coord(coords) * ratio * YEARS_3C279 / EXPOSURE_YEARS
    dataset = _dataset("3c279", counts, exposure, psf)
    dataset.background = known_sky(dataset, folder)
    return dataset


def vela(folder):
    """Field of 32 deg x 18 deg around Vela above 50 GeV, one bin, 80 months."""
    axis = MapAxis.from_energy_edges([50, 2000] * u.GeV)
    path = folder / "lat/roi/fermi_2fhl_vela.fits.gz"
    counts, background = (_image(path, hdu, axis) for hdu in ("COUNTS", "BACKGROUND"))
    return _dataset("vela", counts, *_response_2fhl(counts, folder), background)


def field_2fhl(folder, lon, lat, width=20):
    """Square field above 50 GeV, 80 months, from the events; their residual cosmic rays have no model.

    Parameters
    ----------
    folder : path
        Data folder.
    lon, lat : float
        Galactic coordinates of the centre in deg.
    width : float
        Side in deg.
    """
    axis = MapAxis.from_energy_edges([50, 100, 200, 500, 2000] * u.GeV)
    center = SkyCoord(lon, lat, unit="deg", frame="galactic")
    counts = WcsNDMap.create(skydir=center, width=width, binsz=0.1, frame="galactic", proj="TAN", axes=[axis])
    counts.fill_events(EventList.read(folder / EVENTS_2FHL))
    return _dataset("2fhl", counts, *_response_2fhl(counts, folder))


def _response_2fhl(counts, folder):
    """Exposure and point spread function of 2FHL."""
    psf = PSFMap.read(folder / "lat/irfs/fermi_2fhl_psf_gc.fits.gz", format="gtpsf")
    all_sky = Map.read(folder / "lat/exposure/fermi_2fhl_exposure_cube_hpx.fits.gz")
    geom = counts.geom.to_image().to_cube([all_sky.geom.axes["energy_true"]])
    return WcsNDMap(geom, all_sky.interp_by_coord(geom.get_coord()), unit="cm2 s"), psf


def plane(folder):
    """The Galactic plane, 200 deg x 10 deg above 10 GeV, one bin, 5 years."""
    axis = MapAxis.from_energy_edges([10, 500] * u.GeV)
    path = folder / "lat/roi/fermi_survey_1fhl_gp_200x10deg.fits.gz"
    counts, background = (_image(path, hdu, axis) for hdu in ("ON", "BACKGROUND"))
    bands = Bands(tuple(np.geomspace(10, 1000, 9)), levels=(0,) * 8)
    response = lat_response(
        "P8R2_SOURCE_V6", "FRONT+BACK", bands=bands, n_sub=1, e_min=10, caldb=folder / "lat" / "irfs"
    )
    psf = psf_map(response)
    image = _image(path, "EXPGAMMAMAP", axis).data[0]
    geom = counts.geom.to_image().to_cube([psf.psf_map.geom.axes["energy_true"]])
    exposure = WcsNDMap(geom, np.broadcast_to(image, geom.data_shape).copy(), unit="cm2 s")
    return _dataset("plane", counts, exposure, psf, background)


#: Functions of the data folder that make the dataset of each field.
FIELDS = {
    "Galactic centre": galactic_centre,
    "Crab": crab,
    "3C 279": blazar_3c279,
    "Vela": vela,
    "Galactic plane": plane,
}


def _dataset(name, counts, exposure, psf, background=None):
    axes = counts.geom.axes["energy"], exposure.geom.axes["energy_true"]
    edisp = EDispKernelMap.from_diagonal_response(*axes)
    return MapDataset(
        counts=counts, exposure=exposure, psf=psf, edisp=edisp, background=background, name=name
    )


def _image_header(header):
    """Header of the image of a cube."""
    keys = ("CTYPE", "CRPIX", "CRVAL", "CDELT", "CUNIT")
    names = [f"{key}{axis}" for key in keys for axis in (1, 2)]
    return fits.Header({name: header[name] for name in names})


def _image(path, hdu, axis):
    """Image of a FITS file as a map with one energy bin."""
    image = Map.read(path, hdu=hdu)
    return WcsNDMap(image.geom.to_cube([axis]), image.data[None].astype(np.float32))


def _exposure_p7rep(folder):
    """All-sky exposure of the response P7REP."""
    parts = [Map.read(folder / f"lat/exposure/gammacap_expcube_1p2deg_part{i}.fits") for i in (0, 1)]
    energy = np.concatenate([part.geom.axes["energy_true"].center.to_value("GeV") for part in parts])
    axis = MapAxis.from_nodes(energy, unit="GeV", name="energy_true", interp="log")
    data = np.concatenate([part.data for part in parts])
    return WcsNDMap(parts[0].geom.to_image().to_cube([axis]), data, unit="cm2 s")


def sky_models(folder, emission=V07, isotropic=ISOTROPIC):
    """Models of the interstellar and isotropic emission.

    Parameters
    ----------
    folder : path
        Data folder.
    emission, isotropic : str
        Files of the emission in the data folder.

    Returns
    -------
    models : `~gammapy.modeling.models.Models`
        Two models.
    """
    template = TemplateSpatialModel.read(folder / emission, normalize=False)
    return Models(
        [
            SkyModel(spectral_model=PowerLawNormSpectralModel(), spatial_model=template, name="iem"),
            create_fermi_isotropic_diffuse_model(folder / isotropic),
        ]
    )


def known_sky(dataset, folder, emission=V07, isotropic=ISOTROPIC):
    """Expected counts of the interstellar and isotropic emission.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data of a field with their response; left unchanged.
    folder : path
        Data folder.
    emission, isotropic : str
        Files of the emission in the data folder.

    Returns
    -------
    background : `~gammapy.maps.Map`
        Counts in the pixels of the dataset.
    """
    known = dataset.copy()
    known.models = sky_models(folder, emission, isotropic)
    return known.npred_signal()


def load_field(name, folder=None):
    """Dataset of a field of `FIELDS`."""
    return FIELDS[name](data_folder(folder))
