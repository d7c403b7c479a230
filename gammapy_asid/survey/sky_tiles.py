# Licensed under a 3-clause BSD style license - see LICENSE
"""The sky in overlapping round tiles, and datasets cut to them."""

from functools import partial

import healpy
import numpy as np
from astropy.coordinates import SkyCoord
from gammapy.datasets import Datasets
from gammapy.maps import HpxGeom, Map, WcsGeom

from ..inputs.changed_maps import with_changed_maps
from ..inputs.datasets import renamed_models, with_models
from ..inputs.field_pixels import MAX_RADIUS
from ..inputs.masks import valid_bins
from ..inputs.prepare import prepare_dataset
from ..utils.arguments import check_number

__all__ = ["SkyTiles", "TileCutter"]


class SkyTiles:
    """Tiles around the pixels of a HEALPix grid in Galactic coordinates.

    The pixel is the core of a tile: it owns the sources in it. Around the core lies a margin, so
    that sources near its border are seen with their surroundings.

    Parameters
    ----------
    nside : int
        Number of pixels along a side of the twelve faces: there are ``12 nside**2`` tiles.
    margin : float
        Width of the margin in deg.

    Raises
    ------
    ValueError
        If tiles would be larger than a field may be.
    """

    frame = "galactic"

    def __init__(self, nside=3, margin=4.5):
        check_number("nside", nside, low=1, whole=True)
        check_number("margin", margin, low=0)
        self.nside, self.margin = nside, margin
        largest = max(self.radius(tile) for tile in range(len(self)))
        if largest > MAX_RADIUS:
            raise ValueError(
                f"Tiles of nside {nside} with a margin of {margin:g} deg reach {largest:.0f} deg from their "
                f"centre, more than {MAX_RADIUS:.0f} deg: choose a larger nside"
            )

    def __len__(self):
        return healpy.nside2npix(self.nside)

    def centre(self, tile):
        """Centre of a tile.

        Parameters
        ----------
        tile : int
            Tile.

        Returns
        -------
        centre : `~astropy.coordinates.SkyCoord`
            Centre.
        """
        lon, lat = healpy.pix2ang(self.nside, tile, lonlat=True)
        return SkyCoord(lon, lat, unit="deg", frame=self.frame)

    def radius(self, tile):
        """Radius of a tile: the farthest corner of the core, and the margin.

        Parameters
        ----------
        tile : int
            Tile.

        Returns
        -------
        radius : float
            In deg.
        """
        corners = healpy.boundaries(self.nside, tile, step=4)
        cosine = healpy.pix2vec(self.nside, tile) @ corners
        return float(np.degrees(np.arccos(cosine.min()))) + self.margin

    def owner(self, positions):
        """Tiles that own positions.

        Parameters
        ----------
        positions : `~astropy.coordinates.SkyCoord`
            Shape ``(n,)``.

        Returns
        -------
        tiles : `~numpy.ndarray`
            Tile whose core holds each position, shape ``(n,)``.
        """
        galactic = positions.galactic.spherical
        return healpy.ang2pix(self.nside, galactic.lon.deg, galactic.lat.deg, lonlat=True)

    def is_near_core(self, tile, positions, reach):
        """Whether the core comes nearer to positions than their reach.

        Parameters
        ----------
        tile : int
            Tile.
        positions : `~astropy.coordinates.SkyCoord`
            Shape ``(n,)``.
        reach : array-like
            In deg, shape ``(n,)``.

        Returns
        -------
        near : `~numpy.ndarray`
            True also inside the core, shape ``(n,)``.
        """
        inside = self.owner(positions) == tile
        vectors = positions.galactic.cartesian.xyz.value.T
        # Points a tenth of a degree apart at nside 3: no circle about a position slips through
        outline = healpy.boundaries(self.nside, tile, step=256).T
        cosine = (vectors @ outline.T).max(axis=1) if len(vectors) else np.zeros(0)
        return inside | (np.degrees(np.arccos(cosine.clip(-1, 1))) < reach)


