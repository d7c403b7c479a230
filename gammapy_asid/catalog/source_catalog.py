# Licensed under a 3-clause BSD style license - see LICENSE
"""The catalogue: candidates with the columns of 4FGL, as a Gammapy source catalogue."""

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table
from gammapy.catalog import CATALOG_REGISTRY, SourceCatalog, SourceCatalogObject
from gammapy.modeling.models import (
    GaussianSpatialModel,
    PointSpatialModel,
    PowerLawSpectralModel,
    SkyModel,
    SpectralModel,
)

from ..utils.arguments import check_kind
from ..utils.sky_geometry import RADIUS_68
from .catalog_files import read_catalog
from .catalog_table import SPECTRA, candidate_table, catalog_table
from .class_spectra import PULSAR, class_spectrum, curved_spectrum
from .columns import CLASSES
from .flux_points import points_of_fluxes
from .fluxes import integral_flux
from .regions import error_regions
from .source_info import source_info
from .source_models import START_SPECTRUM, bounded_place, bounded_spectrum
from .source_table import ShownTable, row_number

__all__ = ["SourceCatalogASID", "SourceCatalogObjectASID"]

#: Most photons of a source have less than this times the lowest energy.
NEAR_LOWEST = 3.0

#: A source is taken as extended from this test statistic of extension.
EXTENDED_TS = 16

#: Fluxes with fewer errors than this above zero are upper limits.
UL_SIGMA = 2


class SourceCatalogObjectASID(SourceCatalogObject):
    """One source, as `SourceCatalogASID` returns it."""

    _source_name_key = "Source_Name"

    def __repr__(self):
        position = self.position.to_string(precision=3)
        return f"<{type(self).__name__} {self.name}: ra, dec {position} deg, score {self.data['Score']:.3f}>"

    def __str__(self):
        return self.info()

    def info(self, info="all"):
        """Summary information string.

        Parameters
        ----------
        info : str
            ``all``, or some of ``basic``, ``more``, ``position``, ``spectral`` and ``points``, with commas.

        Returns
        -------
        text : str
            What is known, in lines.
        """
        return source_info(self, info)

    @property
    def position(self):
        """Position (`~astropy.coordinates.SkyCoord`)."""
        return SkyCoord(self.data["RAJ2000"], self.data["DEJ2000"], frame="icrs")

    @property
    def is_fitted(self):
        """Whether a likelihood fit gave its spectrum."""
        return bool(self.data.get("SpectrumType", ""))

    def spatial_model(self):
        """Point at the position, its parameter errors from the 68 % ellipse.

        Where a fit found it extended, a Gaussian of the fitted width.
        """
        return bounded_place(self._spatial_model(), self.data["Conf_95_SemiMajor"])

    def _spatial_model(self):
        position = self.position
        if self.data.get("TS_Ext", np.nan) > EXTENDED_TS:
            model = GaussianSpatialModel.from_position(position)
            model.sigma.quantity = self.data["Fit_Sigma"]
            model.sigma.error = self.data["Unc_Fit_Sigma"].to_value(model.sigma.unit)
        else:
            model = PointSpatialModel.from_position(position)
        axes = self.data["Conf_68_SemiMajor"] * self.data["Conf_68_SemiMinor"]
        sigma = np.sqrt(axes).to_value("deg") / RADIUS_68
        model.lat_0.error = sigma
        model.lon_0.error = sigma / np.cos(position.dec.rad)
        return model

    def spectral_model(self):
        """Fitted spectrum, or a common one of its class or a power law of index 2 with the estimated flux.

        Classified sources start as a log-parabola, pulsars as a power law with an exponential cutoff.
        `START_SPECTRUM` where nothing is known. The reference energy lies in the range of the data, and
        the parameters have the bounds of a fit.
        """
        model = self._fitted_spectrum() if self.is_fitted else self._start_spectrum()
        flux = ("Fit_Flux", "Fit_E_Min", "Fit_E_Max") if self.is_fitted else (self._flux, "E_Min", "E_Max")
        flux, e_min, e_max = (self.data[name] for name in flux)
        if np.isfinite(flux) and flux > 0:
            model.amplitude.value *= (flux / integral_flux(model, e_min, e_max)).to_value("")
        if self.is_fitted:
            model.amplitude.error = model.amplitude.value * (self.data["Unc_Fit_Flux"] / flux).to_value("")
        return bounded_spectrum(model)

    def _start_spectrum(self):
        """Spectrum of the class or `START_SPECTRUM`, in terms of an energy near which most photons are."""
        for e_min, e_max in ((self.data["E_Min"], self.data["E_Max"]), self._energy_range):
            if np.isfinite(e_min) and np.isfinite(e_max):
                reference = e_min * min(NEAR_LOWEST, np.sqrt((e_max / e_min).to_value("")))
                break
        else:
            reference = START_SPECTRUM.reference.quantity
        amplitude = START_SPECTRUM(reference)
        source_class = self.data.get("Source_Class")
        if source_class in CLASSES:
            law = class_spectrum(source_class, reference)
            law.amplitude.quantity = amplitude
            return law
        return PowerLawSpectralModel(
            index=START_SPECTRUM.index.value, amplitude=amplitude, reference=reference
        )

    @property
    def _flux(self):
        return "Flux1000" if "Flux1000" in self.data else "Flux"

    def _fitted_spectrum(self):
        data = self.data
        shape = {"amplitude": "1e-12 cm-2 s-1 GeV-1", "reference": data["Pivot_Energy"]}
        if data["SpectrumType"] == SPECTRA["pl"]:
            model = PowerLawSpectralModel(index=data["Index"], **shape)
            model.index.error = data["Unc_Index"]
            return model
        is_pulsar = data["SpectrumType"] == SPECTRA["plec"]
        model = curved_spectrum(PULSAR if is_pulsar else "", data["Index"], data["LP_beta"], **shape)
        if is_pulsar:
            model.index_1.error, model.expfactor.error = data["Unc_Index"], 2 * data["Unc_LP_beta"]
        else:
            model.alpha.error, model.beta.error = data["Unc_Index"], data["Unc_LP_beta"]
        return model

    def sky_model(self, spectral_model=None):
        """Source at the position.

        Parameters
        ----------
        spectral_model : `~gammapy.modeling.models.SpectralModel`, optional
            Spectrum to start a fit from, copied. By default that of `spectral_model`.

        Returns
        -------
        model : `~gammapy.modeling.models.SkyModel`
            Model with the name of the source.
        """
        if not np.isfinite(self.position.ra) or not np.isfinite(self.position.dec):
            raise ValueError(f"{self.name} has no position: leave it out")
        if spectral_model is not None:
            check_kind("spectral_model", spectral_model, SpectralModel)
        spectrum = self.spectral_model() if spectral_model is None else spectral_model.copy()
        return SkyModel(spectral_model=spectrum, spatial_model=self.spatial_model(), name=self.name)

    @property
    def flux_points(self):
        """Fluxes in the energy bands (`~gammapy.estimators.FluxPoints`).

        Points less than two errors above zero are upper limits; energies between two bands with a flux are a
        point with a NaN flux.

        Raises
        ------
        ValueError
            If no fluxes were estimated.
        """
        if "Flux_Band" not in self.data or not np.isfinite(self.data["Flux_Band"]).any():
            raise ValueError(f"No fluxes were estimated for {self.name}: see gammapy_asid.DLFluxEstimator")
        if self._bands is None:
            raise ValueError(
                f"The energies of the bands of {self.name} are not known: keep meta['flux'] with it"
            )
        edges = np.array([band or (np.nan, np.nan) for band in self._bands]) * u.GeV
        some = np.isfinite(edges).all(axis=1) & np.isfinite(self.data["Flux_Band"])
        if not some.any():
            raise ValueError(f"{self.name} has fluxes in bands of energies that differ by tile: no points")
        table = Table({"e_min": edges[some, 0], "e_max": edges[some, 1]})
        low, high = (self.data[f"Unc_Flux_Band_{end}"][some] for end in ("Low", "High"))
        table["flux"], table["flux_err"] = self.data["Flux_Band"][some], (low + high) / 2
        table["flux_errn"], table["flux_errp"] = low, high
        table["flux_ul"] = self.data["UL_Flux_Band"][some]
        table["is_ul"] = table["flux"] < UL_SIGMA * table["flux_errn"]
        return points_of_fluxes(table, self.spectral_model())


