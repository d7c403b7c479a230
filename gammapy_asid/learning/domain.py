# Licensed under a 3-clause BSD style license - see LICENSE
"""Whether a field lies inside what a model was trained for."""

from dataclasses import dataclass

import numpy as np

from ..inputs.batch import field_batch
from ..inputs.psf import psf_radius
from ..inputs.response import INDEX
from ..stats.known_sky import known_sky

__all__ = ["Domain", "beyond_bands", "field_domain", "sky_levels"]

# How far a field may leave the range of a model's training before purity and completeness are no longer
# those of the card: measured with the model 'lat' on other instruments and skies ("Outside the training" in
# docs/benchmarks_detection.md).
#: Factor on the pixel size. Conversion keeps data at 0.7-2.5 nominal pixels, beyond which all angles grow.
PIXEL_TOLERANCE = 1.4

#: Factor on the 68 % radius: at 1.4 purity and completeness stay, at 2 a third of the sources is lost.
PSF_TOLERANCE = 1.4

#: Factors on the exposure, down and up: purity stays within .05.
EXPOSURE_TOLERANCE = (10.0, 3.0)

#: Factor on the brightest sky of the training: the rate of false candidates is doubled at 4.
SKY_TOLERANCE = 2.0

#: Share of the photons in energy bins that reach beyond the band of their centre.
BINS_TOLERANCE = 0.2

#: Factors from which on data are those of another instrument: two thirds of the sources are lost; no time of
#: observation is so long. Short observations are no other instrument.
FAR_PSF, FAR_EXPOSURE = 3.0, 5.0

#: Factors that weigh as much where models are compared: a shorter observation, a brighter sky.
SHORT, BRIGHT = 100.0, 10.0

#: Bands with at least this share of the photons of a source of average spectrum tell the instrument.
TELLING_SHARE = 0.1

#: Side in finest pixels of the parts of a field whose sky is compared: that of a patch of the training.
PART = 64