class TileCutter:
    """Cuts the round tiles out of one dataset, which may show the whole sky in any projection.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Dataset; left unchanged. The parts share its data as far as possible.

    Raises
    ------
    TypeError, ValueError
        If a part of the dataset is missing or unusable.
    """

    def __init__(self, dataset):
        self.dataset = dataset = prepare_dataset(dataset)
        self.image = dataset.counts.geom.to_image()
        sky = self.image.get_coord().skycoord
        # A projection of the whole sky has pixels outside of it: NaN, which are in no tile
        self.vectors = np.moveaxis(sky.cartesian.xyz.value, 0, -1).astype(np.float32)

    def tiles_with_data(self, tiles):
        """Tiles in whose core the dataset has data.

        Parameters
        ----------
        tiles : `SkyTiles`
            All tiles.

        Returns
        -------
        numbers : set of int
            Those whose core holds valid pixels.
        """
        valid = np.isfinite(self.vectors).all(axis=-1) & valid_bins(self.dataset).any(axis=0)
        if not valid.any():
            return set()
        sky = SkyCoord(*self.vectors[valid].T, representation_type="cartesian", frame=self.image.frame)
        return set(np.unique(tiles.owner(sky)).tolist())

    def cut(self, centre, radius):
        """Parts of the dataset in a circle.

        Parameters
        ----------
        centre : `~astropy.coordinates.SkyCoord`
            Centre.
        radius : float
            In deg.

        Returns
        -------
        parts : list of `~gammapy.datasets.MapDataset`
            More than one where the circle crosses the border of the map; none where nothing is valid.
        """
        direction = centre.transform_to(self.image.frame).cartesian.xyz.value
        inside = self.vectors @ direction.astype(np.float32) > np.cos(np.radians(radius))
        if not inside.any():
            return []
        if isinstance(self.image, HpxGeom):
            cuts = [partial(_hpx_cut, centre=centre, width=2 * radius)]
        else:
            cuts = [partial(_wcs_cut, box=box) for box in _boxes(inside)]
        inside = Map.from_geom(self.image, data=inside)
        parts = [self._part(number, inside, cut) for number, cut in enumerate(cuts)]
        return [part for part in parts if part.mask_safe.data.any()]

    def _part(self, number, inside, cut):
        dataset = self.dataset
        name = dataset.name if number == 0 else f"{dataset.name}-{number + 1}"

        part = with_changed_maps(dataset, lambda m, _: cut(m))
        valid = np.broadcast_to(cut(inside).data, part.counts.data.shape) & part.mask_safe.data
        mask = Map.from_geom(part.counts.geom, data=valid)
        return with_models(part, renamed_models(part, name), name=name, mask_safe=mask)


def cut_tile(cutters, tiles, tile):
    """Parts of several datasets in a tile.

    Parameters
    ----------
    cutters : list of `TileCutter`
        One for each dataset.
    tiles : `SkyTiles`
        All tiles.
    tile : int
        Tile.

    Returns
    -------
    datasets : `~gammapy.datasets.Datasets`
        Parts.
    """
    centre, radius = tiles.centre(tile), tiles.radius(tile)
    return Datasets([part for cutter in cutters for part in cutter.cut(centre, radius)])


def _boxes(inside):
    """Boxes of a WCS image that hold the pixels; two where they cross the border of the map."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    groups = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)
    return [(slice(rows[0], rows[-1] + 1), slice(group[0], group[-1] + 1)) for group in groups]


def _hpx_cut(m, centre, width):
    """Disk of a HEALPix map, zero beyond a map of a part of the sky, where Gammapy takes any pixel."""
    geom = m.geom.cutout(centre, width)
    part, whole = geom.to_image(), m.geom.to_image()
    pixels = part.local_to_global((np.arange(part.data_shape[0]),))
    index = np.ravel(whole.global_to_local(pixels)[0])
    data = np.where(index >= 0, m.data[..., index], 0)
    return Map.from_geom(geom, data=data.astype(m.data.dtype), unit=m.unit)


def _wcs_cut(m, box):
    y, x = box
    wcs = m.geom.wcs.deepcopy()
    wcs.wcs.crpix = wcs.wcs.crpix - [x.start, y.start]
    geom = WcsGeom(wcs, npix=(x.stop - x.start, y.stop - y.start), axes=m.geom.axes)
    return Map.from_geom(geom, data=m.data[..., y, x], unit=m.unit)
