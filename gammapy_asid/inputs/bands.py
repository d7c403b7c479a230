# Licensed under a 3-clause BSD style license - see LICENSE
"""The band cube: what any dataset becomes before a network sees it."""

from dataclasses import dataclass, field, replace

import numpy as np
from gammapy.maps import WcsGeom

from .rebin import block_mean, block_sum, pad_to_block, padded_geom

__all__ = ["DEPTH", "Bands", "LAT_BANDS", "LAT_PIXEL_SIZE", "BandCube", "Response", "cube_from_arrays"]

#: Nominal size in deg of the finest pixels for the LAT, in which all angles of a model are measured.
LAT_PIXEL_SIZE = 0.1
#: Resolution levels of a network.
DEPTH = 4
#: Pixels of data may be larger than the nominal ones of a model by this factor.
COARSEST = 2.5


@dataclass(frozen=True)
class Bands:
    """Energy bands of a model and the resolution level of each.

    Parameters
    ----------
    edges : tuple of float
        Band edges in GeV, length ``n_bands + 1``.
    levels : tuple of int
        Resolution level of each band: its pixels are ``2**level`` times the
        finest ones, and it enters the network at the depth of that size.
    pixel_size : float
        Nominal size of the finest pixels in deg. Those of a field come close to it, and
        angles inside a model are multiples of it: by default those of the LAT.
    extents : tuple of float
        Widths in deg of the Gaussian sources whose significance the network sees, beside that of points.
    """

    edges: tuple
    levels: tuple
    pixel_size: float = LAT_PIXEL_SIZE
    extents: tuple = ()

    def __post_init__(self):
        if len(self.edges) != len(self.levels) + 1:
            raise ValueError(
                f"{len(self.levels)} bands need {len(self.levels) + 1} edges, got {len(self.edges)}"
            )
        if not np.all(np.diff(self.edges) > 0):
            raise ValueError(f"Band edges must increase, got {self.edges}")
        if not all(0 <= level < DEPTH for level in self.levels) or 0 not in self.levels:
            raise ValueError(f"Levels must be 0-{DEPTH - 1} with a band of level 0, got {self.levels}")
        if not self.pixel_size > 0:
            raise ValueError(f"The pixel size must be positive, got {self.pixel_size} deg")
        if not all(extent > self.pixel_size for extent in self.extents):
            raise ValueError(
                f"Extents must be wider than a pixel of {self.pixel_size} deg, got {self.extents}"
            )

    def __len__(self):
        return len(self.levels)

    def for_pixels(self, size):
        """The same bands for data with pixels of a size, in deg.

        Pixels that are larger than `COARSEST` nominal ones tell nothing of the angles that a model was made
        for: there they all grow together, so that the data look as the model knows them.

        Parameters
        ----------
        size : float
            Pixel size of the data in deg.

        Returns
        -------
        bands : `Bands`
            These where the pixels are small enough.
        """
        if size <= COARSEST * self.pixel_size:
            return self
        return replace(self, pixel_size=float(size) / COARSEST)

    def same_energies(self, other):
        """Whether other bands differ at most by their angles.

        Parameters
        ----------
        other : `Bands`
            Bands.

        Returns
        -------
        same : bool
            True if so.
        """
        return self.edges == other.edges and self.levels == other.levels

    @property
    def block(self):
        """Number of finest pixels along a side of the network's coarsest one."""
        return 2 ** (DEPTH - 1)

    @property
    def scale(self):
        """Nominal pixel size over that of the LAT."""
        return self.pixel_size / LAT_PIXEL_SIZE

    @property
    def extent_levels(self):
        """Level at which the significance of each extent enters: its pixels are 1 to 2 times narrower."""
        levels = np.floor(np.log2(np.array(self.extents) / self.pixel_size))
        return tuple(np.clip(levels, 0, DEPTH - 1).astype(int).tolist())

    @property
    def centre_sigma(self):
        """Width in deg of the Gaussian that marks a source in the centre map."""
        return 0.12 * self.scale

    @property
    def match_radius(self):
        """Radius in deg within which a candidate counts as the true source."""
        return 0.3 * self.scale


LAT_BANDS = Bands(edges=(0.3, 0.5, 1.0, 2.0, 7.0, 20.0, 1000.0), levels=(3, 2, 1, 0, 0, 0))


