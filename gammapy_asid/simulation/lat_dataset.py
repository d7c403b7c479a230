# Licensed under a 3-clause BSD style license - see LICENSE
"""LAT-like Gammapy datasets of a simulated sky, without any file."""

import astropy.units as u
import numpy as np
from gammapy.datasets import MapDataset
from gammapy.irf import EDispKernelMap, PSFKernel
from gammapy.maps import Map, WcsGeom

from ..utils.arguments import check_number
from .analytic_lat import ENERGY_EDGES, N_TRUE, analytic_lat_exposure, analytic_lat_psf, energy_axes
from .sky_grid import interval_shares

__all__ = ["LATField", "simulate_dataset"]

# Half width of the kernels in deg, which all but few photons of the lowest energies reach, and sub-pixels
# along a side in the core, where the profile is steep, and beyond it.
KERNEL_RADIUS, FINE, COARSE = 8.0, 21, 3
# Half width of the core in pixels.
CORE = 4

#: Sources this far outside the field still shine into it, in deg.
MARGIN = 5.0
# Pixels that a field may have with its margin: its maps then fill some GB.
MAX_PIXELS = 10_000_000


def _check_field(width, pixel_size):
    check_number("pixel_size", pixel_size, above=0)
    size = np.atleast_1d(u.Quantity(width).to_value("deg"))
    if not np.all((size > 0) & (size <= 180)):
        raise ValueError(f"The width must be above 0 and at most 180 deg, got {width}")
    n_pixels = np.prod((np.broadcast_to(size, 2) + 2 * MARGIN) / pixel_size)
    if size.min() < pixel_size or n_pixels > MAX_PIXELS:
        raise ValueError(
            f"A field of {width} has no pixels of {pixel_size:g} deg, or more than {MAX_PIXELS:.0e}: "
            "choose another width or pixel size"
        )


def simulate_dataset(
    center,
    width,
    catalog,
    emission,
    livetime=10.0,
    energy_edges=ENERGY_EDGES,
    pixel_size=0.1,
    rng=None,
    name="simulated",
):
    """Dataset of a simulated sky seen by a LAT-like instrument.

    The background map is the expectation of the diffuse emission that the counts were
    drawn from, so sources are all that is unknown. There is no energy dispersion.

    Parameters
    ----------
    center : `~astropy.coordinates.SkyCoord`
        Centre of the field.
    width : tuple of `~astropy.units.Quantity`
        Width in longitude and latitude.
    catalog : `~gammapy_asid.simulation.mock_catalog.MockCatalog`
        Sources of the sky; those outside the field and its margin are left out.
    emission : `~gammapy_asid.simulation.diffuse.EmissionModel`
        Diffuse emission of the sky.
    livetime : float
        Length of the survey in years.
    energy_edges : sequence of float
        Energy edges in GeV, inside 0.3 GeV to 1 TeV.
    pixel_size : float
        Pixel size in deg.
    rng : `~numpy.random.Generator`, optional
        Draws Poisson counts. By default counts are the expectation (Asimov).
    name : str
        Name of the dataset.

    Returns
    -------
    dataset : `~gammapy.datasets.MapDataset`
        Counts, background, exposure, PSF and energy dispersion (none), tangential projection
        in Galactic coordinates.

    Raises
    ------
    ValueError
        If the energies are not inside 0.3 GeV to 1 TeV, or there is no such field.
    """
    check_number("livetime", livetime, above=0)
    field = LATField(center, width, energy_edges, pixel_size)
    background = field.expected(field.diffuse_flux(emission), livetime)
    total = background + field.expected(field.source_flux(catalog), livetime)
    counts = total if rng is None else rng.poisson(total).astype(float)
    return field.dataset(counts, background, livetime, name)