class SourceCatalogASID(ShownTable, SourceCatalog):
    """Catalogue of gammapy_asid.

    Parameters
    ----------
    filename : str or path
        File that `write_catalog` (``gammapy-asid catalog``) or `gammapy_asid.Candidates.write` made, or
        another list that `gammapy_asid.Candidates.read` reads.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no list of sources.
    """

    tag = "asid"
    description = "Gamma-ray sources of gammapy_asid"
    source_object_class = SourceCatalogObjectASID

    def __init__(self, filename):
        self._set(*read_catalog(filename))

    @classmethod
    def from_candidates(cls, candidates):
        """Catalogue of `~gammapy_asid.Candidates`.

        Parameters
        ----------
        candidates : `~gammapy_asid.Candidates`
            Candidates.

        Returns
        -------
        catalog : `SourceCatalogASID`
            Catalogue.
        """
        catalog = cls.__new__(cls)
        table = catalog_table(candidates)
        catalog._set(table, candidates.meta)
        return catalog

    def _set(self, table, meta):
        super().__init__(table, source_name_key="Source_Name")
        self._bands = meta.get("flux", {}).get("bands")
        self._energy_range = meta.get("energy_range", [np.nan, np.nan]) * u.GeV

    def __len__(self):
        return len(self.table)

    def __getitem__(self, key):
        """Source of a name or a row; a catalogue for a slice, a mask, row numbers or names."""
        if isinstance(key, str | int | np.integer) and not isinstance(key, bool | np.bool_):
            return self._make_source_object(row_number(self, key))
        return self.select(key)

    @property
    def names(self):
        """Names of all sources (list of str)."""
        return [str(name).strip() for name in self.table["Source_Name"]]

    @property
    def own_table(self):
        """The table with the columns of candidates (`~astropy.table.QTable`)."""
        return candidate_table(self.table)

    def _with_rows(self, rows):
        other = self.copy()
        other.table = self.table[rows]
        # Where a name was
        other.__dict__.pop("_name_to_index_cache", None)
        return other

    def to_regions(self, containment=0.95):
        """Error ellipses, see `gammapy_asid.Candidates.to_regions`.

        Parameters
        ----------
        containment : {0.68, 0.95}
            Probability that the ellipse holds the source.

        Returns
        -------
        regions : `~regions.Regions`
            Regions labelled with the names.
        """
        return error_regions(self.own_table, self.positions, containment)

    def _make_source_object(self, index):
        source = super()._make_source_object(index)
        source._bands, source._energy_range = self._bands, self._energy_range
        return source


CATALOG_REGISTRY.append(SourceCatalogASID)
