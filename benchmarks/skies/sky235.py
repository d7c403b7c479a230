# Licensed under a 3-clause BSD style license - see LICENSE
"""The simulated sky 235 of Panes et al. 2021 (A&A 656, A62)."""

from dataclasses import dataclass

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astropy.wcs import WCS
from gammapy.maps import WcsGeom

from ..common import data_folder

__all__ = [
    "BANDS",
    "EXPOSURE",
    "N_PIX",
    "PIXEL_SIZE",
    "Sky",
    "load_sky235",
    "measured_pixel_size",
    "random_patches",
]

#: Band edges in GeV.
BANDS = (0.5, 1.0, 2.0, 7.0, 20.0, 1000.0)
#: Exposure of each band in cm2 s.
EXPOSURE = (2.4e11, 3.1e11, 3.7e11, 4.1e11, 5.0e11)
#: Number of pixels along a side of a patch, and their size in deg. Centroids of bright sources in the maps
#: without noise say 0.1575 +- 0.0001 on both axes (`measured_pixel_size`), not the nominal 10 deg / 64.
#: Listed sources end at the centres of the outermost pixels: 31.5 of these pixels from the middle.
N_PIX = 64
PIXEL_SIZE = 10 / 63.5


@dataclass(frozen=True)
class Sky:
    """Patches of the sky with their true sources.

    Positions are Galactic, in deg.

    Parameters
    ----------
    components : `~numpy.ndarray`
        Expected counts of the interstellar and isotropic emission, the AGN and the
        pulsars, shape ``(3, n_bands, n_patches, 64, 64)``, as the upper 16 bits of float32.
    center_lon, center_lat : `~numpy.ndarray`
        Patch centres, shape ``(n_patches,)``.
    patch, lon, lat, flux : `~numpy.ndarray`
        Patch, position and 1-100 GeV flux in cm-2 s-1 of each true source, shape
        ``(n_true,)``, grouped by patch. Patches overlap: a source is listed once in each.
    published : `~astropy.table.Table`
        Predictions of the published network: ``patch``, ``lon``, ``lat``, ``score``.
    """

    components: np.ndarray
    center_lon: np.ndarray
    center_lat: np.ndarray
    patch: np.ndarray
    lon: np.ndarray
    lat: np.ndarray
    flux: np.ndarray
    published: Table

    @property
    def n_patches(self):
        """Number of patches."""
        return len(self.center_lon)

    def component(self, index, patches=slice(None)):
        """Expected counts of one component, shape ``(n, n_bands, 64, 64)``."""
        stored = self.components[index][:, patches].swapaxes(0, 1).astype(np.uint32)
        return np.left_shift(stored, 16).view(np.float32)

    def background(self, patches=slice(None)):
        """Expected counts of the interstellar and isotropic emission."""
        return self.component(0, patches)

    def sources(self, patches=slice(None)):
        """Expected counts of all sources."""
        return self.component(1, patches) + self.component(2, patches)

    def counts(self, seed, patches=slice(None), emission=None):
        """One observation, drawn patch by patch so that a subset equals its part of the whole.

        Another emission keeps the photons of the sources, and those of the true
        emission as far as it can: only what differs is drawn anew.

        Parameters
        ----------
        seed : int
            Seed.
        patches : slice or array-like of int
            Patches.
        emission : `~numpy.ndarray`, optional
            Emission in place of the true one, shape of the result.

        Returns
        -------
        counts : `~numpy.ndarray`
            Counts, shape ``(n, n_bands, 64, 64)``.
        """
        true, sources = self.background(patches), self.sources(patches)
        draws = np.empty_like(true)
        for row, patch in enumerate(np.arange(self.n_patches)[patches]):
            rng = np.random.default_rng([seed, patch])
            source_counts, emission_counts = rng.poisson(sources[row]), rng.poisson(true[row])
            if emission is not None:
                kept = np.minimum(emission[row] / true[row], 1)
                emission_counts = rng.binomial(emission_counts, kept)
                emission_counts += rng.poisson(np.maximum(emission[row] - true[row], 0))
            draws[row] = source_counts + emission_counts
        return draws

    def geom(self, patch):
        """Image geometry of a patch: a plate carree turned so that its centre is on the equator."""
        wcs = WCS(naxis=2)
        wcs.wcs.ctype = "GLON-CAR", "GLAT-CAR"
        wcs.wcs.crval = self.center_lon[patch], self.center_lat[patch]
        wcs.wcs.cdelt = -PIXEL_SIZE, PIXEL_SIZE
        wcs.wcs.crpix = (N_PIX + 1) / 2, (N_PIX + 1) / 2
        return WcsGeom(wcs, npix=(N_PIX, N_PIX))

    def pixel_to_sky(self, patch, x, y):
        """Position of pixel coordinates (0 is the centre of the first pixel).

        Parameters
        ----------
        patch : array-like of int
            Patch of each.
        x, y : array-like
            Column and row, of the shape of `patch`.

        Returns
        -------
        lon, lat : `~numpy.ndarray`
            Position in deg.
        """
        offset = (
            (N_PIX / 2 - 0.5 - np.asarray(x)) * PIXEL_SIZE,
            (np.asarray(y) - N_PIX / 2 + 0.5) * PIXEL_SIZE,
        )
        center = SkyCoord(self.center_lon[patch], self.center_lat[patch], unit="deg")
        position = SkyCoord(*offset, unit="deg", frame=center.skyoffset_frame()).transform_to("icrs")
        return position.ra.deg, position.dec.deg

    def sky_to_pixel(self, patch, lon, lat):
        """Pixel coordinates of a position: the inverse of `pixel_to_sky`."""
        center = SkyCoord(self.center_lon[patch], self.center_lat[patch], unit="deg")
        offset = SkyCoord(lon, lat, unit="deg").transform_to(center.skyoffset_frame())
        x = N_PIX / 2 - 0.5 - offset.lon.wrap_at("180d").deg / PIXEL_SIZE
        return x, offset.lat.deg / PIXEL_SIZE + N_PIX / 2 - 0.5

    @property
    def true_id(self):
        """Number of the source behind each entry, equal in overlapping patches, shape ``(n_true,)``."""
        _, number = np.unique(np.column_stack([self.lon, self.lat]), axis=0, return_inverse=True)
        return number.ravel()


