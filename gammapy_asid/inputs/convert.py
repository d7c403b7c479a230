# Licensed under a 3-clause BSD style license - see LICENSE
"""From Gammapy datasets to the band cube."""

import logging
from dataclasses import replace

import numpy as np

from .bands import LAT_BANDS, BandCube, Response, cube_from_arrays
from .field_parts import FieldParts
from .response import RAD, normalise_psf

__all__ = ["to_band_cube"]

log = logging.getLogger(__name__)


def to_band_cube(datasets, bands=LAT_BANDS, seed=0, without=(), shift=(0, 0)):
    """Bring the datasets of one field to the bands of a model.

    An energy bin belongs to the band of its logarithmic centre. Several datasets
    (event types, energy ranges, pixel sizes) are added: counts and predicted
    background summed, exposures summed, point spread functions averaged over
    the photons. Energy dispersion is not applied.

    Parameters
    ----------
    datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
        Data of one field; left unchanged. Masked data are left out. A `BandCube` is returned as it
        is, so that several estimators can share one.
    bands : `~gammapy_asid.inputs.bands.Bands`
        Bands of the model. For data with coarse pixels, see `Bands.for_pixels`, their angles grow.
    seed : int
        Seed for the place of counts inside pixels that must be divided.
    without : sequence of str
        Names of models on the datasets that are not part of the known sky.
    shift : tuple of int
        Empty pixels to add at the left and at the bottom: bands of coarser pixels then join others.

    Returns
    -------
    cube : `~gammapy_asid.inputs.bands.BandCube`
        Valid counts within the bands are conserved; pixels without exposure are
        not valid. ``background`` is the
        prediction of all that is known, background and models; None unless
        every dataset has one that is not zero.

    Raises
    ------
    TypeError
        If the datasets are no map datasets.
    ValueError
        If a part of a dataset is missing or unusable, if the energies are not
        those of the bands, or if the field is too small, too large or not one.
    """
    if isinstance(datasets, BandCube):
        if not datasets.bands.same_energies(bands):
            raise ValueError("The band cube has other bands than the model: make it with those of the model")
        return datasets
    return _combined(FieldParts(datasets, bands, without, shift), seed)


def _combined(field, seed):
    """Add the parts of a field on their common pixels."""
    counts = exposure = coverage = background = 0
    photons, known, parts = [], [], []
    for part in field.reduced(seed):
        # At once: the images of many bins of time would fill the memory
        counts, exposure = counts + part.counts, exposure + part.exposure
        coverage = np.maximum(coverage, part.coverage)
        known.append(part.background is not None)
        background = background + part.background if all(known) else None
        photons.append(part.exposure.sum(axis=(1, 2))[:, None] * part.sub_exposure)
        parts.append(replace(part, counts=None, background=None, exposure=None, coverage=None))
    area = np.maximum(coverage.sum(axis=(1, 2)), 1e-9)
    mean = exposure.sum(axis=(1, 2)) / area
    if not mean.any():
        raise ValueError(
            "The exposure is zero everywhere in the valid part of the field: "
            "check dataset.exposure and its unit."
        )
    # a band without exposure is as good as absent
    gone = ~(mean > 0)
    e_min, e_max = np.where(gone, np.nan, field.e_min), np.where(gone, np.nan, field.e_max)
    share = [own / area[:, None] for own in photons]
    psf = sum(s[:, :, None] * part.psf for s, part in zip(share, parts, strict=True))
    response = Response(
        bands=field.bands,
        e_min=e_min,
        e_max=e_max,
        exposure=sum(share),
        rad=RAD,
        psf=normalise_psf(psf),
        pixel_size=field.pixels.pixel_size,
        native=max(part.native for part in parts),
        place_error=_photon_mean(share, [part.place_error for part in parts]),
    )
    if any(known) and not all(known):
        log.warning("Not all datasets have a background or models: the known sky is left out.")
    cube = cube_from_arrays(
        counts,
        field.pixels.geom,
        response,
        background=background,
        mask=exposure > 0,
        exposure=exposure / np.where(gone, 1, mean)[:, None, None],
    )
    cube.meta["datasets"] = field.names
    return cube


def _photon_mean(share, values):
    """Mean over the photons of parts and sub-bands, arrays of shape ``(n_bands, n_sub)`` for each part."""
    total = np.sum(share, axis=(0, 2))
    return np.sum([s * v for s, v in zip(share, values, strict=True)], axis=(0, 2)) / np.where(
        total, total, 1
    )
