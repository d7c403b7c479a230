# Licensed under a 3-clause BSD style license - see LICENSE
"""Catalogues of simulated point sources: spectra, FITS files and Gammapy models."""

from dataclasses import dataclass, fields

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from gammapy.modeling.models import (
    ExpCutoffPowerLawSpectralModel,
    LogParabolaSpectralModel,
    Models,
    PointSpatialModel,
    PowerLawSpectralModel,
    SkyModel,
)

from ..utils.files import new_file, regular_file

__all__ = ["SOURCE_CLASSES", "MockCatalog"]

SOURCE_CLASSES = ("bll", "fsrq", "psr", "pwn", "snr")

UNITS = {"lon": "deg", "lat": "deg", "amplitude": "cm-2 s-1 GeV-1", "reference": "GeV", "lambda_": "GeV-1"}

# Gauss-Legendre nodes in ln(E): 24 integrate these spectra over four decades to better than 1e-6.
NODES, NODE_WEIGHTS = np.polynomial.legendre.leggauss(24)


@dataclass
class MockCatalog:
    """Point sources with log-parabola or exponentially cut-off spectra.

    The differential flux at the energy E is ``amplitude (E / reference)^(-index
    - beta ln(E / reference)) exp(-(lambda_ E)^alpha)``. All arrays have shape ``(n,)``.

    Parameters
    ----------
    lon, lat : `~numpy.ndarray`
        Galactic longitude and latitude in deg.
    source_class : `~numpy.ndarray` of str
        One of `SOURCE_CLASSES`, or "unk" for sources read from other models.
    amplitude : `~numpy.ndarray`
        Amplitude in 1 / (cm2 s GeV).
    reference : `~numpy.ndarray`
        Reference energy in GeV.
    index, beta : `~numpy.ndarray`
        Spectral index at the reference energy and curvature.
    lambda_ : `~numpy.ndarray`
        Inverse cutoff energy in 1/GeV; 0 for no cutoff.
    alpha : `~numpy.ndarray`
        Exponent of the cutoff.
    """

    lon: np.ndarray
    lat: np.ndarray
    source_class: np.ndarray
    amplitude: np.ndarray
    reference: np.ndarray
    index: np.ndarray
    beta: np.ndarray
    lambda_: np.ndarray
    alpha: np.ndarray

    def __len__(self):
        return len(self.lon)

    def select(self, mask):
        """Catalogue of some of the sources.

        Parameters
        ----------
        mask : `~numpy.ndarray`
            Boolean mask of shape ``(n,)`` or indices.

        Returns
        -------
        catalog : `MockCatalog`
            The chosen sources.
        """
        return MockCatalog(**{f.name: getattr(self, f.name)[mask] for f in fields(self)})

    def dnde(self, energy):
        """Differential flux in 1 / (cm2 s GeV).

        Parameters
        ----------
        energy : array-like
            Energies in GeV, shape ``(n_e,)``.

        Returns
        -------
        dnde : `~numpy.ndarray`
            Shape ``(n, n_e)``.
        """
        energy = np.atleast_1d(np.asarray(energy, float))
        log_x = np.log(energy) - np.log(self.reference)[:, None]
        exponent = -(self.index[:, None] + self.beta[:, None] * log_x) * log_x
        cut = self.lambda_ > 0
        exponent[cut] -= (self.lambda_[cut, None] * energy) ** self.alpha[cut, None]
        return self.amplitude[:, None] * np.exp(exponent)

    @property
    def positions(self):
        """Galactic positions (`~astropy.coordinates.SkyCoord`)."""
        return SkyCoord(self.lon, self.lat, unit="deg", frame="galactic")

    def flux(self, e_min, e_max):
        """Photon flux between two energies.

        Parameters
        ----------
        e_min, e_max : float
            Energies in GeV.

        Returns
        -------
        flux : `~numpy.ndarray`
            In 1 / (cm2 s), shape ``(n,)``.
        """
        half = np.log(e_max / e_min) / 2
        energy = np.sqrt(e_min * e_max) * np.exp(half * NODES)
        return self.dnde(energy) @ (half * NODE_WEIGHTS * energy)

    def to_table(self):
        """Table of all columns with their units (`~astropy.table.QTable`)."""
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        return QTable({k: v * u.Unit(UNITS[k]) if k in UNITS else v for k, v in columns.items()})

    @classmethod
    def from_table(cls, table):
        """Catalogue of a table as made by `to_table`.

        Parameters
        ----------
        table : `~astropy.table.Table`
            Table.

        Returns
        -------
        catalog : `MockCatalog`
            Catalogue.

        Raises
        ------
        ValueError
            If a column is missing.
        """
        missing = [f.name for f in fields(cls) if f.name not in table.colnames]
        if missing:
            raise ValueError(f"Columns {missing} are missing: a table made by MockCatalog.to_table has them")
        table = QTable(table)
        columns = {f.name: table[f.name] for f in fields(cls)}
        columns = {k: v.to_value(UNITS[k]) if k in UNITS else np.asarray(v) for k, v in columns.items()}
        columns["source_class"] = columns["source_class"].astype(str)
        return cls(**columns)

    def write(self, path, overwrite=False):
        """Write to a FITS file.

        Parameters
        ----------
        path : str or `~pathlib.Path`
            File name.
        overwrite : bool
            Whether an existing file may be replaced.

        Raises
        ------
        FileExistsError
            If the file exists and `overwrite` is False.
        """
        with new_file(path, overwrite) as temporary:
            self.to_table().write(temporary, format="fits")

    @classmethod
    def read(cls, path):
        """Read a FITS file made by `write`.

        Parameters
        ----------
        path : str or `~pathlib.Path`
            File.

        Returns
        -------
        catalog : `MockCatalog`
            Catalogue.
        """
        return cls.from_table(QTable.read(regular_file(path), format="fits"))

    def to_models(self):
        """Gammapy models, named by class and number.

        Returns
        -------
        models : `~gammapy.modeling.models.Models`
            One `~gammapy.modeling.models.SkyModel` a source.

        Raises
        ------
        ValueError
            If a source has both a curvature and a cutoff.
        """
        both = np.flatnonzero((self.beta != 0) & (self.lambda_ > 0))
        if len(both):
            raise ValueError(
                f"Sources {both[:5].tolist()} have both a curvature and a cutoff: no Gammapy model "
                "describes them, set beta or lambda_ to 0"
            )
        models = []
        for i in range(len(self)):
            common = {
                "amplitude": self.amplitude[i] * u.Unit(UNITS["amplitude"]),
                "reference": self.reference[i] * u.GeV,
            }
            if self.lambda_[i] > 0:
                spectral = ExpCutoffPowerLawSpectralModel(
                    index=self.index[i], lambda_=self.lambda_[i] / u.GeV, alpha=self.alpha[i], **common
                )
            else:
                spectral = LogParabolaSpectralModel(alpha=self.index[i], beta=self.beta[i], **common)
            spatial = PointSpatialModel(
                lon_0=self.lon[i] * u.deg, lat_0=self.lat[i] * u.deg, frame="galactic"
            )
            name = f"{self.source_class[i]}-{i:05d}"
            models.append(SkyModel(spectral_model=spectral, spatial_model=spatial, name=name))
        return Models(models)

    @classmethod
    def from_models(cls, models):
        """Catalogue of Gammapy models of point sources.

        Power laws, log-parabolas and power laws with an exponential cutoff are
        understood. The class is the part of the name before "-".

        Parameters
        ----------
        models : `~gammapy.modeling.models.Models`
            Sources.

        Returns
        -------
        catalog : `MockCatalog`
            One row a model.

        Raises
        ------
        TypeError
            If a model is no point source or has another spectrum.
        """
        rows = [_row(model) for model in models]
        types = {f.name: float for f in fields(cls)} | {"source_class": str}
        return cls(**{k: np.array([row[k] for row in rows], dtype) for k, dtype in types.items()})


