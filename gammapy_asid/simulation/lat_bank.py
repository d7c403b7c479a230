# Licensed under a 3-clause BSD style license - see LICENSE
"""Emission models of the GeV sky, made of files of a data folder."""

from pathlib import Path

import healpy
import numpy as np
from astropy.io import fits
from scipy.optimize import nnls

from ..inputs.bands import Bands
from .diffuse import EmissionBank, EmissionModel
from .instruments import lat_response
from .sky_grid import fill_healpix, gaussian_map, sky_grid

__all__ = ["build_heldout_models", "build_lat_bank"]

V07_CUBE = "lat/iem/gll_iem_v07_12x11_blockmean_fixedwcs.fits"
ISOTROPIC = "lat/iem/iso/iso_P8R3_ULTRACLEANVETO_V3_FRONT_v1.txt"
IRFS = "lat/irfs"
V07_COUNTS = "lat/iem/asid_iemv07plusigrb_ucvfront_9p5yr_nside256_ebin{}.npy"
TRACER = "tracers/{}_healpix_lowres.fits"
HELDOUT_CUBES = {"v05": "lat/iem/gll_iem_v05_rev1_cutout.fits", "v06": "lat/iem/gll_iem_v06_gc.fits.gz"}
TEMPLATE = "lat/iem/gce_templates_nside128/template_{}.npy"
TEMPLATE_EXPOSURE = "lat/allsky/fermidata_exposure_2-20GeV_UCV_PSF3_573w_nside128.npy"

#: Largest logarithm of the ratio of a gas model to its reference on small scales.
MAX_CONTRAST = 0.4

#: Exposure of the v07 counts in their bands in cm2 s.
V07_EDGES = (0.5, 1.0, 2.0, 7.0, 20.0, 1000.0)
V07_EXPOSURE = (2.4e11, 3.1e11, 3.7e11, 4.1e11, 5.0e11)

#: Response whose point spread function is in the v07 counts: the full-resolution v07
#: of the Galactic centre convolved with it agrees to 0.6 % rms (FRONT alone: 8 %).
V07_IRF, V07_TYPE = "P8R3_ULTRACLEANVETO_V2", "FRONT+BACK"

#: Level of the published simulated skies over these counts.
V07_LEVEL = 1.0325


def coarse_v07(folder):
    """v07 on a grid of 1.5 deg with the isotropic spectrum: the spectra of the other models.

    Parameters
    ----------
    folder : path
        Data folder.

    Returns
    -------
    model : `~gammapy_asid.simulation.EmissionModel`
        Model.
    """
    folder = Path(folder)
    return EmissionModel.from_cube(folder / V07_CUBE, "v07") + EmissionModel.isotropic(folder / ISOTROPIC)


def fine_v07(folder, spectrum, n_steps=8):
    """v07 and isotropic at 0.23 deg, from expected counts per pixel of NSIDE 256.

    The counts are blurred with the point spread function of front and back events:
    below 7 GeV this is undone by Richardson-Lucy steps (Richardson 1972, JOSA 62,
    55) from the sharp map at the highest energies.

    Parameters
    ----------
    folder : path
        Data folder.
    spectrum : `~gammapy_asid.simulation.EmissionModel`
        Gives the division of each band, see `coarse_v07`.
    n_steps : int
        Richardson-Lucy steps; more of them sharpen the noise of the table of the PSF.

    Returns
    -------
    model : `~gammapy_asid.simulation.EmissionModel`
        Model.
    """
    folder = Path(folder)
    counts = [fill_healpix(np.load(folder / V07_COUNTS.format(band))) for band in range(len(V07_EXPOSURE))]
    solid_angle = healpy.nside2pixarea(256)
    intensity = V07_LEVEL * np.stack(counts) / np.array(V07_EXPOSURE)[:, None] / solid_angle
    bands = Bands(V07_EDGES, levels=(0,) * len(V07_EXPOSURE))
    response = lat_response(V07_IRF, V07_TYPE, n_sub=1, e_min=V07_EDGES[0], bands=bands, caldb=folder / IRFS)
    for band in range(3):
        beam = healpy.beam2bl(response.psf[band, 0], np.radians(response.rad), lmax=767)
        intensity[band] = _deconvolve(intensity[band], beam / beam[0], start=intensity[-1], n_steps=n_steps)
    return EmissionModel.from_healpix(intensity, V07_EDGES, spectrum, "v07")


def _deconvolve(values, beam, start, n_steps):
    """Richardson-Lucy deconvolution of a noise-free HEALPix map."""
    estimate = start * values.mean() / start.mean()
    floor = 0.1 * values.min()
    for _ in range(n_steps):
        model = np.maximum(healpy.smoothing(estimate, beam_window=beam), floor)
        estimate = estimate * np.maximum(healpy.smoothing(values / model, beam_window=beam), 0.1)
    return estimate


def fit_templates(folder, names, reference, name, radius=180.0):
    """Add counts templates of 2-20 GeV with the levels that come closest to `reference`.

    Levels are free and not negative; residuals count relative to the reference.

    Parameters
    ----------
    folder : path
        Data folder.
    names : sequence of str
        Names of the templates.
    reference : `EmissionModel`
        Model that sets levels and spectrum.
    name : str
        Name of the result.
    radius : float
        Radius in deg around the Galactic centre in which the templates hold;
        outside it the model is NaN.
    """
    folder = Path(folder)
    exposure = np.load(folder / TEMPLATE_EXPOSURE) * healpy.nside2pixarea(128)
    templates = np.stack([np.load(folder / TEMPLATE.format(_)) / exposure for _ in names])
    lon, lat = healpy.pix2ang(128, np.arange(templates.shape[1]), lonlat=True)
    target = reference.interpolate(lon, lat)[:, 3:6].sum(axis=1)
    inside = np.cos(np.radians(lon)) * np.cos(np.radians(lat)) > np.cos(np.radians(radius))
    level, _ = nnls((templates / target)[:, inside].T, np.ones(inside.sum()))
    model = EmissionModel.from_healpix((level @ templates)[None], (2.0, 20.0), reference, name)
    if radius < 180:
        lon, lat = (np.radians(_) for _ in np.meshgrid(*sky_grid()))
        model.intensity[:, np.cos(lon) * np.cos(lat) <= np.cos(np.radians(radius))] = np.nan
    return model


