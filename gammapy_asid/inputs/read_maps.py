# Licensed under a 3-clause BSD style license - see LICENSE
"""Datasets from the files that the Fermi tools and their archives hold."""

import logging

import numpy as np
from gammapy.data import EventList
from gammapy.datasets import MapDataset
from gammapy.irf import EDispKernelMap, PSFMap
from gammapy.maps import Map, MapAxis, WcsGeom

from ..utils.arguments import check_number, checked_range
from ..utils.fits_files import open_fits
from .bands import LAT_PIXEL_SIZE
from .diffuse_background import diffuse_background, read_emission, read_isotropic
from .longitudes import wrapped_map
from .selection import read_gti, read_selection

__all__ = ["dataset_from_files", "diffuse_background", "read_sky_map"]

log = logging.getLogger(__name__)

#: Values of the key COORDSYS of HEALPix maps.
COORDSYS = {"GAL": "GAL", "G": "GAL", "GALACTIC": "GAL", "EQU": "C", "C": "C", "CEL": "C", "ICRS": "C"}
#: Beginnings of CTYPE1 of WCS maps.
CTYPES = ("GLON", "RA--")
#: Energy bins of events per decade.
BINS_PER_DECADE = 4
#: Radius in deg from which events are binned on the whole sky.
LARGEST_CIRCLE = 60.0
#: Largest relative difference of energies that are the same but for rounding.
SAME_ENERGY = 1e-3


def read_sky_map(filename, frame=None):
    """Read a map of the sky, WCS or HEALPix.

    Parameters
    ----------
    filename : str or path
        FITS file.
    frame : {"galactic", "icrs"}, optional
        Frame of HEALPix maps that do not state it.

    Returns
    -------
    m : `~gammapy.maps.Map`
        Map.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the frame is not known, or the file holds no map.
    """
    with open_fits(filename) as hdulist:
        for hdu in hdulist:
            if hdu.header.get("PIXTYPE") == "HEALPIX":
                stated = str(hdu.header.get("COORDSYS", frame or "")).strip().upper()
                if stated not in COORDSYS:
                    what = f"the frame {stated}, which is not known" if stated else "no frame (COORDSYS)"
                    raise ValueError(
                        f"The HEALPix map {filename} has {what}: give its frame, galactic or icrs"
                    )
                hdu.header["COORDSYS"] = COORDSYS[stated]
            elif "CTYPE1" in hdu.header and not hdu.header["CTYPE1"].startswith(CTYPES):
                raise ValueError(
                    f"{filename} has the frame {hdu.header['CTYPE1']}, which is not known: "
                    "maps must be galactic (GLON, GLAT) or equatorial (RA, DEC)"
                )
        try:
            return Map.from_hdulist(hdulist)
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise ValueError(f"{filename} holds no map of the sky ({error})") from error


def dataset_from_files(
    counts,
    exposure,
    psf,
    emission=None,
    isotropic=None,
    frame=None,
    energy_range=None,
    pixel_size=LAT_PIXEL_SIZE,
):
    """Make a dataset of files.

    Parameters
    ----------
    counts : str or path
        Counts map, or a list of events. The sky and the energies that the selection in its header
        (DSVAL, as the Fermi tools write it) leaves out are not observed: they are masked. Events of a circle
        are binned around its centre (ZEA projection), others on the whole sky (CAR).
    exposure : str or path
        Exposure map, as gtexpcube2 writes it; in cm2 s if it states no unit.
    psf : str or path
        Point spread function, as gtpsf writes it.
    emission : str or path, optional
        Interstellar emission, such as ``gll_iem``.
    isotropic : str or path, optional
        Isotropic spectrum, such as ``iso_P8R3_SOURCE_V3_v1.txt``.
    frame : {"galactic", "icrs"}, optional
        Frame of HEALPix maps that do not state it.
    energy_range : `~astropy.units.Quantity`, optional
        Lowest and highest energy of events, in GeV without a unit; by default those of their selection.
    pixel_size : float
        Pixel size for events in deg.

    Returns
    -------
    dataset : `~gammapy.datasets.MapDataset`
        Dataset, with a background if an emission is given, and with the good time intervals of the counts
        if their file has any. Energy bins that the exposure does not reach are masked.

    Raises
    ------
    TypeError, ValueError
        If a file is another kind of file, or an argument makes no sense or would not be used.
    FileNotFoundError
        If a file is missing.
    """
    check_number("pixel_size", pixel_size, above=0, high=10)
    energy_range = None if energy_range is None else checked_range("energy_range", energy_range)
    if isotropic is not None and emission is None:
        raise ValueError("The isotropic spectrum belongs to an interstellar emission: give that, too")
    counts, observed, gti = _counts(counts, frame, energy_range, pixel_size)
    exposure = _exposure(exposure, frame)
    observed = _exposed(counts.geom, exposure, observed)
    with open_fits(psf) as hdulist:
        try:
            psf = PSFMap.from_hdulist(hdulist, format="gtpsf")
        except KeyError as error:
            raise ValueError(f"{psf} holds no PSF of gtpsf ({error})") from error
    axis, axis_true = counts.geom.axes["energy"], exposure.geom.axes["energy_true"]
    dataset = MapDataset(
        counts=counts,
        exposure=exposure,
        psf=psf,
        edisp=EDispKernelMap.from_diagonal_response(axis, axis_true),
        mask_safe=observed,
        gti=gti,
        name="sky",
    )
    if emission is not None:
        cube = read_emission(emission)
        spectrum = None
        if isotropic is not None:
            spectrum = read_isotropic(isotropic)
        dataset.background = diffuse_background(counts.geom, exposure, cube, spectrum)
    return dataset


