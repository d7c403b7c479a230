# Licensed under a 3-clause BSD style license - see LICENSE
"""The catalogue: candidates with the columns of 4FGL, as a Gammapy source catalogue."""

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from gammapy.catalog import CATALOG_REGISTRY, SourceCatalog, SourceCatalogObject
from gammapy.estimators import FluxPoints
from gammapy.modeling.models import (
    GaussianSpatialModel,
    LogParabolaSpectralModel,
    PointSpatialModel,
    PowerLawSpectralModel,
    SkyModel,
    SpectralModel,
)

from .arguments import check_kind
from .ellipses import RADIUS_68
from .files import new_file, regular_file
from .fits_files import is_fits, open_fits, write_fits
from .fits_tables import fits_path, primary_hdu, provenance_hdu, read_provenance, read_table, table_hdu
from .fluxes import integral_flux

__all__ = [
    "START_SPECTRUM",
    "SourceCatalogASID",
    "SourceCatalogObjectASID",
    "bounded_spectrum",
    "candidate_table",
    "catalog_table",
    "write_catalog",
]

#: Ranges of a photon index and of a curvature in a fit.
INDEX_RANGE, BETA_RANGE = (0.0, 6.0), (-1.0, 3.0)
#: Farthest that a position may move in a fit, in units of the larger semi-axis of its 95 % ellipse.
POSITION_REACH = 2.0
#: Largest factor by which a width may change in a fit.
WIDTH_REACH = 10.0
#: Most photons of a source have less than this times the lowest energy.
NEAR_LOWEST = 3.0

#: Spectrum that a fit starts from: a power law of index 2 with 1e-9 cm-2 s-1 above 1 GeV,
#: a common faint source in ten years of Fermi-LAT data.
START_SPECTRUM = PowerLawSpectralModel(index=2.0, amplitude="1e-9 cm-2 s-1 GeV-1", reference="1 GeV")

#: A source is taken as extended from this test statistic of extension.
EXTENDED_TS = 16

#: Fluxes with fewer errors than this above zero are upper limits.
UL_SIGMA = 2

#: Columns of the catalogue and those of candidates that they hold. Names are those of 4FGL where the
#: meaning is the same.
NAMES = {
    "Source_Name": "name",
    "RAJ2000": "ra",
    "DEJ2000": "dec",
    "GLON": "glon",
    "GLAT": "glat",
    "Conf_68_SemiMajor": "semi_major_68",
    "Conf_68_SemiMinor": "semi_minor_68",
    "Conf_68_PosAng": "pos_angle",
    "Conf_95_SemiMajor": "semi_major_95",
    "Conf_95_SemiMinor": "semi_minor_95",
    "Conf_95_PosAng": "pos_angle",
    "Score": "score",
    "E_Min": "e_min",
    "E_Max": "e_max",
    "Flux": "flux",
    "Unc_Flux": "flux_err",
    "Unc_Flux_Low": "flux_errn",
    "Unc_Flux_High": "flux_errp",
    "UL_Flux": "flux_ul",
    "Flux_Band": "flux_band",
    "Unc_Flux_Band_Low": "flux_band_errn",
    "Unc_Flux_Band_High": "flux_band_errp",
    "UL_Flux_Band": "flux_band_ul",
    "TS": "ts",
    "Sqrt_TS": "sqrt_ts",
    "TS_Ext": "ts_ext",
    "Fit_RAJ2000": "fit_ra",
    "Fit_DEJ2000": "fit_dec",
    "Fit_68_SemiMajor": "fit_semi_major_68",
    "Fit_68_SemiMinor": "fit_semi_minor_68",
    "Fit_68_PosAng": "fit_pos_angle",
    "Fit_Sigma": "fit_sigma",
    "Unc_Fit_Sigma": "fit_sigma_err",
    "Fit_E_Min": "fit_e_min",
    "Fit_E_Max": "fit_e_max",
    "Fit_Flux": "fit_flux",
    "Unc_Fit_Flux": "fit_flux_err",
    "SpectrumType": "fit_spectrum",
    "Pivot_Energy": "fit_e_ref",
    "Index": "fit_index",
    "Unc_Index": "fit_index_err",
    "LP_beta": "fit_beta",
    "Unc_LP_beta": "fit_beta_err",
    "ASSOC_CAT": "assoc_catalog",
    "ASSOC1": "assoc_name",
    "ASSOC_SEP": "assoc_sep",
    "ASSOC_PROB_BAY": "assoc_prob",
    "Flags": "flags",
}
#: Units of 4FGL that differ from those of candidates.
UNITS = {"Pivot_Energy": "MeV"}
#: Names of spectra in 4FGL.
SPECTRA = {"pl": "PowerLaw", "lp": "LogParabola", "": ""}


