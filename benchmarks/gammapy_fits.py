# Licensed under a 3-clause BSD style license - see LICENSE
"""Point sources and fits with Gammapy alone, as its users write them."""

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

__all__ = ["candidate_ts", "point_source"]

#: Photons of the start value of each source.
START_COUNTS = 20
#: Photon index at the start.
INDEX = 2.3


def point_source(position, flux, energies, index_range=(1, 5), reach=None, name=None):
    """Point with a power law.

    Parameters
    ----------
    position : `~astropy.coordinates.SkyCoord`
        Position, in whose frame the model is.
    flux : `~astropy.units.Quantity`
        Photon flux at the start.
    energies : `~astropy.units.Quantity`
        Two energies between which it is.
    index_range : tuple of float
        Bounds of the photon index.
    reach : float, optional
        Bounds of the free position along each axis in deg: without any the first step of Minuit leaves the
        field. Default is a fixed position.
    name : str, optional
        Name.

    Returns
    -------
    model : `~gammapy.modeling.models.SkyModel`
        Model.
    """
    spectrum = PowerLaw2SpectralModel(
        amplitude=flux.to("cm-2 s-1"), index=INDEX, emin=energies[0], emax=energies[1]
    )
    spectrum.amplitude.min, (spectrum.index.min, spectrum.index.max) = 0, index_range
    place = PointSpatialModel.from_position(position)
    if reach is None:
        place.freeze()
    else:
        for angle in (place.lon_0, place.lat_0):
            angle.min, angle.max = angle.value - reach, angle.value + reach
    return SkyModel(spectral_model=spectrum, spatial_model=place, name=name)


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
    """Point source at a fixed position."""
    flux = START_COUNTS / np.median(dataset.exposure.quantity[dataset.exposure.data > 0])
    model = point_source(position.galactic, flux, dataset.counts.geom.axes["energy"].edges[[0, -1]])
    model.spectral_model.index.frozen = not free_index
    return model
