# Licensed under a 3-clause BSD style license - see LICENSE
"""Sky models in the XML of ctools, such as that of the CTAO Galactic Plane Survey, as Gammapy models."""

import logging
import warnings
import xml.etree.ElementTree as ElementTree
from contextlib import contextmanager
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs import WCS, FITSFixedWarning
from astropy.wcs.utils import proj_plane_pixel_scales
from gammapy.maps import Map, MapAxis, WcsGeom
from gammapy.modeling.models import (
    DiskSpatialModel,
    GaussianSpatialModel,
    Models,
    PointSpatialModel,
    ShellSpatialModel,
    SkyModel,
    TemplateSpatialModel,
)

from .gps_spectra import read_spectrum, scaled_spectrum
from .xml_parameters import XmlParameters

__all__ = ["read_ctools_xml"]

log = logging.getLogger(__name__)


def read_ctools_xml(filename, folder=None, on_error="raise"):
    """Read a sky model in the XML format of ctools.

    Understands the spectra PowerLaw, ExponentialCutoffPowerLaw (also as ExpCutoff),
    SuperExponentialCutoffPowerLaw, LogParabola, BrokenPowerLaw, SmoothBrokenPowerLaw,
    FileFunction, NodeFunction, Constant and Composite (a sum), and the shapes PointSource,
    SkyDirFunction, RadialGaussian, RadialDisk, RadialShell, EllipticalGaussian, EllipticalDisk,
    DiffuseMap and DiffuseMapCube, as defined in the manual of GammaLib (Knoedlseder et al. 2016,
    A&A 593, A1). Maps are normalised to one if the file does not say otherwise, cubes are taken as they are,
    and their spectrum is a factor on them. Phase curves are replaced
    by their mean, because a survey averages over them. Background models of an instrument are left out.

    Parameters
    ----------
    filename : str or path
        XML file.
    folder : str or path, optional
        Folder of the spectra, maps and phase curves that it names. By default that of the file.
    on_error : {"raise", "warn"}
        Whether a source that can't be read is an error, or is left out with a warning in the log.

    Returns
    -------
    models : `~gammapy.modeling.models.Models`
        Sky models in the order of the file. Parameters that the file holds fixed are frozen.

    Raises
    ------
    FileNotFoundError
        If the file, or one that it names, does not exist.
    ValueError
        If it is no such XML, or has a source of another type, without a parameter or of a name that
        another has.
    """
    if on_error not in ("raise", "warn"):
        raise ValueError(f"on_error is 'raise' or 'warn', got {on_error!r}")
    filename = Path(filename)
    if not filename.exists():
        raise FileNotFoundError(f"No sky model {filename}: check the path")
    try:
        root = ElementTree.parse(filename).getroot()
    except ElementTree.ParseError as error:
        raise ValueError(f"{filename} is not valid XML ({error})") from error
    if root.tag != "source_library":
        raise ValueError(f"{filename} is no sky model: its root is <{root.tag}>, not <source_library>")
    folder = filename.parent if folder is None else Path(folder)
    models, names = [], set()
    for number, source in enumerate(root.findall("source"), 1):
        name = source.get("name") or f"source-{number}"
        if source.find("spatialModel") is None:
            log.info(f"{name!r} of type {source.get('type')!r} is no source of the sky: left out")
            continue
        try:
            if name in names:
                raise ValueError("another source has its name: rename one")
            models.append(_sky_model(name, source, folder))
            names.add(name)
        except (ValueError, FileNotFoundError) as error:
            if on_error == "raise":
                raise type(error)(f"Source {name!r} of {filename.name}: {error}") from error
            log.warning(f"Source {name!r} is left out: {error}")
    return Models(models)


def _sky_model(name, source, folder):
    """Sky model of a <source>."""
    spectrum, shape = source.find("spectrum"), source.find("spatialModel")
    if spectrum is None:
        raise ValueError("it has no <spectrum>")
    spectral = read_spectrum(spectrum, folder, relative=shape.get("type") == "DiffuseMapCube")
    curve = source.find("temporal")
    if curve is not None:
        spectral = scaled_spectrum(spectral, _mean_of_curve(curve, folder))
    spatial = _shape(shape, folder)
    return SkyModel(spectral_model=spectral, spatial_model=spatial, name=name)


def _mean_of_curve(curve, folder):
    """Mean factor of a <temporal> element on the spectrum."""
    if curve.get("type") == "Constant":
        return XmlParameters(curve).value("Normalization")
    if curve.get("type") != "PhaseCurve":
        raise ValueError(f"a time dependence of type {curve.get('type')!r} can't be read: only PhaseCurve")
    # By default a curve is scaled to a mean of one.
    if curve.get("normalize", "1") != "0":
        return 1.0
    with fits.open(_existing(curve, folder)) as hdulist:
        phase, norm = (hdulist[1].data[column].astype(float) for column in ("PHASE", "NORM"))
    # Trapezoids over one turn, linear between the points and around the end.
    step = np.diff(phase, append=phase[0] + 1)
    return float(np.sum(step * (norm + np.roll(norm, -1)) / 2))


def _existing(element, folder):
    """Path of the file that an element names."""
    if not element.get("file"):
        raise ValueError(f"its {element.get('type')!r} names no file")
    path = folder / element.get("file")
    if not path.exists():
        raise FileNotFoundError(f"no file {path}: unpack the files that belong to the sky model there")
    return path


