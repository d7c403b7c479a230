# Licensed under a 3-clause BSD style license - see LICENSE
"""Effective area and point spread function of the Fermi-LAT from CALDB files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits

__all__ = ["LatIRF", "king"]

#: Name of the file that holds an event type.
PARTITIONS = {
    "FB": ("FRONT", "BACK"),
    "PSF": ("PSF0", "PSF1", "PSF2", "PSF3"),
    "EDISP": ("EDISP0", "EDISP1", "EDISP2", "EDISP3"),
}


def king(x, sigma, gamma):
    """King function, normalised to one over the plane (Ackermann et al. 2013, ApJ 765, 54).

    Parameters
    ----------
    x, sigma : `~numpy.ndarray`
        Distance and width, same unit.
    gamma : `~numpy.ndarray`
        Slope of the tail, above 1.
    """
    return (1 - 1 / gamma) / (2 * np.pi * sigma**2) * (1 + x**2 / (2 * gamma * sigma**2)) ** -gamma


def _bracket(nodes, value):
    """Lower node and weight of the upper one for a linear interpolation held constant outside."""
    position = np.clip(np.interp(value, nodes, np.arange(len(nodes))), 0, len(nodes) - 1)
    lower = np.minimum(position.astype(int), len(nodes) - 2)
    return lower, position - lower


def _bilinear(table, log_energy, cos_theta, log_energy_nodes, cos_theta_nodes):
    """Interpolate ``table[cos_theta, energy]`` on the outer grid of the two coordinates."""
    i, u = _bracket(cos_theta_nodes, cos_theta)
    j, v = _bracket(log_energy_nodes, log_energy)
    u, i = u[:, None], i[:, None]
    low = table[i, j] * (1 - v) + table[i, j + 1] * v
    high = table[i + 1, j] * (1 - v) + table[i + 1, j + 1] * v
    return low * (1 - u) + high * u


@dataclass(frozen=True)
class LatIRF:
    """Response of one event type of one event class.

    Tables are at bin centres: the logarithm of the energy in MeV and the cosine
    of the angle to the telescope axis. Dependence on the azimuth is left out.

    Parameters
    ----------
    aeff : `~numpy.ndarray`
        Effective area in cm2, shape ``(n_cos_theta, n_energy)``.
    psf_parameters : dict of `~numpy.ndarray`
        NCORE, NTAIL, SCORE, STAIL, GCORE, GTAIL, each of shape ``(n_cos_theta, n_energy)``.
    psf_scale : tuple of float
        ``c0`` and ``c1`` in rad and the exponent ``beta``.
    aeff_nodes, psf_nodes : tuple of `~numpy.ndarray`
        Logarithm of the energy in MeV and cosine of the angle of the tables.
    """

    aeff: np.ndarray
    psf_parameters: dict
    psf_scale: tuple
    aeff_nodes: tuple
    psf_nodes: tuple

    @classmethod
    def read(cls, caldb, irf, event_type):
        """Read the files ``aeff_<irf>_<partition>`` and ``psf_<irf>_<partition>``.

        Parameters
        ----------
        caldb : path
            Folder of the files, compressed or not.
        irf : str
            Response, for example ``P8R3_SOURCE_V2``.
        event_type : str
            FRONT, BACK, PSF0 to PSF3 or EDISP0 to EDISP3.

        Raises
        ------
        ValueError
            If the event type is unknown.
        FileNotFoundError
            If the response is not in the folder.
        """
        partition = next((name for name, types in PARTITIONS.items() if event_type in types), None)
        if partition is None:
            known = ", ".join(sum(PARTITIONS.values(), ()))
            raise ValueError(
                f"Unknown event type {event_type!r}: use one of {known}, or several joined by '+'"
            )
        with fits.open(_find(caldb, "aeff", irf, partition)) as hdus:
            table = hdus[f"EFFECTIVE AREA_{event_type}"].data
            aeff = np.asarray(table["EFFAREA"][0], dtype=float) * 1e4
            aeff_nodes = _nodes(table)
        with fits.open(_find(caldb, "psf", irf, partition)) as hdus:
            table = hdus[f"RPSF_{event_type}"].data
            names = ("NCORE", "NTAIL", "SCORE", "STAIL", "GCORE", "GTAIL")
            parameters = {name: np.asarray(table[name][0], dtype=float) for name in names}
            psf_nodes = _nodes(table)
            scale = hdus[f"PSF_SCALING_PARAMS_{event_type}"].data["PSFSCALE"][0]
        return cls(aeff, parameters, tuple(float(_) for _ in scale), aeff_nodes, psf_nodes)

    def effective_area(self, energy, cos_theta):
        """Effective area in cm2.

        Parameters
        ----------
        energy : `~numpy.ndarray`
            True energy in GeV, shape ``(n_energy,)``.
        cos_theta : `~numpy.ndarray`
            Cosine of the angle to the telescope axis, shape ``(n_cos_theta,)``.

        Returns
        -------
        area : `~numpy.ndarray`
            Shape ``(n_cos_theta, n_energy)``.
        """
        return _bilinear(self.aeff, np.log(energy * 1e3), cos_theta, *self.aeff_nodes)

    def psf(self, energy, cos_theta, rad):
        """Point spread function in 1/sr.

        Nodes of the table are evaluated at the scaled offset of the energy asked
        for, then interpolated, so that the fast change with energy is exact.

        Parameters
        ----------
        energy, cos_theta : `~numpy.ndarray`
            As for `effective_area`.
        rad : `~numpy.ndarray`
            Offset in deg, shape ``(n_rad,)``.

        Returns
        -------
        psf : `~numpy.ndarray`
            Shape ``(n_cos_theta, n_energy, n_rad)``.
        """
        c0, c1, beta = self.psf_scale
        scale = np.hypot(c0 * (energy * 10) ** beta, c1)
        x = 2 * np.sin(np.radians(rad) / 2) / scale[:, None]
        i, u = _bracket(self.psf_nodes[1], cos_theta)
        j, v = _bracket(self.psf_nodes[0], np.log(energy * 1e3))
        u = u[:, None]
        value = 0
        for di, weight_i in ((0, 1 - u), (1, u)):
            for dj, weight_j in ((0, 1 - v), (1, v)):
                shape = self._shape(x, i[:, None] + di, j + dj)
                value = value + (weight_i * weight_j)[..., None] * shape
        return value / scale[:, None] ** 2

    def _shape(self, x, i, j):
        """Core and tail at table node ``(i, j)`` and scaled offset `x`, normalised over the plane."""
        value = {name: table[i, j][..., None] for name, table in self.psf_parameters.items()}
        # NTAIL is the ratio of the two peaks without their 1/sigma**2: make it one of integrals
        tail = value["NTAIL"] * (value["STAIL"] / value["SCORE"]) ** 2
        core = king(x, value["SCORE"], value["GCORE"])
        return (core + tail * king(x, value["STAIL"], value["GTAIL"])) / (1 + tail)


def _find(caldb, kind, irf, partition):
    """Path of a CALDB file, compressed or not."""
    folder = Path(caldb)
    for suffix in (".fits", ".fits.gz"):
        path = folder / f"{kind}_{irf}_{partition}{suffix}"
        if path.exists():
            return path
    known = sorted({p.name.removeprefix("psf_").split(".")[0] for p in folder.glob("psf_*.fits*")})
    found = f"it holds {', '.join(known)}" if known else "it holds no psf_*.fits file"
    raise FileNotFoundError(
        f"No response {kind}_{irf}_{partition} in {folder}: {found}. "
        "Give the folder with the LAT CALDB files as caldb"
    )


def _nodes(table):
    """Bin centres of a CALDB table: logarithm of the energy in MeV, cosine of the angle."""
    log_energy = 0.5 * (np.log(table["ENERG_LO"][0]) + np.log(table["ENERG_HI"][0]))
    cos_theta = 0.5 * (table["CTHETA_LO"][0] + table["CTHETA_HI"][0])
    return log_energy.astype(float), cos_theta.astype(float)