def fit_gas(folder, tracers, halo, reference, name, fwhm, small_scale, seed):
    """Make a model whose structure is that of gas tracers.

    Gas columns, smooth inverse-Compton profiles and an isotropic term take the
    levels that come closest to the reference at 1-2 GeV; the rest on scales above
    `fwhm` is then corrected, so that smaller structure is that of the tracers alone.
    Below their resolution of 0.9 deg the gas is modulated at random.

    Parameters
    ----------
    folder : path
        Data folder.
    tracers : sequence of str
        Names of the tracers: one of HI and one of dust.
    halo : sequence of tuple of float
        Scale height and scale length in deg of each inverse-Compton profile.
    reference : `EmissionModel`
        Model that sets levels and spectrum.
    name : str
        Name of the result.
    fwhm : float
        Scale of the correction in deg.
    small_scale : float
        Standard deviation of the logarithm of the random modulation.
    seed : int
        Seed of the random modulation.
    """
    nside = 256
    lon, lat = healpy.pix2ang(nside, np.arange(healpy.nside2npix(nside)), lonlat=True)
    gas = []
    for tracer in tracers:
        with fits.open(Path(folder) / TRACER.format(tracer)) as hdus:
            column = hdus[1].data["I"].ravel().astype(float)
        gas.append(np.maximum(healpy.get_interp_val(column / np.median(column), lon, lat, lonlat=True), 0))
    ell = np.arange(3 * nside)
    power = np.where(ell > 180, np.maximum(ell, 1.0) ** -3, 0)
    turbulence = gaussian_map(power, nside, np.random.default_rng(seed))
    # The square root stands for dust too warm to follow the column in the inner plane
    gas = np.stack([*gas, np.sqrt(gas[-1])]) * np.exp(small_scale * turbulence)
    lon = (lon + 180) % 360 - 180
    smooth = [np.exp(-np.abs(lat) / h - np.abs(lon) / length) for h, length in halo] + [np.ones(lon.size)]
    terms = np.concatenate([gas, smooth])
    target = reference.interpolate(lon, lat)[:, 2]
    level, _ = nnls((terms / target).T, np.ones(lon.size))
    # Limits warm dust clouds and the Magellanic Clouds, which the reference does not have
    fit = target * np.exp(MAX_CONTRAST * np.tanh(np.log(level @ terms / target) / MAX_CONTRAST))
    broad = [healpy.smoothing(_, fwhm=np.radians(fwhm)) for _ in (target, fit)]
    values = fit * np.maximum(broad[0], target.min()) / np.maximum(broad[1], target.min())
    return EmissionModel.from_healpix(values[None], (1.0, 2.0), reference, name)


def build_lat_bank(folder):
    """Make the emission models for training.

    Parameters
    ----------
    folder : path
        Folder with the files named in this module.

    Returns
    -------
    bank : `~gammapy_asid.simulation.diffuse.EmissionBank`
        ``v07`` (Acero et al. 2016, ApJS 223, 26, in its later version), ``model-a``
        (Calore et al. 2015, JCAP 03, 038), and two of gas tracers, ``hi4pi-planck``
        and ``lab-sfd``.
    """
    spectrum = coarse_v07(folder)
    v07 = fine_v07(folder, spectrum)
    model_a = fit_templates(folder, ("Api", "Aic", "bub", "iso"), v07, "model-a")
    narrow = [(h, length) for h in (2, 6, 20) for length in (40, 1e6)]
    wide = [(h, length) for h in (4, 12, 40) for length in (25, 90, 1e6)]
    hi4pi = fit_gas(
        folder,
        ("h1_nh_HI4PI", "dust_ebv_Planck13"),
        narrow,
        v07,
        "hi4pi-planck",
        8.0,
        small_scale=0.06,
        seed=1,
    )
    lab = fit_gas(folder, ("h1_nh_LAB", "dust_ebv_SFD"), wide, v07, "lab-sfd", 15.0, small_scale=0.1, seed=2)
    return EmissionBank.from_models([v07, model_a, hi4pi, lab])


def build_heldout_models(folder):
    """Make the emission models that no training may see.

    Parameters
    ----------
    folder : path
        Folder with the files named in this module.

    Returns
    -------
    models : list of `~gammapy_asid.simulation.diffuse.EmissionModel`
        ``p6v11`` over the whole sky; ``model-o`` (Buschmann et al. 2020, Phys. Rev. D
        102, 023023) inside 25 deg of the Galactic centre; ``v05`` and ``v06`` in the field
        of their cutouts. NaN elsewhere. All with the isotropic spectrum.
    """
    folder = Path(folder)
    v07 = fine_v07(folder, coarse_v07(folder))
    p6v11 = fit_templates(folder, ("dif", "iso"), v07, "p6v11")
    model_o = fit_templates(folder, ("Opi", "Oic", "bub", "iso"), v07, "model-o", radius=25.0)
    isotropic = EmissionModel.isotropic(folder / ISOTROPIC)
    cutouts = [
        EmissionModel.from_cube(folder / file, name) + isotropic for name, file in HELDOUT_CUBES.items()
    ]
    return [p6v11, model_o, *cutouts]
