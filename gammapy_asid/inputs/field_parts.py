# Licensed under a 3-clause BSD style license - see LICENSE
"""Datasets of one field on their way into the band cube, each on the common pixels."""

from dataclasses import dataclass

import numpy as np

from .checks import check_counts, each_usable
from .expected_counts import expected_counts
from .exposure import exposure_nodes
from .field_pixels import FieldPixels
from .impossible import impossible_pixels, warn_of_impossible
from .masks import valid_bins
from .pixel_grid import PixelGrid
from .prepare import prepare_dataset
from .response import Quadrature, normalise_psf, place_error, psf_nodes, smear_psf

__all__ = ["MIN_PIXELS", "EnergyRangeError", "FieldParts"]

#: Smallest side of a field in finest pixels.
MIN_PIXELS = 16


class EnergyRangeError(ValueError):
    """The energies of the data are not those of the model."""


class FieldParts:
    """Datasets of one field, their common pixels and energies.

    Parameters
    ----------
    datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
        Data; left unchanged.
    bands : `~gammapy_asid.inputs.bands.Bands`
        Bands of the model.
    without : sequence of str
        Names of models on the datasets that are not part of the known sky.
    shift : tuple of int
        Empty pixels to add at the left and at the bottom.

    Attributes
    ----------
    names : list of str
        Names of the datasets that can be used.
    bands : `~gammapy_asid.inputs.bands.Bands`
        Bands, with the angles that suit the pixels.
    pixels : `~gammapy_asid.inputs.field_pixels.FieldPixels`
        Pixels of the field.
    e_min, e_max : `~numpy.ndarray`
        Edges in GeV that the data cover in each band, NaN where absent; shape ``(n_bands,)``.
    """

    def __init__(self, datasets, bands, without=(), shift=(0, 0)):
        self._parts = each_usable(datasets, lambda dataset: _Part(dataset, bands, without))
        self.names = [part.name for part in self._parts]
        self.bands = bands.for_pixels(min(part.grid.size for part in self._parts))
        self.pixels = FieldPixels([part.grid for part in self._parts], self.bands.pixel_size, shift)
        if min(self.pixels.geom.data_shape) < MIN_PIXELS:
            ny, nx = self.pixels.geom.data_shape
            raise ValueError(
                f"The field is too small: {nx} x {ny} pixels of {self.pixels.pixel_size:.2g} deg, "
                f"and a side needs {MIN_PIXELS}: use a wider map."
            )
        self.e_min = np.fmin.reduce([part.e_min for part in self._parts])
        self.e_max = np.fmax.reduce([part.e_max for part in self._parts])

    def reduced(self, seed=0):
        """Datasets on the pixels of the field and in the bands, one after the other.

        Parameters
        ----------
        seed : int
            Seed for the place of counts inside pixels that must be divided.

        Yields
        ------
        reduced : `Reduced`
            One for each of the `names`.
        """
        quadrature, rng = Quadrature(self.e_min, self.e_max), np.random.default_rng(seed)
        for part in self._parts:
            yield part.reduce(self.pixels, quadrature, rng)


@dataclass(frozen=True, kw_only=True)
class Reduced:
    """A dataset on the pixels of the field and in the bands."""

    name: str
    #: Valid counts, and those of the known sky (None without one), shape ``(n_bands, ny, nx)``.
    counts: np.ndarray
    background: np.ndarray | None
    #: Exposure of each pixel in cm2 s, with the weight of the bins and of the part of the pixel that are
    #: valid (the coverage), shape ``(n_bands, ny, nx)``.
    exposure: np.ndarray
    coverage: np.ndarray
    #: Mean exposure of each sub-band over that of its band, shape ``(n_bands, n_sub)``.
    sub_exposure: np.ndarray
    psf: np.ndarray
    #: Side in deg of pixels inside which counts lost their place, and the error of positions that this makes.
    native: float
    place_error: np.ndarray