def _row(model):
    """Values of one model by column name."""
    spectral = model.spectral_model
    if not isinstance(model.spatial_model, PointSpatialModel):
        raise TypeError(
            f"{model.name} is no point source: leave it out, "
            "Models.select(tag='point', model_type='spatial') does so"
        )
    if isinstance(spectral, LogParabolaSpectralModel):
        shape = {"index": spectral.alpha.value, "beta": spectral.beta.value, "lambda_": 0, "alpha": 1}
    elif isinstance(spectral, ExpCutoffPowerLawSpectralModel):
        shape = {"index": spectral.index.value, "beta": 0, "alpha": spectral.alpha.value}
        shape["lambda_"] = spectral.lambda_.quantity.to_value("GeV-1")
    elif isinstance(spectral, PowerLawSpectralModel):
        shape = {"index": spectral.index.value, "beta": 0, "lambda_": 0, "alpha": 1}
    else:
        raise TypeError(
            f"{model.name} has a {type(spectral).__name__}: describe it by a PowerLawSpectralModel, "
            "LogParabolaSpectralModel or ExpCutoffPowerLawSpectralModel"
        )
    position = model.spatial_model.position.galactic
    prefix = model.name.split("-")[0]
    row = {"lon": position.l.deg, "lat": position.b.deg}
    row["source_class"] = prefix if prefix in SOURCE_CLASSES else "unk"
    row["amplitude"] = spectral.amplitude.quantity.to_value(UNITS["amplitude"])
    row["reference"] = spectral.reference.quantity.to_value("GeV")
    return row | shape