def catalog_table(candidates):
    """Candidates as a table with the columns of `NAMES`, as far as they have them.

    Parameters
    ----------
    candidates : `~gammapy_asid.Candidates`
        Candidates.

    Returns
    -------
    table : `~astropy.table.QTable`
        One row per source. A flux from 1 to 100 GeV is called ``Flux1000``, as in 4FGL.
    """
    own = candidates.table
    table = QTable()
    for name, source in NAMES.items():
        if source in own.colnames:
            table[name] = own[source]
            table[name].info.description = own[source].info.description
            if name in UNITS:
                table[name] = table[name].to(UNITS[name])
    if "SpectrumType" in table.colnames:
        table["SpectrumType"] = np.array([SPECTRA[kind] for kind in own["fit_spectrum"]], dtype=str)
    if len(table) and np.all((table["E_Min"] == 1 * u.GeV) & (table["E_Max"] == 100 * u.GeV)):
        table.rename_columns(["Flux", "Unc_Flux"], ["Flux1000", "Unc_Flux1000"])
    bands = candidates.meta.get("flux", {}).get("bands")
    if bands is not None:
        table.meta["band_edges_gev"] = bands
    return table


def candidate_table(table):
    """Table that `catalog_table` made, with the columns of candidates.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        Table of a catalogue.

    Returns
    -------
    table : `~astropy.table.QTable`
        One row per source.
    """
    own = QTable()
    for name, source in NAMES.items():
        name = (
            {"Flux": "Flux1000", "Unc_Flux": "Unc_Flux1000"}.get(name, name)
            if "Flux1000" in table.colnames
            else name
        )
        if name in table.colnames:
            own[source] = table[name]
    if "fit_spectrum" in own.colnames:
        kinds = {name: kind for kind, name in SPECTRA.items()}
        own["fit_spectrum"] = np.array([kinds[str(name).strip()] for name in own["fit_spectrum"]], dtype=str)
    for level in ("68", "95"):
        own[f"pos_err_{level}"] = np.sqrt(own[f"semi_major_{level}"] * own[f"semi_minor_{level}"])
    return own


def write_catalog(candidates, filename, overwrite=False):
    """Write the catalogue of candidates to a FITS file.

    Parameters
    ----------
    candidates : `~gammapy_asid.Candidates`
        Candidates.
    filename : str or path
        File.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    FileExistsError
        If the file exists and `overwrite` is False.
    ValueError
        If the name is not that of a FITS file.
    """
    path = fits_path(filename)
    table = catalog_table(candidates)
    table.meta.clear()
    hdus = [primary_hdu(candidates.meta), table_hdu(table, "CATALOG"), provenance_hdu(candidates.meta)]
    with new_file(path, overwrite) as temporary:
        write_fits(hdus, temporary)


def bounded_spectrum(law):
    """Power law or log-parabola with the bounds of a fit.

    Parameters
    ----------
    law : `~gammapy.modeling.models.SpectralModel`
        Spectrum, which takes the bounds.

    Returns
    -------
    law : `~gammapy.modeling.models.SpectralModel`
        The same.
    """
    law.amplitude.min = 0
    for name, limits in (("index", INDEX_RANGE), ("alpha", INDEX_RANGE), ("beta", BETA_RANGE)):
        if name in law.parameters.names:
            law.parameters[name].min, law.parameters[name].max = limits
    return law


def bounded_place(shape, error):
    """Point or Gaussian with the bounds of a fit.

    Parameters
    ----------
    shape : `~gammapy.modeling.models.SpatialModel`
        Shape, which takes the bounds.
    error : `~astropy.units.Quantity`
        Larger semi-axis of the 95 % error ellipse; without one the position has no bounds.

    Returns
    -------
    shape : `~gammapy.modeling.models.SpatialModel`
        The same.
    """
    lon, lat, reach = shape.lon_0, shape.lat_0, POSITION_REACH * error
    if np.isfinite(reach) and reach > 0:
        lat.min = max((lat.quantity - reach).to_value(lat.unit), lat.min)
        lat.max = min((lat.quantity + reach).to_value(lat.unit), lat.max)
        # East to west the same distance is more degrees away from the equator
        turn = reach / max(np.cos(lat.quantity).value, 1e-3)
        lon.min, lon.max = ((lon.quantity + way * turn).to_value(lon.unit) for way in (-1, 1))
    if "sigma" in shape.parameters.names:
        width = shape.sigma
        width.min, width.max = width.value / WIDTH_REACH, width.value * WIDTH_REACH
    return shape