class LATField:
    """Geometry, response and expected counts of a field that a LAT-like instrument sees.

    Parameters
    ----------
    center : `~astropy.coordinates.SkyCoord`
        Centre of the field.
    width : tuple of `~astropy.units.Quantity`
        Width in longitude and latitude.
    energy_edges : sequence of float
        Energy edges in GeV.
    pixel_size : float
        Pixel size in deg.
    """

    def __init__(self, center, width, energy_edges, pixel_size):
        _check_field(width, pixel_size)
        self.axis, self.true_axis = energy_axes(energy_edges)
        self.image = WcsGeom.create(
            skydir=center.galactic, width=width, binsz=pixel_size, frame="galactic", proj="TAN"
        )
        self.psf = analytic_lat_psf(self.true_axis)
        self.n_margin = int(round(MARGIN / pixel_size))
        self.wide = self.image.to_cube([self.true_axis]).pad(self.n_margin, axis_name=None)
        self.kernel = _psf_kernel(self.psf, self.wide)

    def exposure(self, livetime):
        """Exposure in cm2 s at each true energy; shape ``(n, 1, 1)``.

        Parameters
        ----------
        livetime : float
            Length of the survey in years.
        """
        return analytic_lat_exposure(self.true_axis.center.to_value("GeV"), livetime)[:, None, None]

    def diffuse_flux(self, emission):
        """Flux of the diffuse emission in each pixel of the wide field in cm-2 s-1.

        Parameters
        ----------
        emission : `~gammapy_asid.simulation.diffuse.EmissionModel`
            Diffuse emission of the sky.
        """
        return _diffuse_flux(self.wide, emission)

    def source_flux(self, catalog):
        """Flux of sources in each pixel of the wide field in cm-2 s-1.

        Parameters
        ----------
        catalog : `~gammapy_asid.simulation.mock_catalog.MockCatalog`
            Sources.
        """
        return _source_flux(self.wide, catalog)

    def expected(self, flux, livetime):
        """Counts in the bins of the dataset of a flux per pixel of the wide field.

        Parameters
        ----------
        flux : `~numpy.ndarray`
            Flux in cm-2 s-1.
        livetime : float
            Length of the survey in years.
        """
        counts = Map.from_geom(self.wide, data=flux * self.exposure(livetime)).convolve(self.kernel)
        data = counts.data[:, self.n_margin : -self.n_margin, self.n_margin : -self.n_margin]
        # The Fourier transform leaves tiny negative values where nothing is expected
        return data.reshape(self.axis.nbin, N_TRUE, *data.shape[1:]).sum(axis=1).clip(min=0)

    def dataset(self, counts, background, livetime, name, gti=None):
        """Dataset of counts and background.

        Parameters
        ----------
        counts, background : `~numpy.ndarray`
            Maps in the bins of the dataset.
        livetime : float
            Length of the survey in years.
        name : str
            Name of the dataset.
        gti : `~gammapy.data.GTI`, optional
            When it was observed.
        """
        geom = self.image.to_cube([self.axis])
        true_geom = self.image.to_cube([self.true_axis])
        exposure = self.exposure(livetime) * np.ones(self.image.data_shape)
        return MapDataset(
            counts=Map.from_geom(geom, data=counts),
            background=Map.from_geom(geom, data=background),
            exposure=Map.from_geom(true_geom, data=exposure, unit="cm2 s"),
            psf=self.psf,
            edisp=EDispKernelMap.from_diagonal_response(self.axis, self.true_axis),
            mask_safe=Map.from_geom(geom, data=np.ones(geom.data_shape, dtype=bool)),
            gti=gti,
            name=name,
        )


def _psf_kernel(psf, geom):
    """Point spread function integrated over pixels, at the centre of each true energy bin.

    `~gammapy.irf.PSFMap.get_psf_kernel` makes the core of these functions 1-2 % too bright, and with it
    all fluxes.
    """
    axis, size = geom.axes["energy_true"], np.mean(geom.pixel_scales.to_value("deg"))
    half = int(KERNEL_RADIUS / size)
    rad = psf.psf_map.geom.axes["rad"].center.to_value("deg")
    profiles = psf.psf_map.data.reshape(axis.nbin, len(rad), -1)[..., 0]

    def integrated(profile, half, n_sub):
        n = (2 * half + 1) * n_sub
        offset = ((np.arange(n) + 0.5) / n_sub - half - 0.5) * size
        values = np.interp(np.hypot(offset[:, None], offset), rad, profile, right=0)
        return values.reshape(2 * half + 1, n_sub, 2 * half + 1, n_sub).mean(axis=(1, 3))

    core = slice(half - CORE, half + CORE + 1)
    data = []
    for profile in profiles:
        kernel = integrated(profile, half, COARSE)
        kernel[core, core] = integrated(profile, CORE, FINE)
        # Shares of all photons: what falls beyond the kernel is lost, as it is beyond the field.
        data.append(kernel * np.radians(size) ** 2)
    kernel_geom = WcsGeom.create(npix=2 * half + 1, binsz=size, proj="TAN", axes=[axis])
    return PSFKernel(Map.from_geom(kernel_geom, data=np.array(data)), normalize=False)


def _diffuse_flux(geom, emission):
    """Flux of the diffuse emission in each pixel in cm-2 s-1."""
    galactic = geom.to_image().get_coord(frame="galactic").skycoord
    intensity = emission.interpolate(galactic.l.deg, galactic.b.deg)
    edges = geom.axes["energy_true"].edges.to_value("GeV")
    shares = interval_shares(edges[:-1], edges[1:])
    flux = np.einsum("ei,yxi->eyx", shares, intensity)
    return flux * geom.to_image().solid_angle().to_value("sr")


def _source_flux(geom, catalog):
    """Flux of the sources in cm-2 s-1, each shared between pixels so that it is not blurred.

    Cubic shares (Keys 1981, IEEE ASSP 29, 1153), which have the width of a point; some are negative.
    """
    ny, nx = geom.data_shape[1:]
    x, y = geom.to_image().coord_to_pix(catalog.positions)
    # A tangential projection has no pixels for the far side of the sky
    inside = np.isfinite(x) & (x > 1) & (x < nx - 2) & (y > 1) & (y < ny - 2)
    x, y, catalog = x[inside], y[inside], catalog.select(inside)
    edges = geom.axes["energy_true"].edges.to_value("GeV")
    flux = np.zeros(geom.data_shape)
    for energy, (e_min, e_max) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        source = catalog.flux(e_min, e_max)
        for dx in (-1, 0, 1, 2):
            for dy in (-1, 0, 1, 2):
                column, row = np.floor(x).astype(int) + dx, np.floor(y).astype(int) + dy
                share = _cubic(x - column) * _cubic(y - row)
                np.add.at(flux[energy], (row, column), source * share)
    return flux


def _cubic(distance):
    """Share of a pixel at a distance in pixels."""
    t = np.abs(distance)
    return np.where(t < 1, (1.5 * t - 2.5) * t**2 + 1, ((2.5 - 0.5 * t) * t - 4) * t + 2)