def _exposed(geom, exposure, observed):
    """Mask without the bins whose middle lies beyond the energies of the exposure; None for everything."""
    nodes = exposure.geom.axes["energy_true"].center.to_value("GeV")[[0, -1]]
    axis = geom.axes["energy"]
    middle = np.sqrt(axis.edges[:-1] * axis.edges[1:]).to_value("GeV")
    known = (middle > nodes[0] * (1 - SAME_ENERGY)) & (middle < nodes[1] * (1 + SAME_ENERGY))
    if known.all():
        return observed
    if not known.any():
        raise ValueError(
            f"The exposure, of {nodes[0]:.4g}-{nodes[1]:.4g} GeV, reaches none of the energies of the counts"
        )
    log.warning(
        f"{(~known).sum()} of {len(known)} energy bins are left out, since the exposure is known for "
        f"{nodes[0]:.4g}-{nodes[1]:.4g} GeV only: make it for all energies of the counts"
    )
    mask = Map.from_geom(geom, data=np.ones(geom.data_shape, bool)) if observed is None else observed
    mask.data &= known.reshape(-1, *[1] * (mask.data.ndim - 1))
    return mask


def _exposure(filename, frame):
    exposure = wrapped_map(read_sky_map(filename, frame))
    if "energy_true" not in exposure.geom.axes.names:
        raise ValueError("The exposure has no axis of true energies: give the output of gtexpcube2")
    if exposure.unit == "":
        log.warning(f"The exposure {filename} states no unit: it is taken to be in cm2 s")
        return Map.from_geom(exposure.geom, data=exposure.data, unit="cm2 s")
    if not exposure.unit.is_equivalent("cm2 s"):
        raise ValueError(f"The exposure {filename} must be in cm2 s, got {exposure.unit}")
    return exposure


def _counts(filename, frame, energy_range, pixel_size):
    """Counts, a mask of what was observed (None for everything), and the good times (None without)."""
    with open_fits(filename) as hdulist:
        is_events = "EVENTS" in hdulist
        selection, gti = read_selection(hdulist, filename), read_gti(hdulist, filename)
    if energy_range is not None and not is_events:
        raise ValueError(f"{filename} holds a map: energy_range is for events, leave it out")
    counts = _binned(filename, selection, energy_range, pixel_size) if is_events else _cube(filename, frame)
    geom = counts.geom
    inside = selection.contains(geom.to_image())
    bins = selection.whole_bins(geom.axes["energy"].edges.to_value("GeV"))
    outside_sky = ~np.isfinite(geom.to_image().get_coord().lon)
    if not inside.any() or not bins.any():
        raise ValueError(f"{filename} holds nothing of what its own header says that was selected")
    if not bins.all():
        log.warning(
            f"{filename}: {(~bins).sum()} of {len(bins)} energy bins are left out, since only events of "
            f"{selection.e_min:.4g}-{selection.e_max:.4g} GeV were selected"
        )
    if bins.all() and (inside | outside_sky).all():
        return counts, None, gti
    return counts, Map.from_geom(geom, data=bins.reshape(-1, *[1] * inside.ndim) & inside), gti


def _cube(filename, frame):
    counts = wrapped_map(read_sky_map(filename, frame))
    if "energy" not in counts.geom.axes.names:
        raise ValueError(f"{filename} has no axis of energies: give a counts cube or a list of events")
    return counts


def _binned(filename, selection, energy_range, pixel_size):
    """Map of the events of a file."""
    if energy_range is None:
        if not (selection.e_min > 0 and np.isfinite(selection.e_max)):
            raise ValueError(f"{filename} holds events: give the range of energies to bin them in")
        low, high = selection.e_min, selection.e_max
    else:
        wanted = energy_range
        low, high = max(wanted[0], selection.e_min), min(wanted[1], selection.e_max)
        if not low < high:
            raise ValueError(
                f"{filename} holds events of {selection.e_min:.4g}-{selection.e_max:.4g} GeV, none in the "
                f"range of {wanted[0]:.4g}-{wanted[1]:.4g} GeV that is wanted"
            )
        if low > wanted[0] * 1.001 or high < wanted[1] * 0.999:
            log.warning(f"{filename} holds events of {low:.4g}-{high:.4g} GeV only: these energies are used")
    n_bins = max(1, round(BINS_PER_DECADE * np.log10(high / low)))
    axis = MapAxis.from_energy_bounds(low, high, n_bins, unit="GeV")
    circle = selection.circle()
    if circle is None or circle[1] > LARGEST_CIRCLE:
        geom = WcsGeom.create(binsz=pixel_size, proj="CAR", frame="galactic", axes=[axis])
    else:
        geom = WcsGeom.create(
            skydir=circle[0], width=2 * circle[1], binsz=pixel_size, proj="ZEA", frame="galactic", axes=[axis]
        )
    counts = Map.from_geom(geom)
    counts.fill_events(EventList.read(filename))
    return counts