class _Part:
    """One dataset on its way into the cube.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data.
    bands : `~gammapy_asid.inputs.bands.Bands`
        Bands of the model.
    without : sequence of str
        Names of models that are not part of the known sky.
    """

    def __init__(self, dataset, bands, without):
        dataset = prepare_dataset(dataset)
        self.dataset, self.name, self.bands, self.without = dataset, dataset.name, bands, without
        edges = dataset.counts.geom.axes["energy"].edges.to_value("GeV")
        band = np.searchsorted(bands.edges, np.sqrt(edges[:-1] * edges[1:]), side="right") - 1
        inside = (band >= 0) & (band < len(bands))
        if not inside.any():
            raise EnergyRangeError(
                f"Dataset {dataset.name!r} covers {edges[0]:.4g}-{edges[-1]:.4g} GeV, and the model serves "
                f"{bands.edges[0]:.4g}-{bands.edges[-1]:.4g} GeV: choose another model or energy range."
            )
        self.valid = valid_bins(dataset).reshape(len(band), -1)
        use = inside & self.valid.any(axis=1)
        if not use.any():
            raise ValueError(
                f"Dataset {dataset.name!r} is masked at all energies of the model "
                f"({bands.edges[0]:.4g}-{bands.edges[-1]:.4g} GeV): "
                "widen dataset.mask_safe or dataset.mask_fit."
            )
        self.use, self.valid = use, self.valid[use]
        self.low, self.high, self.band = edges[:-1][use], edges[1:][use], band[use]
        here = self.band[:, None] == np.arange(len(bands))
        self.e_min = np.fmin.reduce(np.where(here, self.low[:, None], np.nan))
        self.e_max = np.fmax.reduce(np.where(here, self.high[:, None], np.nan))
        self.grid = PixelGrid(dataset.counts.geom.to_image(), self.valid.any(axis=0))

    def _used(self, images):
        """Bins of the model's bands, their pixels flattened."""
        return np.asarray(images)[self.use].reshape(self.valid.shape)

    def _per_band(self, images, valid, what):
        """Valid values of the bins added per band, shape ``(n_bands, n_pix)``."""
        images = self._used(images)
        check_counts(images[valid], self.name, what)
        images = np.where(valid, images, 0.0)
        return np.stack([images[self.band == b].sum(axis=0) for b in range(len(self.bands))])

    def _possible(self, known, valid):
        """Pixels that are left where those go that have counts and no prediction."""
        counts = self._used(self.dataset.counts.data)
        bad = impossible_pixels(counts, self._used(known), valid)
        if bad.any():
            warn_of_impossible(self.name, counts[bad].sum(), bad.sum())
        return valid & ~bad

    def reduce(self, pixels, quadrature, rng):
        """Counts, background, exposure and PSF on the pixels of the field, as `Reduced`."""
        regrid = pixels.regrid(self.grid)
        valid = self.valid & regrid.reached
        known = expected_counts(self.dataset, self.without)
        if known is not None:
            valid = self._possible(known, valid)
            known = self._per_band(known, valid, "predicted counts of background and models")
        counts = self._per_band(self.dataset.counts.data, valid, "counts")
        photons, exposures = self._exposure(pixels, quadrature, regrid, valid)
        nodes, psf = psf_nodes(self.dataset.psf, pixels.geom.center_skydir)
        weight = np.einsum("bsq,bsqn->bsn", photons, quadrature.interpolation(nodes))
        psf = normalise_psf(weight @ psf)
        native, error = 0.0, np.zeros(psf.shape[:2])
        if pixels.is_spread(self.grid):
            native = self.grid.spread
            psf, error = smear_psf(psf, native), place_error(psf, native)
        return Reduced(
            name=self.name,
            counts=regrid.scatter(counts, rng),
            background=regrid.spread(known) if known is not None and known.any() else None,
            psf=psf,
            native=native,
            place_error=error,
            **exposures,
        )

    def _exposure(self, pixels, quadrature, regrid, valid):
        """Exposure of each point of the quadrature with its weight, and those of `Reduced` by name."""
        groups = {}
        for i, bin_valid in enumerate(valid):
            groups.setdefault(bin_valid.tobytes(), []).append(i)
        area = pixels.relative_area(self.grid)
        cover = [np.minimum(regrid.spread([valid[bins[0]] * area])[0], 1) for bins in groups.values()]
        nodes, values = exposure_nodes(self.dataset.exposure, pixels, self.grid, regrid)
        anywhere = np.max(cover, axis=0)
        mean = (values * anywhere).sum(axis=(1, 2)) / max(anywhere.sum(), 1e-9)
        weight = quadrature.interpolation(nodes)
        at = weight @ mean
        if np.all(mean > 0):
            # effective areas rise as power laws: interpolate their logarithm
            weight *= (np.exp(weight @ np.log(mean)) / at)[..., None]
            at = weight @ mean
        bin_index = np.searchsorted(self.low, quadrature.energy, side="right") - 1
        in_bin = (quadrature.energy < self.high[bin_index]) & (bin_index >= 0)
        in_bin &= self.band[bin_index] == np.arange(len(self.bands))[:, None, None]

        shape = (len(self.bands), *pixels.geom.data_shape)
        exposure, coverage = np.zeros(shape), np.zeros(shape)
        photons = np.zeros(quadrature.weight.shape)
        for bins, part in zip(groups.values(), cover, strict=True):
            share = quadrature.weight * (in_bin & np.isin(bin_index, bins))
            per_node = np.einsum("bsq,bsqn->bn", share, weight)
            present = np.unique(self.band[bins])
            exposure[present] += part * np.tensordot(per_node[present], values, axes=1)
            coverage[present] = np.maximum(coverage[present], part)
            photons += share * at * part.sum()
        total = photons.sum(axis=(1, 2))[:, None] * quadrature.weight.sum(axis=2)
        sub_exposure = np.divide(photons.sum(axis=2), total, out=np.zeros_like(total), where=total > 0)
        return photons, {"exposure": exposure, "coverage": coverage, "sub_exposure": sub_exposure}
