# Licensed under a 3-clause BSD style license - see LICENSE
"""Candidates as a Gammapy source catalogue."""

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table
from gammapy.catalog import CATALOG_REGISTRY, SourceCatalog, SourceCatalogObject
from gammapy.modeling.models import PointSpatialModel, PowerLawSpectralModel, SkyModel

__all__ = ["SourceCatalogASID", "SourceCatalogObjectASID", "START_SPECTRUM"]

#: Spectrum that a fit starts from: a power law of index 2 with 1e-9 cm-2 s-1 above 1 GeV,
#: a common faint source in ten years of Fermi-LAT data.
START_SPECTRUM = PowerLawSpectralModel(index=2.0, amplitude="1e-9 cm-2 s-1 GeV-1", reference="1 GeV")

#: Radius that contains 68 % of a circular Gaussian, in standard deviations per axis.
R68_IN_SIGMA = 1.515


class SourceCatalogObjectASID(SourceCatalogObject):
    """One candidate, as `SourceCatalogASID` returns it."""

    _source_name_key = "name"

    @property
    def position(self):
        """Position (`~astropy.coordinates.SkyCoord`)."""
        return SkyCoord(self.data["ra"], self.data["dec"], frame="icrs")

    def spatial_model(self):
        """Point at the position, its parameter errors from the 68 % radius."""
        position = self.position
        model = PointSpatialModel.from_position(position)
        sigma = (self.data["pos_err_68"] / R68_IN_SIGMA).to_value("deg")
        model.lat_0.error = sigma
        model.lon_0.error = sigma / np.cos(position.dec.rad)
        return model

    def spectral_model(self):
        """Power law of index 2 with the estimated flux, or `START_SPECTRUM` where there is none."""
        model = START_SPECTRUM.copy()
        if np.isfinite(self.data["flux"]) and self.data["flux"] > 0:
            ratio = self.data["flux"] / model.integral(self.data["e_min"], self.data["e_max"])
            model.amplitude.value *= ratio.to_value("")
        return model

    def sky_model(self, spectral_model=None):
        """Point source at the position.

        Parameters
        ----------
        spectral_model : `~gammapy.modeling.models.SpectralModel`, optional
            Spectrum to start a fit from, copied. By default that of `spectral_model`.

        Returns
        -------
        model : `~gammapy.modeling.models.SkyModel`
            Model with the name of the candidate.
        """
        spectrum = self.spectral_model() if spectral_model is None else spectral_model.copy()
        return SkyModel(spectral_model=spectrum, spatial_model=self.spatial_model(), name=self.name)


class SourceCatalogASID(SourceCatalog):
    """Candidates as a source catalogue.

    Parameters
    ----------
    candidates : `~astropy.table.Table` or path
        Table of candidates, or the file that `gammapy_asid.Candidates.write` made.
    """

    tag = "asid"
    description = "Gamma-ray source candidates of gammapy_asid"
    source_object_class = SourceCatalogObjectASID

    def __init__(self, candidates):
        if not isinstance(candidates, Table):
            from .candidates import Candidates

            candidates = Candidates.read(candidates).table
        super().__init__(candidates, source_name_key="name")


if SourceCatalogASID not in CATALOG_REGISTRY:
    CATALOG_REGISTRY.append(SourceCatalogASID)