@dataclass(frozen=True)
class Domain:
    """How a field lies to the training of a model.

    Parameters
    ----------
    problems : tuple of str
        What lies outside, in words; empty if nothing does.
    is_far : bool
        Whether the data are those of another instrument.
    departure : float
        How far from the training they are, to compare models.
    coarse_bins : bool
        Whether energy bins are too few or too wide for the bands.
    bright : `~numpy.ndarray`
        Parts of the field with a brighter sky than any of the training, bool of shape ``(ny, nx)``.
    """

    problems: tuple
    is_far: bool
    departure: float
    coarse_bins: bool
    bright: np.ndarray

    def is_outside(self, x, y):
        """Whether positions lie outside: all if the instrument does, else those in parts with a bright sky.

        Parameters
        ----------
        x, y : `~numpy.ndarray`
            Finest pixels, shape ``(n,)``.
        """
        if len(self.problems) > self.bright.any():
            return np.ones(len(x), dtype=bool)
        at = [np.rint(v).astype(int) // PART for v in (y, x)]
        return self.bright[tuple(np.clip(v, 0, n - 1) for v, n in zip(at, self.bright.shape, strict=True))]


def field_domain(card, cube):
    """Compare a field with the training of a model.

    Parameters
    ----------
    card : `~gammapy_asid.learning.card.Card`
        Card of the model.
    cube : `~gammapy_asid.inputs.BandCube`
        Field.

    Returns
    -------
    domain : `Domain`
        Comparison.
    """
    response = cube.response
    problems, distances = [], []
    photons = _photons(response, response.e_min, response.e_max)
    telling = photons >= TELLING_SHARE * photons.sum()
    # Angles of coarse data have grown
    scale = max(response.bands.pixel_size / card.to_bands().pixel_size, 1)

    def compare(name, unit, values, limits, tolerance):
        factor = _log_factor(values, limits)
        down, up = np.log(np.broadcast_to(tolerance, 2))
        excess = np.maximum(factor - up, -factor - down)
        worst = np.argmax(excess)
        if excess[worst] > 0:
            where = f" of {_energies(response, worst)}" if len(factor) > 1 else ""
            low, high = limits[worst]
            problems.append(
                f"the {name}{where}, {values[worst]:.3g} {unit}, is outside {low:.3g}-{high:.3g} {unit}, for "
                f"which model {card.name!r} was trained"
            )
        return factor

    size = np.array([response.pixel_size])
    compare("pixel size", "deg", size, scale * np.array([card.pixel_size]), PIXEL_TOLERANCE)
    radius = compare("PSF radius", "deg", psf_radius(response), scale * np.array(card.psf_r68), PSF_TOLERANCE)
    area = compare("exposure", "cm2 s", response.exposure.mean(axis=1), card.exposure, EXPOSURE_TOLERANCE)
    distances += [np.abs(radius[telling]).max() / np.log(FAR_PSF)]
    distances += [(-area[telling]).max() / np.log(SHORT), area[telling].max() / np.log(FAR_EXPOSURE)]
    is_far = distances[0] > 1 or area[telling].max() > np.log(FAR_EXPOSURE)

    share = beyond_bands(response)
    coarse_bins = share > card.beyond_bands + BINS_TOLERANCE
    if coarse_bins:
        problems.append(
            f"{share:.0%} of a source's photons are in energy bins that reach beyond the bands of model "
            f"{card.name!r}, {', '.join(f'{edge:g}' for edge in response.bands.edges)} GeV"
        )
    bright = np.zeros((1, 1), dtype=bool)
    if card.intensity:
        intensity = sky_levels(field_batch([cube]), [response])[1][0]
        high = np.array(card.intensity)[:, 1]
        ratio = np.nan_to_num(intensity / np.where(high > 0, high, np.inf)[:, None, None])
        bright = ratio.max(axis=0) > SKY_TOLERANCE
        band, *part = np.unravel_index(np.argmax(ratio), ratio.shape)
        distances.append(np.log(max(ratio.max(), 1)) / np.log(BRIGHT))
        if bright.any():
            unit = "cm-2 s-1 sr-1 GeV-1"
            problems.append(
                f"the sky of {_energies(response, band)} has {intensity[band, *part]:.2g} {unit}, above the "
                f"{high[band]:.2g} {unit} for which model {card.name!r} was trained"
            )
    return Domain(tuple(problems), bool(is_far), float(max(distances)), bool(coarse_bins), bright)


def sky_levels(batch, responses, indices=None, part=PART):
    """Known sky in the parts of fields: median counts of a pixel, and intensity.

    Parameters
    ----------
    batch : `~gammapy_asid.inputs.batch.FieldBatch`
        Fields.
    responses : list of `~gammapy_asid.inputs.Response`
        Instruments.
    indices : sequence of int, optional
        Instrument of each field, by default the first.
    part : int
        Side of the parts in finest pixels.

    Returns
    -------
    counts : `~numpy.ndarray`
        Median over the valid pixels of each band, shape ``(n, n_bands, ny, nx)``; NaN where there are none.
    intensity : `~numpy.ndarray`
        In 1/(cm2 s sr GeV) at the logarithmic centre of each nominal band, for a power law of index `INDEX`.
    """
    n = len(batch)
    indices = np.zeros(n, int) if indices is None else indices
    bands = responses[0].bands
    columns, areas = [], []
    for sky, mask, exposure, level in zip(
        known_sky(batch), batch.mask, batch.exposure, bands.levels, strict=True
    ):
        # Partly valid pixels would count for a fainter sky
        full = np.where(mask.numpy() > 0.99, 1.0, np.nan)
        side = part >> level
        columns.append(_medians(sky.numpy() * full, side))
        areas.append(_medians(exposure.numpy() * full, side) * 4**level)
    counts, areas = np.stack(columns, 1), np.stack(areas, 1)
    nominal = np.sqrt(np.multiply(bands.edges[:-1], bands.edges[1:]))
    unit = []
    for index in indices:
        response = responses[index]
        pixel = np.radians(response.pixel_size) ** 2
        unit.append(_photons(response, response.e_min, response.e_max) * nominal**INDEX * pixel)
    with np.errstate(divide="ignore", invalid="ignore"):
        intensity = counts / (areas * np.array(unit)[:, :, None, None])
    return counts, np.where(np.isfinite(intensity), intensity, np.nan)


def beyond_bands(response):
    """Share of the photons of a source that are in energy bins beyond the band that holds the bin's centre.

    Parameters
    ----------
    response : `~gammapy_asid.inputs.Response`
        Instrument response.
    """
    edges = np.array(response.bands.edges)
    low, high = np.fmax(response.e_min, edges[:-1]), np.fmin(response.e_max, edges[1:])
    total = _photons(response, response.e_min, response.e_max)
    return 1 - _photons(response, low, high).sum() / total.sum()


def _photons(response, low, high):
    """Photons of a power law of index `INDEX`, 1 / (cm2 s GeV) at 1 GeV, between energies of each band."""
    integral = (low ** (1 - INDEX) - high ** (1 - INDEX)) / (INDEX - 1)
    return np.where(response.present, integral, 0) * response.exposure.mean(axis=1)


def _medians(images, side):
    """Medians of the parts of images, NaN where none is valid, shape ``(n, ny, nx)``."""
    n, ny, nx = images.shape
    low_y, low_x = (range(0, max(size - side // 2, 1), side) for size in (ny, nx))
    result = np.full((n, len(low_y), len(low_x)), np.nan)
    for i, y in enumerate(low_y):
        for j, x in enumerate(low_x):
            # The last part holds what is left over
            bottom = ny if i == len(low_y) - 1 else y + side
            right = nx if j == len(low_x) - 1 else x + side
            values = images[:, y:bottom, x:right].reshape(n, -1)
            valid = np.isfinite(values).any(axis=1)
            result[valid, i, j] = np.nanmedian(values[valid], axis=1)
    return result


def _log_factor(values, limits):
    """Logarithm of the factor by which values leave their limits, 0 inside and for absent bands."""
    values, (low, high) = np.nan_to_num(np.asarray(values, dtype=float)), np.array(limits, dtype=float).T
    known = (values > 0) & (high > 0)
    values, low, high = (np.where(known, v, 1) for v in (values, low, high))
    return np.log(np.maximum(values / high, 1)) - np.log(np.maximum(low / values, 1))


def _energies(response, band):
    return f"{response.e_min[band]:.3g}-{response.e_max[band]:.3g} GeV"


def ranges(values):
    """Smallest and largest value of each band.

    Parameters
    ----------
    values : `~numpy.ndarray`
        Shape ``(n, n_bands)``, NaN in absent bands.

    Returns
    -------
    ranges : tuple of tuple of float
        One pair a band, 0 to 0 where it is always absent.
    """
    low = np.min(np.nan_to_num(values, nan=np.inf), axis=0)
    high = np.max(np.nan_to_num(values, nan=-np.inf), axis=0)
    return tuple((float(a), float(b)) if a <= b else (0.0, 0.0) for a, b in zip(low, high, strict=True))
