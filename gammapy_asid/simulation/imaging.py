# Licensed under a 3-clause BSD style license - see LICENSE
"""Imaging telescopes: responses in bands as a function of the offset from the pointing."""

from dataclasses import dataclass
from itertools import pairwise

import astropy.units as u
import numpy as np
from gammapy.irf import load_irf_dict_from_file
from gammapy.utils.scripts import make_path

from ..inputs.bands import Bands, Response
from ..inputs.response import INDEX, RAD, normalise_psf

__all__ = ["CTAO_BANDS", "IRF_FILES", "ImagingField", "ImagingInstrument"]

#: 30-100 GeV, 0.1-1, 1-10 and 10-100 TeV on pixels of 0.02 deg.
CTAO_BANDS = Bands(edges=(30.0, 100.0, 1e3, 1e4, 1e5), levels=(0, 0, 0, 0), pixel_size=0.02)

#: Response files of the CTAO by short name; ``$GAMMAPY_DATA`` is expanded.
IRF_FILES = {
    "prod5-south": "$GAMMAPY_DATA/cta-caldb/Prod5-South-20deg-AverageAz-14MSTs37SSTs.180000s-v0.1.fits.gz",
    "prod5-north": "$GAMMAPY_DATA/cta-caldb/Prod5-North-20deg-AverageAz-4LSTs09MSTs.180000s-v0.1.fits.gz",
    "1dc-south": "$GAMMAPY_DATA/cta-1dc/caldb/data/cta/1dc/bcf/South_z20_50h/irf_file.fits",
}

#: Sub-bands of a band: the effective area and the point spread function change much in a decade of energy.
N_SUB = 10
#: Energies in a sub-band over which responses are averaged.
N_POINTS = 6
#: Step of the tables in offset, deg, and the azimuths over which the background is averaged.
STEP, N_AZIMUTHS = 0.1, 8


