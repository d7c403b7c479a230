# Licensed under a 3-clause BSD style license - see LICENSE
"""Sources of a field with their fit: what the ensembles see."""

from dataclasses import dataclass

import numpy as np
import torch

from ...inputs.batch import field_batch
from ...inputs.psf import psf_tables
from ...stats.point_fit import fit_sources
from ...utils.devices import Movable
from .features import source_features

__all__ = ["FittedSources", "GIVEN_ERROR", "fit_batch", "fit_field"]

#: Bands with a smaller test statistic tell nothing of the position.
TELLING_TS = 4.0
#: Error of positions that are given, in nominal finest pixels.
GIVEN_ERROR = 0.1


@dataclass
class FittedSources(Movable):
    """Sources of one field with their fit and features.

    Parameters
    ----------
    response : `~gammapy_asid.inputs.Response`
        Instrument response of the field.
    fit : `~gammapy_asid.stats.point_fit.PointFit`
        Fit.
    features : `~gammapy_asid.tasks.measurement.features.SourceFeatures`
        Features.
    power_laws : `~gammapy_asid.stats.spectral_fit.PowerLaws`
        Power laws.
    given : bool
        Whether the positions were given, else the sources were detected.
    """

    response: object
    fit: object
    features: object
    power_laws: object
    given: bool

    @property
    def mode(self):
        """Which calibration holds."""
        return "given" if self.given else "detected"


def fit_batch(batch, response, field, x, y, score, sigma, free_position=True, tables=None, fit=None):
    """Fit sources of fields of one instrument and collect what the ensembles see.

    Parameters
    ----------
    batch : `~gammapy_asid.inputs.batch.FieldBatch`
        Fields.
    response : `~gammapy_asid.inputs.Response`
        Instrument response of the fields.
    field, x, y : array-like
        Field and position in finest pixels of each source, shape ``(n,)``.
    score : array-like or None
        Calibrated scores of the detection; None if the positions are given.
    sigma : array-like
        Position errors per axis in finest pixels.
    free_position : bool
        Fit the positions.
    tables : `~torch.Tensor`, optional
        Result of `~gammapy_asid.inputs.psf.psf_tables`, if at hand.
    fit : `~gammapy_asid.stats.point_fit.PointFit`, optional
        Fit of the sources, if at hand.

    Returns
    -------
    sources : `FittedSources`
        Fitted sources.
    """
    field = torch.as_tensor(field, device=batch.device)
    given = score is None
    score = np.full(len(field), np.nan) if given else score
    columns = (torch.as_tensor(np.asarray(v), dtype=torch.float32) for v in (x, y, score, sigma))
    x, y, score, sigma = (v.to(batch.device) for v in columns)
    tables = psf_tables(response).to(batch.device) if tables is None else tables
    fit = fit_sources(batch, tables, field, x, y, free_position) if fit is None else fit
    features, power_laws = source_features(batch, response, field, x, y, score, sigma, fit)
    return FittedSources(response, fit, features, power_laws, given)


def fit_field(cube, x, y, score=None, sigma=None, free_position=True, device="cpu"):
    """Fit sources of one field, see `fit_batch`.

    Parameters
    ----------
    cube : `~gammapy_asid.inputs.BandCube`
        Field.
    x, y, score, sigma, free_position
        See `fit_batch`. By default the positions are given, to a tenth of a nominal pixel.
    device : str or `~torch.device`
        Where they are fitted.
    """
    nominal = cube.bands.pixel_size / cube.response.pixel_size
    sigma = np.full(len(x), GIVEN_ERROR * nominal) if sigma is None else sigma
    field = torch.zeros(len(x), dtype=torch.long)
    batch = field_batch([cube]).to(device)
    return fit_batch(batch, cube.response, field, x, y, score, sigma, free_position)


def fitted_place_error(response, fit):
    """Error in deg of fitted positions along each axis by counts that lost their place, shape ``(n,)``.

    It is the same for all photons of a source, and largest in the bands with the sharpest images, which say
    most on the position.

    Parameters
    ----------
    response : `~gammapy_asid.inputs.Response`
        Instrument response.
    fit : `~gammapy_asid.stats.point_fit.PointFit`
        Fit of ``n`` sources.
    """
    error = np.broadcast_to(response.place_error, fit.ts.shape)
    return np.where(fit.ts.cpu().numpy() > TELLING_TS, error, 0).max(axis=1)
