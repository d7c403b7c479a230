# Licensed under a 3-clause BSD style license - see LICENSE
"""Spectra of the true sources of the simulated sky 235."""

import gzip
import xml.etree.ElementTree as ElementTree

import numpy as np
from astropy.coordinates import SkyCoord
from scipy.spatial import KDTree

from ..common import data_folder

__all__ = ["CLASSES", "load_classes", "load_spectra"]

#: Classes of the sources, each with a library of its own.
CLASSES = ("AGN", "PSR")


def load_spectra(sky, folder=None):
    """Spectra of the true sources, from the library they were simulated with.

    Parameters
    ----------
    sky : `Sky`
        The sky.
    folder : path, optional
        See `load_sky235`.

    Returns
    -------
    dnde : callable
        ``dnde(energy)`` with energies in GeV of shape ``(n_e,)`` gives cm-2 s-1 GeV-1
        of shape ``(n_true, n_e)``.
    """
    rows, index, _ = _library(sky, folder)
    _, _, *parameters = rows.T
    norm, reference, slope, curvature, factor, power = (p[index][:, None] for p in parameters)

    def dnde(energy):
        energy = np.asarray(energy, dtype=float) * 1e3
        ratio = energy / reference
        return 1e3 * norm * ratio ** (slope + curvature * np.log(ratio)) * np.exp(-factor * energy**power)

    return dnde


def load_classes(sky, folder=None):
    """Classes of the true sources.

    Parameters
    ----------
    sky, folder
        See `load_spectra`.

    Returns
    -------
    classes : `~numpy.ndarray` of int
        Index in `CLASSES`, shape ``(n_true,)``.
    """
    _, index, classes = _library(sky, folder)
    return classes[index]


def _library(sky, folder):
    """Rows of the libraries, which of them each true source is, and the class of each row."""
    folder = data_folder(folder) / "panes2021"
    parts = [list(_read_library(folder / f"MOCK_4FGL_{name.lower()}_235.xml.gz")) for name in CLASSES]
    rows = np.array([row for part in parts for row in part])
    library = SkyCoord(*rows[:, :2].T, unit="deg").galactic
    tree = KDTree(library.cartesian.xyz.value.T)
    position = SkyCoord(sky.lon, sky.lat, unit="deg", frame="galactic")
    _, index = tree.query(position.cartesian.xyz.value.T)
    return rows, index, np.repeat(np.arange(len(parts)), [len(part) for part in parts])


def _read_library(path):
    """Rows of ra, dec, norm, reference, slope, curvature, cut-off factor and power in MeV."""
    with gzip.open(path) as file:
        root = ElementTree.parse(file).getroot()
    for source in root:
        value = {
            p.get("name"): float(p.get("value")) * float(p.get("scale")) for p in source.iter("parameter")
        }
        if source.find("spectrum").get("type") == "LogParabola":
            spectrum = value["norm"], value["Eb"], -value["alpha"], -value["beta"], 0.0, 1.0
        else:
            spectrum = (
                value["Prefactor"],
                value["Scale"],
                value["Index1"],
                0.0,
                value["Expfactor"],
                value["Index2"],
            )
        yield (value["RA"], value["DEC"], *spectrum)