@dataclass(frozen=True)
class ImagingInstrument:
    """Response of an imaging telescope in bands, tabulated in offset from the pointing.

    Energy dispersion is left out. The background is averaged over the azimuth in the camera.

    Parameters
    ----------
    bands : `~gammapy_asid.inputs.Bands`
        Bands.
    offset : `~numpy.ndarray`
        Offsets in deg, shape ``(n_offset,)``, equally spaced from 0.
    area : `~numpy.ndarray`
        Effective area of each sub-band in cm2, for a power law of index 2.2 inside it, shape
        ``(n_bands, n_sub, n_offset)``; zero beyond the last offset.
    psf : `~numpy.ndarray`
        Point spread function in 1/sr at `~gammapy_asid.inputs.response.RAD`, shape
        ``(n_bands, n_sub, n_offset, n_rad)``.
    background : `~numpy.ndarray`
        Rate in 1/(s sr), shape ``(n_bands, n_offset)``.
    name : str
        Name.
    """

    bands: Bands
    offset: np.ndarray
    area: np.ndarray
    psf: np.ndarray
    background: np.ndarray
    name: str = ""

    @classmethod
    def from_irf(cls, irf, bands=CTAO_BANDS, name=""):
        """Reduce instrument response functions to bands.

        Parameters
        ----------
        irf : str, path or dict
            Key of `IRF_FILES`, file, or the result of `gammapy.irf.load_irf_dict_from_file`; with
            ``aeff``, ``psf`` and ``bkg``.
        bands : `~gammapy_asid.inputs.Bands`
            Bands.
        name : str
            Name; by default that of the file.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If a response is missing.
        """
        if not isinstance(irf, dict):
            name = name or str(irf)
            path = make_path(IRF_FILES.get(str(irf), irf))
            if not path.is_file():
                raise FileNotFoundError(f"No instrument response {path}: set GAMMAPY_DATA or give a file")
            irf = load_irf_dict_from_file(path)
        missing = [key for key in ("aeff", "psf", "bkg") if irf.get(key) is None]
        if missing:
            raise ValueError(f"The instrument response has no {', '.join(missing)}: give one with all three")
        offset = np.arange(0, irf["aeff"].axes["offset"].edges[-1].to_value("deg") + STEP / 2, STEP)
        edges = np.log(np.array(bands.edges))
        share = (np.arange(N_SUB * N_POINTS) + 0.5) / (N_SUB * N_POINTS)
        energy = np.exp(edges[:-1, None] + np.diff(edges)[:, None] * share)
        shape = (len(bands), N_SUB, N_POINTS)
        weight = (energy ** (1 - INDEX)).reshape(*shape, 1)
        area = np.nan_to_num(
            irf["aeff"]
            .evaluate(energy_true=energy.ravel()[:, None] * u.GeV, offset=offset * u.deg)
            .to_value("cm2")
        ).clip(min=0)
        area = area.reshape(*shape, -1)
        photons = (weight * area).sum(2)
        middle = np.exp(np.log(energy).reshape(shape).mean(2))
        psf = irf["psf"].evaluate(
            energy_true=middle.ravel()[:, None, None] * u.GeV,
            offset=offset[:, None] * u.deg,
            rad=RAD * u.deg,
        )
        psf = np.nan_to_num(psf.to_value("sr-1")).reshape(len(bands), N_SUB, len(offset), len(RAD))
        return cls(
            bands,
            offset,
            photons / weight.sum(2),
            normalise_psf(psf.clip(min=0)),
            np.stack([_background(irf["bkg"], low, high, offset) for low, high in pairwise(bands.edges)]),
            name,
        )

    def _interpolate(self, table, separation):
        """Table of shape ``(..., n_offset)`` at separations of any shape, zero beyond its end."""
        at = np.asarray(separation) / STEP
        low = np.clip(at.astype(int), 0, len(self.offset) - 2)
        share = at - low
        values = table[..., low] * (1 - share) + table[..., low + 1] * share
        return np.where(share <= 1 + 1e-9, values, 0.0)

    def exposure(self, separation, livetime):
        """Exposure of pointings that add up.

        Parameters
        ----------
        separation : `~numpy.ndarray`
            Distance of each place from each pointing in deg, shape ``(n_pointings, ...)``.
        livetime : `~numpy.ndarray`
            Observation time of each pointing in s, shape ``(n_pointings,)``.

        Returns
        -------
        exposure : `~numpy.ndarray`
            In cm2 s, shape ``(n_bands, n_sub, ...)``.
        """
        return sum(t * self._interpolate(self.area, s) for s, t in zip(separation, livetime, strict=True))

    def background_counts(self, separation, livetime, solid_angle):
        """Expected counts of the instrument's background.

        Parameters
        ----------
        separation, livetime
            See `exposure`.
        solid_angle : float or `~numpy.ndarray`
            Solid angle of each place in sr.

        Returns
        -------
        background : `~numpy.ndarray`
            Shape ``(n_bands, ...)``.
        """
        pairs = zip(separation, livetime, strict=True)
        return sum(t * self._interpolate(self.background, s) for s, t in pairs) * solid_angle

    def response(self, separation, livetime, pixel_size=None):
        """Response at one place, the point spread functions averaged over the photons.

        Parameters
        ----------
        separation : `~numpy.ndarray`
            Distance of the place from each pointing in deg, shape ``(n_pointings,)``.
        livetime : `~numpy.ndarray`
            See `exposure`.
        pixel_size : float, optional
            Pixel size in deg; by default the nominal one.

        Returns
        -------
        response : `~gammapy_asid.inputs.Response`
            With `N_SUB` sub-bands.

        Raises
        ------
        ValueError
            If no pointing sees the place.
        """
        share = np.asarray(livetime) * self._interpolate(self.area, separation)
        exposure = share.sum(-1)
        if not exposure.any():
            raise ValueError("No pointing sees the place: choose one nearer to a pointing")
        psf = np.moveaxis(self._interpolate(np.moveaxis(self.psf, 3, 2), separation), 2, 3)
        edges = np.array(self.bands.edges)
        present = exposure.any(axis=1)
        return Response(
            bands=self.bands,
            e_min=np.where(present, edges[:-1], np.nan),
            e_max=np.where(present, edges[1:], np.nan),
            exposure=exposure,
            rad=RAD,
            psf=normalise_psf(np.einsum("bkp,bkpr->bkr", share, psf)),
            pixel_size=float(pixel_size or self.bands.pixel_size),
        )

    def field(self, geom, pointings, livetime):
        """Pointings summed into a field.

        Parameters
        ----------
        geom : `~gammapy.maps.WcsGeom`
            Image geometry.
        pointings : `~astropy.coordinates.SkyCoord`
            Pointings, shape ``(n_pointings,)``.
        livetime : `~astropy.units.Quantity`
            Observation time of each, or one for all.

        Returns
        -------
        field : `ImagingField`
            Exposure and background of every pixel.
        """
        geom = geom.to_image()
        sky = geom.get_coord().skycoord
        livetime = np.broadcast_to(u.Quantity(livetime).to_value("s"), pointings.shape)
        # Pointings beyond the reach of the response add nothing.
        reach = self.offset[-1] + np.max(geom.width.to_value("deg")) / np.sqrt(2)
        near = np.flatnonzero(pointings.separation(geom.center_skydir).deg < reach)
        if not len(near):
            raise ValueError("No pointing is near the field: move the field or the pointings")
        solid_angle = geom.solid_angle().to_value("sr")
        exposure = background = 0.0
        # One by one: a survey has thousands.
        for i in near:
            separation = pointings[i].separation(sky).deg[None]
            exposure = exposure + self.exposure(separation, livetime[i : i + 1])
            background = background + self.background_counts(separation, livetime[i : i + 1], solid_angle)
        return ImagingField(self, geom, pointings[near], livetime[near], exposure, background)