class SourceCatalogObjectASID(SourceCatalogObject):
    """One source, as `SourceCatalogASID` returns it."""

    _source_name_key = "Source_Name"

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
        """Fitted spectrum, or a power law of index 2 with the estimated flux.

        `START_SPECTRUM` where there is neither. Its reference energy lies in the range of the data, and
        its parameters have the bounds of a fit.
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
        """`START_SPECTRUM` in terms of an energy near which most photons are."""
        for e_min, e_max in ((self.data["E_Min"], self.data["E_Max"]), self._energy_range):
            if np.isfinite(e_min) and np.isfinite(e_max):
                reference = e_min * min(NEAR_LOWEST, np.sqrt((e_max / e_min).to_value("")))
                return PowerLawSpectralModel(
                    index=START_SPECTRUM.index.value, amplitude=START_SPECTRUM(reference), reference=reference
                )
        return START_SPECTRUM.copy()

    @property
    def _flux(self):
        return "Flux1000" if "Flux1000" in self.data else "Flux"

    def _fitted_spectrum(self):
        data = self.data
        shape = {"amplitude": "1e-12 cm-2 s-1 GeV-1", "reference": data["Pivot_Energy"]}
        if data["SpectrumType"] == "PowerLaw":
            model = PowerLawSpectralModel(index=data["Index"], **shape)
            model.index.error = data["Unc_Index"]
        else:
            model = LogParabolaSpectralModel(alpha=data["Index"], beta=data["LP_beta"], **shape)
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

        Points less than two errors above zero are upper limits.

        Raises
        ------
        ValueError
            If no fluxes were estimated.
        """
        if "Flux_Band" not in self.data or not np.isfinite(self.data["Flux_Band"]).any():
            raise ValueError(f"No fluxes were estimated for {self.name}: see gammapy_asid.DLFluxEstimator")
        edges = np.array([band or (np.nan, np.nan) for band in self._bands]) * u.GeV
        some = np.isfinite(edges).all(axis=1) & np.isfinite(self.data["Flux_Band"])
        table = Table({"e_min": edges[some, 0], "e_max": edges[some, 1]})
        table["e_ref"] = np.sqrt(edges[some, 0] * edges[some, 1])
        low, high = (self.data[f"Unc_Flux_Band_{end}"][some] for end in ("Low", "High"))
        table["flux"], table["flux_err"] = self.data["Flux_Band"][some], (low + high) / 2
        table["flux_errn"], table["flux_errp"] = low, high
        table["flux_ul"] = self.data["UL_Flux_Band"][some]
        table["is_ul"] = table["flux"] < UL_SIGMA * table["flux_errn"]
        table.meta["SED_TYPE"] = "flux"
        return FluxPoints.from_table(table, sed_type="flux", reference_model=self.spectral_model())


class SourceCatalogASID(SourceCatalog):
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
        self._set(*_read(filename))

    @classmethod
    def from_candidates(cls, candidates):
        """Catalogue of `~gammapy_asid.Candidates`."""
        catalog = cls.__new__(cls)
        table = catalog_table(candidates)
        catalog._set(table, candidates.meta)
        return catalog

    def _set(self, table, meta):
        super().__init__(table, source_name_key="Source_Name")
        self._bands = meta.get("flux", {}).get("bands")
        self._energy_range = meta.get("energy_range", [np.nan, np.nan]) * u.GeV

    def _make_source_object(self, index):
        source = super()._make_source_object(index)
        source._bands, source._energy_range = self._bands, self._energy_range
        return source


def _read(path):
    from .candidates import Candidates

    path = regular_file(path)
    if is_fits(path):
        with open_fits(path) as hdulist:
            if "CATALOG" in hdulist and "PROVENANCE" in hdulist:
                return read_table(hdulist, "CATALOG"), read_provenance(hdulist)
    candidates = Candidates.read(path)
    return catalog_table(candidates), candidates.meta


if SourceCatalogASID not in CATALOG_REGISTRY:
    CATALOG_REGISTRY.append(SourceCatalogASID)
