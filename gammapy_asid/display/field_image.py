# Licensed under a 3-clause BSD style license - see LICENSE
"""What the picture of a field shows: significance where a background is known, else smoothed counts."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.convolution import Tophat2DKernel
from gammapy.maps import Map
from gammapy.stats import CashCountsStatistic

from ..inputs.datasets import as_list
from ..inputs.expected_counts import expected_counts
from ..inputs.picture_maps import PICTURE_E_MIN

__all__ = ["FieldImage", "counts_image", "field_image", "own_counts_image", "score_image"]

#: Energies and radius of the counts that come with candidates, in their ``meta``.
PICTURE = "picture_range", "picture_radius"

#: Radius in deg within which counts are added where the PSF is not known: that of the Fermi-LAT above a few
#: GeV. Half of it is the width of the Gaussian that smooths counts.
RADIUS = 0.2

#: Smallest and largest radius in deg: more would blend what can be told apart.
RADII = 0.03, 0.3

#: A radius in pixels below which the sum is that of a few pixels only, and above which it takes long.
PIXELS = 1.5, 30


@dataclass(frozen=True)
class FieldImage:
    """Image of a field.

    Parameters
    ----------
    image : `~gammapy.maps.Map`
        Image.
    label : str
        What its values are, with their unit.
    kind : {"significance", "counts", "score"}
        What they are in one word.
    energy_range : tuple of float or None
        Energies of the counts in GeV, None where they are not known.
    """

    image: Map
    label: str
    kind: str
    energy_range: tuple | None = None

    @property
    def limits(self):
        """Lowest and highest value that is drawn: a few bright pixels must not hide the field."""
        if self.kind == "score":
            return 0.0, 1.0
        data = self.image.data[np.isfinite(self.image.data)]
        if data.size == 0:
            return 0.0, 1.0
        high = float(np.percentile(data, 99.8))
        if self.kind == "significance":
            return 0.0, max(high, 5.0)
        low = float(np.percentile(data, 1))
        return low, high if high > low else low + 1


def field_image(datasets):
    """Significance above the known sky where every dataset has one, else smoothed counts.

    The known sky is the background with all models of the datasets: sources among them do not stand out.

    Parameters
    ----------
    datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
        Data: those with the pixels of the first are added, such as bins of time or types of events.

    Returns
    -------
    image : `FieldImage`
        Image of the counts above 1 GeV, or of all where there are none.
    """
    datasets = _of_one_geometry(datasets)
    counts = _flat(_added([_image(dataset.counts, dataset) for dataset in datasets]))
    edges = datasets[0].counts.geom.axes["energy"].edges.to_value("GeV")
    energy_range = tuple(float(f"{e:.6g}") for e in (edges[_first_bin(datasets[0].counts)], edges[-1]))
    known, radius = [_known_sky(dataset) for dataset in datasets], _psf_radius(datasets[0])
    if any(sky is None for sky in known):
        return image_of_maps(counts, None, energy_range, radius)
    sky = _flat(_added([_image(m, dataset) for m, dataset in zip(known, datasets, strict=True)]))
    return image_of_maps(counts, sky, energy_range, radius)


def image_of_maps(counts, background, energy_range, radius=None):
    """Significance of counts above a background, else smoothed counts.

    Parameters
    ----------
    counts : `~gammapy.maps.Map`
        Image of counts.
    background : `~gammapy.maps.Map` or None
        Counts that the known sky predicts there.
    energy_range : tuple of float or None
        Energies of the counts in GeV.
    radius : float, optional
        Radius in deg within which counts are added, about that of the PSF.

    Returns
    -------
    image : `FieldImage`
        Image.
    """
    radius = float(np.clip(RADIUS if radius is None else radius, *RADII))
    if background is None or not np.any(background.data > 0):
        return _smoothed(counts, energy_range, radius)
    pixel = np.max(np.abs(counts.geom.pixel_scales)).to_value("deg")
    pixels = float(np.clip(radius / pixel, *PIXELS))
    kernel = Tophat2DKernel(pixels, mode="oversample", factor=10).array
    kernel /= kernel.max()
    seen, sky = (np.maximum(m.convolve(kernel).data, 0) for m in (counts, background))
    valid = background.data > 0
    data = np.full(counts.data.shape, np.nan)
    data[valid] = CashCountsStatistic(seen[valid], sky[valid]).sqrt_ts
    label = f"Significance above the known sky, within {pixels * pixel:.2g}°"
    return FieldImage(Map.from_geom(counts.geom, data=data), label, "significance", energy_range)


def own_counts_image(sources, above_sky=True):
    """Image of the counts that come with sources.

    Parameters
    ----------
    sources : `~gammapy_asid.Candidates`
        Sources with the map ``counts``, and ``background`` where it is known.
    above_sky : bool
        Whether the significance above the known sky is wanted, if there is one.

    Returns
    -------
    image : `FieldImage`
        Image.
    """
    maps = sources.maps
    background = maps["background"] if above_sky and "background" in maps else None
    return image_of_maps(maps["counts"], background, *map(sources.meta.get, PICTURE))


def score_image(sources):
    """Image of the score that comes with sources.

    Parameters
    ----------
    sources : `~gammapy_asid.Candidates`
        Sources with the map ``score``.

    Returns
    -------
    image : `FieldImage`
        Image.
    """
    return FieldImage(sources.maps["score"], "Probability of a source", "score")


def counts_image(datasets):
    """Counts above 1 GeV, or all where there are none, smoothed by about the PSF.

    Parameters
    ----------
    datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
        Data: those with the pixels of the first are added, such as bins of time or types of events.

    Returns
    -------
    image : `~gammapy.maps.Map`
        Image.
    """
    datasets = _of_one_geometry(datasets)
    radius = float(np.clip(_psf_radius(datasets[0]), *RADII))
    return _smoothed(_added([_image(dataset.counts) for dataset in datasets]), None, radius).image


def _flat(m):
    """Image on pixels that can be drawn: those of HEALPix become a map of the whole sky."""
    return m.to_wcs(proj="AIT", oversample=1, fill_nan=False) if m.geom.is_hpx else m


def _of_one_geometry(datasets):
    first, *others = as_list(datasets)
    geom = first.counts.geom.to_image()
    return [first, *(other for other in others if other.counts.geom.to_image() == geom)]


def _psf_radius(dataset):
    """Radius in deg that holds 68 % of the photons of a point at the mean energy of the counts."""
    counts = dataset.counts
    number = counts.data.reshape(len(counts.data), -1).sum(axis=1)
    number[: _first_bin(counts)] = 0
    if dataset.psf is None or not number.sum() > 0:
        return RADIUS
    energy = counts.geom.axes["energy"].center
    mean = np.exp(np.average(np.log(energy.to_value("GeV")), weights=number)) * u.GeV
    radius = dataset.psf.containment_radius(0.68, mean, position=counts.geom.center_skydir)
    radius = float(np.squeeze(radius.to_value("deg")))
    return radius if np.isfinite(radius) and radius > 0 else RADIUS


def _smoothed(counts, energy_range, radius):
    image = counts if counts.geom.is_hpx else counts.smooth(radius / 2 * u.deg)
    label = f"Counts per pixel, smoothed by {radius / 2:.2g}°"
    return FieldImage(image, label, "counts", energy_range)


def _known_sky(dataset):
    """Counts of the known sky of a dataset, None where nothing is known."""
    sky = expected_counts(dataset)
    if sky is None or not np.any(sky > 0):
        return None
    return Map.from_geom(dataset.counts.geom, data=sky)


def _first_bin(m):
    axis = m.geom.axes["energy"]
    first = int(np.searchsorted(axis.edges[:-1].to_value("GeV"), PICTURE_E_MIN * 0.999))
    return first if first < axis.nbin else 0


def _image(m, dataset=None):
    """Sum over the energies of the picture, of what the mask of the dataset holds."""
    if dataset is not None and dataset.mask_safe is not None:
        m = m * dataset.mask_safe
    return m.slice_by_idx({"energy": slice(_first_bin(m), None)}).sum_over_axes(keepdims=False)


def _added(images):
    total = images[0].copy()
    for image in images[1:]:
        total.data = total.data + image.data
    return total