def _shape(element, folder):
    """Spatial model of a <spatialModel>."""
    kind = element.get("type")
    if kind in ("DiffuseMap", "DiffuseMapCube"):
        return _template(element, _existing(element, folder))
    parameters = XmlParameters(element)
    make = SHAPES.get(kind)
    if make is None:
        known = ", ".join([*SHAPES, "DiffuseMap", "DiffuseMapCube"])
        raise ValueError(f"a shape of type {kind!r} can't be read: known are {known}")
    galactic = "GLON" in parameters
    lon, lat = ("GLON", "GLAT") if galactic else ("RA", "DEC")
    model = make(parameters, galactic)
    model.frame = "galactic" if galactic else "icrs"
    parameters.fill(model.lon_0, lon, "deg")
    parameters.fill(model.lat_0, lat, "deg")
    return model


def _point(parameters, galactic):
    return PointSpatialModel()


def _gaussian(parameters, galactic):
    model = GaussianSpatialModel()
    parameters.fill(model.sigma, "Sigma", "deg")
    return model


def _disk(parameters, galactic):
    model = DiskSpatialModel()
    parameters.fill(model.r_0, "Radius", "deg")
    return model


def _shell(parameters, galactic):
    model = ShellSpatialModel()
    parameters.fill(model.radius, "Radius", "deg")
    parameters.fill(model.width, "Width", "deg")
    return model


def _elliptical(model, size):
    """Set axes and angle of an elliptical model, the major axis being the longer one."""

    def make(parameters, galactic):
        if galactic:
            raise ValueError("ellipses can't be read in Galactic coordinates: the angle is that from north")
        shape = model()
        major, minor = (parameters.value(name) for name in ("MajorRadius", "MinorRadius"))
        angle = parameters.value("PA") + (90 if minor > major else 0)
        parameters.fill(getattr(shape, size), "MajorRadius" if major >= minor else "MinorRadius", "deg")
        shape.e.value = np.sqrt(1 - (min(major, minor) / max(major, minor)) ** 2)
        shape.phi.quantity = ((angle + 90) % 180 - 90) * u.deg
        for parameter in (shape.e, shape.phi):
            parameter.frozen = not parameters.is_free("PA")
        return shape

    return make


SHAPES = {
    "PointSource": _point,
    "SkyDirFunction": _point,
    "RadialGaussian": _gaussian,
    "RadialDisk": _disk,
    "RadialShell": _shell,
    "EllipticalGaussian": _elliptical(GaussianSpatialModel, "sigma"),
    "EllipticalDisk": _elliptical(DiskSpatialModel, "r_0"),
}


def _template(element, path):
    """Template of a map, normalised to one if that is wanted, or of a cube as it is."""
    is_cube = element.get("type") == "DiffuseMapCube"
    factor = XmlParameters(element).value("Normalization")
    data, header, energy = _image(path, is_cube)
    axes = None
    if is_cube:
        axes = [MapAxis.from_nodes(energy, name="energy_true", interp="log")]
    geom = WcsGeom(_wcs(header), data.shape[:-3:-1], axes=axes)
    if is_cube:
        template = Map.from_geom(geom, data=factor * data, unit="cm-2 s-1 MeV-1 sr-1")
        return TemplateSpatialModel(template, normalize=False, filename=str(path))
    inside = np.where(np.isfinite(geom.solid_angle().value), data, 0)
    template = Map.from_geom(geom, data=inside.clip(min=0), unit="sr-1")
    total = np.nansum(template.data * geom.solid_angle().to_value("sr"))
    if not total > 0:
        raise ValueError(f"the map {path} is zero everywhere")
    template.data *= factor / total if element.get("normalize", "1") != "0" else factor
    return TemplateSpatialModel(template, normalize=False, filename=str(path))


def _image(path, is_cube):
    """Data of the first image or cube of a file, its header, and the energies of a cube."""
    wanted = 3 if is_cube else 2
    # Of a file cut short, what matters is whether the data are there.
    with _ignored(AstropyUserWarning), fits.open(path) as hdulist:
        hdu = next((h for h in hdulist if h.is_image and h.header["NAXIS"] == wanted), None)
        if hdu is None:
            raise ValueError(f"{path} holds no {'cube' if is_cube else 'map'}")
        try:
            data = np.nan_to_num(hdu.data.astype(float))
            energy = _energies(hdulist["ENERGIES"]) if is_cube else None
        except (TypeError, ValueError, OSError, KeyError) as error:
            raise ValueError(f"the file {path} is damaged ({error}): fetch it again") from error
        return data, hdu.header, energy


def _energies(hdu):
    """Energies of the first column of a table, in MeV if it does not say otherwise."""
    return u.Quantity(hdu.data.field(0), hdu.columns[0].unit or "MeV").to("MeV")


def _wcs(header):
    """Projection of the sky, with pixel sizes and a rotation where the header has a CD matrix."""
    # Old keywords of frames and dates are understood.
    with _ignored(FITSFixedWarning):
        wcs = WCS(header).celestial
    if wcs.wcs.has_cd():
        matrix, size = wcs.wcs.cd, proj_plane_pixel_scales(wcs)
        del wcs.wcs.cd
        wcs.wcs.cdelt = size * [-1, 1]
        wcs.wcs.pc = matrix / wcs.wcs.cdelt[:, None]
    return wcs


@contextmanager
def _ignored(category):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category)
        yield
