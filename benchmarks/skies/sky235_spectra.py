# Licensed under a 3-clause BSD style license - see LICENSE
"""Spectra of the true sources of the simulated sky 235."""

import gzip
import xml.etree.ElementTree as ElementTree

import numpy as np
from astropy.coordinates import SkyCoord
from scipy.spatial import KDTree

from ..common import data_folder

__all__ = ["load_spectra"]


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
    folder = data_folder(folder) / "panes2021"
    rows = [row for name in ("agn", "psr") for row in _read_library(folder / f"MOCK_4FGL_{name}_235.xml.gz")]
    ra, dec, *parameters = np.array(rows).T
    library = SkyCoord(ra, dec, unit="deg").galactic
    tree = KDTree(library.cartesian.xyz.value.T)
    position = SkyCoord(sky.lon, sky.lat, unit="deg", frame="galactic")
    _, index = tree.query(position.cartesian.xyz.value.T)
    norm, reference, slope, curvature, factor, power = (p[index][:, None] for p in parameters)

    def dnde(energy):
        energy = np.asarray(energy, dtype=float) * 1e3
        ratio = energy / reference
        return 1e3 * norm * ratio ** (slope + curvature * np.log(ratio)) * np.exp(-factor * energy**power)

    return dnde


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