@dataclass(frozen=True)
class ImagingField:
    """Pointings of an imaging telescope summed into a field.

    Parameters
    ----------
    instrument : `ImagingInstrument`
        Instrument.
    geom : `~gammapy.maps.WcsGeom`
        Image geometry.
    pointings : `~astropy.coordinates.SkyCoord`
        Pointings that see the field.
    livetime : `~numpy.ndarray`
        Observation time of each in s.
    exposure : `~numpy.ndarray`
        In cm2 s, shape ``(n_bands, n_sub, ny, nx)``.
    background : `~numpy.ndarray`
        Expected counts of each pixel, shape ``(n_bands, ny, nx)``.
    """

    instrument: ImagingInstrument
    geom: object
    pointings: object
    livetime: np.ndarray
    exposure: np.ndarray
    background: np.ndarray

    def response(self, position=None):
        """Response at a position, by default the centre (`~gammapy_asid.inputs.Response`).

        Parameters
        ----------
        position : `~astropy.coordinates.SkyCoord`, optional
            Position.

        Returns
        -------
        response : `~gammapy_asid.inputs.Response`
            Response with the pixel size of the field.
        """
        position = self.geom.center_skydir if position is None else position
        separation = self.pointings.separation(position).deg
        pixel_size = float(np.mean(self.geom.pixel_scales.to_value("deg")))
        return self.instrument.response(separation, self.livetime, pixel_size)


def _background(background, low, high, offset):
    """Rate between two energies in GeV at offsets in deg, 1/(s sr)."""
    energy = np.geomspace(low, high, N_SUB * N_POINTS + 1) * u.GeV
    if "offset" in background.axes.names:
        rate = background.evaluate(energy=energy[:, None], offset=offset * u.deg)
    else:
        azimuth = 2 * np.pi * (np.arange(N_AZIMUTHS) + 0.5) / N_AZIMUTHS
        lon, lat = (offset[:, None] * f(azimuth) * u.deg for f in (np.cos, np.sin))
        rate = background.evaluate(energy=energy[:, None, None], fov_lon=lon, fov_lat=lat).mean(-1)
    rate = np.nan_to_num(rate.to_value("s-1 sr-1 GeV-1")).clip(min=0)
    # Trapezoids in the logarithm of the energy.
    value = rate * energy.value[:, None]
    return np.trapezoid(value, np.log(energy.value), axis=0)