@dataclass(frozen=True)
class Response:
    """Instrument response in the bands, constant over a field.

    Every band is divided into ``n_sub`` logarithmic sub-bands, so that hard and
    soft sources get their own point spread function.

    Parameters
    ----------
    bands : `Bands`
        Nominal bands.
    e_min, e_max : `~numpy.ndarray`
        Band edges really covered in GeV, shape ``(n_bands,)``; NaN where absent.
    exposure : `~numpy.ndarray`
        Exposure in cm2 s, shape ``(n_bands, n_sub)``; 0 where absent.
    rad : `~numpy.ndarray`
        Offset in deg, shape ``(n_rad,)``, increasing from 0.
    psf : `~numpy.ndarray`
        Point spread function in 1/sr, shape ``(n_bands, n_sub, n_rad)``.
        Includes the native pixel window where counts had to be spread over their
        native pixels: those larger than 0.2 deg, and those of a geometry left behind.
    pixel_size : float
        Finest pixel size in deg.
    native : float
        Side in deg of the native pixels inside which counts lost their place, 0 where they kept it.
    place_error : float or `~numpy.ndarray`
        Error in deg of positions along each axis that this makes, shape ``(n_bands,)``, see
        `~gammapy_asid.inputs.response.place_error`.
    """

    bands: Bands
    e_min: np.ndarray
    e_max: np.ndarray
    exposure: np.ndarray
    rad: np.ndarray
    psf: np.ndarray
    pixel_size: float
    native: float = 0.0
    place_error: object = 0.0

    @property
    def present(self):
        """Bands that the data cover, bool array of shape ``(n_bands,)``."""
        return np.isfinite(self.e_min)

    @property
    def sub_edges(self):
        """Sub-band edges in GeV, shape ``(n_bands, n_sub + 1)``; NaN where absent."""
        frac = np.linspace(0, 1, self.exposure.shape[1] + 1)
        lo, hi = np.log(self.e_min)[:, None], np.log(self.e_max)[:, None]
        return np.exp(lo + (hi - lo) * frac)

    def with_pixel_size(self, pixel_size):
        """The same response on other pixels.

        Parameters
        ----------
        pixel_size : float
            Finest pixel size in deg.

        Returns
        -------
        response : `Response`
            A copy.
        """
        return replace(self, pixel_size=float(pixel_size))


@dataclass
class BandCube:
    """Counts of one field in the bands of a model.

    Band ``b`` has pixels ``2**levels[b]`` times larger than ``geom``.

    Parameters
    ----------
    geom : `~gammapy.maps.WcsGeom`
        Image geometry of the finest pixels, shape ``(ny, nx)``, both multiples
        of ``bands.block``.
    response : `Response`
        Instrument response (exposure at the field's exposure-weighted mean).
    counts : list of `~numpy.ndarray`
        Counts per band, shape ``(ny / 2**level, nx / 2**level)``.
    mask : `~numpy.ndarray`
        True where the data are valid, shape ``(n_bands, ny, nx)``: finest pixels.
    exposure : list of `~numpy.ndarray`
        Exposure of each pixel over that of `response`, shape as `counts`. Masked
        sky counts as 0, so that ``response.exposure * exposure`` is what makes counts.
    background : list of `~numpy.ndarray` or None
        Predicted counts of the known sky (background and models), shape as `counts`.
    """

    geom: WcsGeom
    response: Response
    counts: list
    mask: np.ndarray
    exposure: list
    background: list = None
    meta: dict = field(default_factory=dict)

    @property
    def bands(self):
        """The bands (`Bands`)."""
        return self.response.bands

    @property
    def has_background(self):
        """Whether a prediction of the known sky is present."""
        return self.background is not None


def cube_from_arrays(counts, geom, response, background=None, mask=None, exposure=None):
    """Band cube of arrays on the finest pixels, each band pooled to its level.

    Fields are padded at the top and right to multiples of ``bands.block``; the
    padding is masked. Counts and background are set to 0 where masked.

    Parameters
    ----------
    counts : `~numpy.ndarray`
        Counts on the finest pixels, shape ``(n_bands, ny, nx)``.
    geom : `~gammapy.maps.WcsGeom`
        Image geometry of shape ``(ny, nx)``.
    response : `Response`
        Instrument response; bands absent there are masked.
    background : `~numpy.ndarray`, optional
        Predicted counts of the known sky, shape as `counts`.
    mask : `~numpy.ndarray`, optional
        True where valid, shape ``(n_bands, ny, nx)`` or ``(ny, nx)``. Default is everywhere.
    exposure : `~numpy.ndarray`, optional
        Exposure of each pixel over that of `response`, shape as `counts`. Default is 1.

    Returns
    -------
    cube : `BandCube`
        Its arrays are float32, its mask is bool.

    Raises
    ------
    ValueError
        If shapes do not agree.
    """
    bands, shape = response.bands, (len(response.bands), *geom.to_image().data_shape)
    arrays = {"counts": counts, "background": background, "exposure": exposure}
    for name, array in arrays.items():
        if array is not None and np.shape(array) != shape:
            raise ValueError(f"{name} must have the shape (n_bands, ny, nx) = {shape}, got {np.shape(array)}")
    valid = np.broadcast_to(True if mask is None else mask, shape) & response.present[:, None, None]

    def per_level(array, pool):
        kept = pad_to_block(np.where(valid, array, 0), bands.block)
        return [
            pool(plane, 2**level).astype(np.float32) for plane, level in zip(kept, bands.levels, strict=True)
        ]

    return BandCube(
        geom=padded_geom(geom.to_image(), bands.block),
        response=response,
        counts=per_level(counts, block_sum),
        mask=pad_to_block(valid, bands.block),
        exposure=per_level(1.0 if exposure is None else exposure, block_mean),
        background=None if background is None else per_level(background, block_sum),
    )
