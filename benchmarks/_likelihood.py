# Licensed under a 3-clause BSD style license - see LICENSE
"""Likelihood test of candidates with Gammapy."""

import astropy.units as u
import numpy as np
from gammapy.datasets import Datasets
from gammapy.modeling import Fit
from gammapy.modeling.models import (
    FoVBackgroundModel,
    Models,
    PointSpatialModel,
    PowerLaw2SpectralModel,
    SkyModel,
)

__all__ = ["candidate_ts"]

#: Photons of the start value of each source.
START_COUNTS = 20


def candidate_ts(dataset, positions, index, width=4):
    """Test statistic of one candidate with its neighbours and the background free.

    The position is fixed. Neighbours have the photon index 2.3, the candidate's own is
    free where there is more than one energy bin.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data of the field, with background; left unchanged.
    positions : `~astropy.coordinates.SkyCoord`
        All candidates, shape ``(n,)``.
    index : int
        The candidate to test.
    width : float
        Side of the region of the fit in deg.

    Returns
    -------
    ts : float
        Twice the logarithm of the likelihood ratio with and without the candidate.
    """
    own = positions[index]
    cutout = dataset.cutout(own, width * u.deg, name="cutout")
    inside = cutout.counts.geom.to_image().contains(positions)
    inside[index] = False
    fixed = [FoVBackgroundModel(dataset_name=cutout.name)]
    fixed += [_source(cutout, position) for position in positions[inside]]
    cutout.models = Models(fixed)
    without = Fit().optimize(Datasets([cutout])).total_stat
    source = _source(cutout, own, free_index=cutout.counts.geom.axes["energy"].nbin > 1)
    cutout.models = Models([*fixed, source])
    return max(0.0, without - Fit().optimize(Datasets([cutout])).total_stat)


def _source(dataset, position, free_index=False):
    """Point source at a fixed position with a power law in photon flux."""
    edges = dataset.counts.geom.axes["energy"].edges
    flux = START_COUNTS / np.median(dataset.exposure.quantity[dataset.exposure.data > 0])
    spectrum = PowerLaw2SpectralModel(amplitude=flux, index=2.3, emin=edges[0], emax=edges[-1])
    spectrum.amplitude.min = 0
    spectrum.index.min, spectrum.index.max, spectrum.index.frozen = 1, 5, not free_index
    place = PointSpatialModel.from_position(position.galactic)
    place.lon_0.frozen = place.lat_0.frozen = True
    return SkyModel(spectral_model=spectrum, spatial_model=place)