def load_sky235(folder=None):
    """Load the sky.

    Parameters
    ----------
    folder : path, optional
        Data folder that contains ``panes2021``; default is GAMMAPY_ASID_DATA.

    Returns
    -------
    sky : `Sky`
        The sky.

    Raises
    ------
    FileNotFoundError
        If the data are not there.
    """
    folder = data_folder(folder) / "panes2021"
    with np.load(folder / "sky235_expected_counts_bfloat16.npz") as file:
        components = file["expected_counts_bfloat16"]
    truth = Table.read(folder / "sky235_truth.csv.gz", format="ascii.csv")
    found = Table.read(folder / "sky235_unek_prediction_after.csv.gz", format="ascii.csv")

    patch = np.array([int(name.split("_")[-1].removesuffix(".npy")) for name in truth["filename"]])
    truth, patch = truth[np.argsort(patch, kind="stable")], np.sort(patch)
    center_lon, center_lat = np.full((2, components.shape[2]), np.nan)
    for number, table in ((patch, truth), (np.array(found["image_nr"]), found)):
        center_lon[number], center_lat[number] = table["lon_c"] % 360, table["lat_c"]
    published = Table({"patch": found["image_nr"], "lon": found["lon_ps"], "lat": found["lat_ps"]})
    published["score"] = found["probability"]
    columns = (np.array(truth[name], dtype=float) for name in ("lon_p", "lat_p", "flux_1000"))
    return Sky(components, center_lon, center_lat, patch, *columns, published)


def random_patches(sky, number):
    """Some patches in order, always the same."""
    return np.sort(np.random.default_rng(0).choice(sky.n_patches, number, replace=False))


def measured_pixel_size(sky, flux=1e-9, window=1.5, border=5):
    """Pixel size from centroids of bright isolated sources in the expected counts above 7 GeV.

    Parameters
    ----------
    sky : `Sky`
        The sky.
    flux : float
        Smallest 1-100 GeV flux in cm-2 s-1.
    window : float
        Width in pixels of the Gaussian weight of the centroids.
    border : int
        Distance in pixels from the edge of a patch.

    Returns
    -------
    pixel_size, error : `~numpy.ndarray`
        In deg, along x and y.
    """
    x, y = sky.sky_to_pixel(sky.patch, sky.lon, sky.lat)
    images = sky.sources()[:, 3:].sum(axis=1)
    rows, columns = np.mgrid[:N_PIX, :N_PIX]
    place, centroid = [], []
    for i in np.flatnonzero((sky.flux > flux) & (np.minimum(x, y) > border)):
        near = (sky.patch == sky.patch[i]) & (np.hypot(x - x[i], y - y[i]) < 8)
        if max(x[i], y[i]) > N_PIX - 1 - border or np.sum(sky.flux[near]) > 1.05 * sky.flux[i]:
            continue
        middle = np.array([x[i], y[i]])
        for _ in range(30):
            weight = np.exp(-((columns - middle[0]) ** 2 + (rows - middle[1]) ** 2) / (2 * window**2))
            weight = weight * images[sky.patch[i]]
            middle += np.array([np.sum(weight * columns), np.sum(weight * rows)]) / weight.sum() - middle
        place.append((x[i], y[i]))
        centroid.append(middle)
    place, shift = np.array(place), np.array(centroid) - place
    size, error = [], []
    for offset, moved in zip((place - place.mean(axis=0)).T, shift.T, strict=True):
        good = np.abs(moved) < 1
        coefficients, covariance = np.polyfit(offset[good], moved[good], 1, cov=True)
        size.append(PIXEL_SIZE / (1 + coefficients[0]))
        error.append(PIXEL_SIZE * np.sqrt(covariance[0, 0]))
    return np.array(size), np.array(error)
