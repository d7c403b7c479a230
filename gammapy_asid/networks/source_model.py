# Licensed under a 3-clause BSD style license - see LICENSE
"""Trained ensembles for position and flux, and their run on a band cube."""

from dataclasses import dataclass

import numpy as np
import torch

from ..evaluation.uncertainty import apply_additive
from ..simulation.kernels import psf_tables
from ..weights import EnsembleCard, ensemble_path, load_card
from .ensembles import Ensemble, EnsembleConfig, ensemble_moments
from .fields import field_batch
from .loading import load_network
from .source_features import fitted_counts, fitted_significance, source_features
from .source_fit import fit_sources
from .spectral_fit import fit_power_laws, flux_scale

__all__ = [
    "EMPTY_LEVELS",
    "FAINTEST_SCORE",
    "FLUX_LEVELS",
    "GIVEN_ERROR",
    "POSITION_LEVELS",
    "SPREADS",
    "WIDE",
    "FittedSources",
    "Fluxes",
    "Positions",
    "SourceEnsemble",
    "calibrated_quantiles",
    "calibration_key",
    "fit_batch",
    "fit_field",
    "flux_quantiles",
    "flux_significance",
    "flux_variables",
]

#: Ways to the spread of a flux: two-step mean-variance estimation, or the scatter of the means alone.
SPREADS = ("mean-variance", "ensemble")

#: Probabilities of the position ellipses.
POSITION_LEVELS = (0.68, 0.95)
#: Quantiles of the flux: both ends of the 95 % and the 68 % interval, the upper limit, and the estimate. The
#: first are those of the simulated sky, where faint sources are many; the estimate is the median with all
#: fluxes equally likely, so that it is right for sources of a given true flux.
FLUX_LEVELS = (0.025, 0.16, 0.84, 0.975, 0.95, 0.5)
#: Shares of the empty places whose intervals of 68 % and of 95 % hold zero.
EMPTY_LEVELS = (0.68, 0.975)
#: Ranges of energies wider than this factor are calibrated apart from narrower ones.
WIDE = 12.0
# Factor on the brightest sources of the calibration beyond which estimates are low: by .1 at 2, .4 at 25.
BRIGHTER = 2.0
#: Candidates from this calibrated score on are fitted together; fainter ones are no neighbours.
FAINTEST_SCORE = 0.1
#: Error of positions that are given, in nominal finest pixels.
GIVEN_ERROR = 0.1
#: What is added to the key of a calibration by the predicted spread, for those of other variables.
PARTS = ("", " significance", " flux")
# Bands with a smaller test statistic tell nothing of the position.
MIN_TS = 4.0
# Lowest coordinate of a flux that has a significance, of limits and estimates.
FAINTEST_COORDINATE = 0.02


@dataclass
class Positions:
    """Refined positions, arrays with one row per source.

    Parameters
    ----------
    x, y : `~numpy.ndarray`
        Position in finest pixels, shape ``(n,)``.
    covariance : `~numpy.ndarray`
        Covariance in finest pixels, shape ``(n, 2, 2)``.
    scale : `~numpy.ndarray`
        Squared deviation, in units of the covariance, that holds the source with the
        probabilities `POSITION_LEVELS`; shape ``(n, 2)``.
    """

    x: np.ndarray
    y: np.ndarray
    covariance: np.ndarray
    scale: np.ndarray


@dataclass
class Fluxes:
    """Photon fluxes in one range of energies, arrays of shape ``(n,)`` in 1 / (cm2 s).

    Parameters
    ----------
    flux : `~numpy.ndarray`
        Flux.
    low95, low68, high68, high95 : `~numpy.ndarray`
        Ends of the intervals.
    upper_limit : `~numpy.ndarray`
        95 % upper limit.
    """

    flux: np.ndarray
    low95: np.ndarray
    low68: np.ndarray
    high68: np.ndarray
    high95: np.ndarray
    upper_limit: np.ndarray


@dataclass
class FittedSources:
    """Sources of one field with their fit and features.

    Parameters
    ----------
    response : `~gammapy_asid.inputs.Response`
        Instrument response of the field.
    fit : `~gammapy_asid.networks.source_fit.SourceFit`
        Fit.
    features : `~gammapy_asid.networks.source_features.SourceFeatures`
        Features.
    power_laws : `~gammapy_asid.networks.spectral_fit.PowerLaws`
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
    batch : `~gammapy_asid.networks.FieldBatch`
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
        Result of `~gammapy_asid.simulation.kernels.psf_tables`, if at hand.
    fit : `~gammapy_asid.networks.source_fit.SourceFit`, optional
        Fit of the sources, if at hand.

    Returns
    -------
    sources : `FittedSources`
        Fitted sources.
    """
    field = torch.as_tensor(field)
    given = score is None
    score = np.full(len(field), np.nan) if given else score
    x, y, score, sigma = (torch.as_tensor(np.asarray(v), dtype=torch.float32) for v in (x, y, score, sigma))
    tables = psf_tables(response) if tables is None else tables
    fit = fit_sources(batch, tables, field, x, y, free_position) if fit is None else fit
    features, power_laws = source_features(batch, response, field, x, y, score, sigma, fit)
    return FittedSources(response, fit, features, power_laws, given)


def fit_field(cube, x, y, score=None, sigma=None, free_position=True):
    """Fit sources of one field, see `fit_batch`.

    Parameters
    ----------
    cube : `~gammapy_asid.inputs.BandCube`
        Field.
    x, y, score, sigma, free_position
        See `fit_batch`. By default the positions are given, to a tenth of a nominal pixel.
    """
    nominal = cube.bands.pixel_size / cube.response.pixel_size
    sigma = np.full(len(x), GIVEN_ERROR * nominal) if sigma is None else sigma
    field = torch.zeros(len(x), dtype=torch.long)
    return fit_batch(field_batch([cube]), cube.response, field, x, y, score, sigma, free_position)


class SourceEnsemble:
    """Ensemble with its card, ready to run.

    Parameters
    ----------
    card : `~gammapy_asid.weights.EnsembleCard`
        Card.
    ensemble : `~gammapy_asid.networks.ensembles.Ensemble`
        Ensemble.
    """

    def __init__(self, card, ensemble):
        self.card, self.ensemble = card, ensemble.eval()

    def __repr__(self):
        return f"<SourceEnsemble {self.card.name!r} {self.card.kind}, version {self.card.version}>"

    @classmethod
    def load(cls, model, kind):
        """Load the ensemble of a model.

        Parameters
        ----------
        model : str or path
            Name or weight file of the detection model.
        kind : {"position", "flux"}
            Ensemble.

        Raises
        ------
        FileNotFoundError
            If the model has no such ensemble.
        ValueError
            If the weights are corrupt or not those of the card, or if it was trained on another model.
        """
        path = ensemble_path(model, kind)
        if not path.is_file():
            raise FileNotFoundError(
                f"Model {str(model)!r} has no ensemble for {kind} ({path.name}): train it with 'gammapy-asid "
                "train', use another model, or detect without it by refine=False"
            )
        card = load_card(path, EnsembleCard)
        if card.detection_sha256 != load_card(model).weights_sha256:
            raise ValueError(
                f"{path.name} was trained on the candidates of other weights than those of {str(model)!r} "
                "(detection_sha256): take files of one training, or train again with 'gammapy-asid train'"
            )
        return cls(card, load_network(path, card, Ensemble, EnsembleConfig))

    @torch.inference_mode()
    def positions(self, sources):
        """Refined positions of fitted sources.

        Parameters
        ----------
        sources : `FittedSources`
            Sources.

        Returns
        -------
        positions : `Positions`
            Positions with their errors.
        """
        moments = ensemble_moments(*self.ensemble(sources.features.flat()))
        scale = sources.features.scale[:, None]
        mean, covariance = moments.mean * scale, moments.covariance * scale[..., None] ** 2
        covariance = covariance.double().numpy()
        spread = np.linalg.det(covariance) ** 0.25 * sources.response.pixel_size
        significance = fitted_significance(sources.features, len(self.card.to_bands())).double().numpy()
        floor = _place_error(sources.response, sources.fit) / sources.response.pixel_size
        return Positions(
            (sources.fit.x + mean[:, 0]).double().numpy(),
            (sources.fit.y + mean[:, 1]).double().numpy(),
            covariance + floor[:, None, None] ** 2 * np.eye(2),
            calibrated_quantiles(self.card.calibration, sources.mode, (spread, significance)),
        )

    @property
    def brightest(self):
        """Flux in cm-2 s-1 above which estimates are too low; infinite where this is not known."""
        parts = [rows for key, rows in self.card.calibration.items() if key.endswith(PARTS[2])]
        return BRIGHTER * np.exp(max((rows[-1][0] for rows in parts), default=np.inf))

    @torch.inference_mode()
    def fluxes(self, sources, ranges, spread=SPREADS[0]):
        """Fluxes of fitted sources in ranges of energies.

        Parameters
        ----------
        sources : `FittedSources`
            Sources.
        ranges : list of tuple of float
            Ranges in GeV, inside that of the data.
        spread : {"mean-variance", "ensemble"}
            Whether the uncertainty is the predicted one, or only the scatter of the means.

        Returns
        -------
        fluxes : list of `Fluxes`
            Fluxes with their errors in each range.
        """
        response, features = sources.response, sources.features
        zero = None
        if sources.given:
            significance = flux_significance(self.ensemble, features, response)
            zero = significance <= np.array(self.card.empty_significance)[:, None]
        result = []
        for e_min, e_max in ranges:
            scale, moments = _range_moments(
                self.ensemble,
                features,
                response,
                sources.power_laws,
                sources.fit.counts,
                sources.fit.counts_error,
                (e_min, e_max),
            )
            key = calibration_key(spread, sources.mode, e_max / e_min > WIDE)
            columns = (v.double().numpy() for v in (scale.start, scale.width, scale.log_unit))
            coordinates = flux_quantiles(self.card.calibration, key, moments, spread, *columns, zero=zero)
            low95, low68, high68, high95, limit, flux = (
                2 * np.sinh(coordinates.T) * np.exp(scale.log_unit.double().numpy())
            )
            result.append(Fluxes(flux, low95, low68, high68, high95, limit))
        return result


def _range_moments(ensemble, features, response, power_laws, counts, error, energies):
    """Scale of the flux of sources in a range of energies, and the predictions of the ensemble on it."""
    ends = (torch.full((len(features),), float(e)) for e in energies)
    scale = flux_scale(response, power_laws, counts, error, *ends)
    return scale, ensemble_moments(*ensemble(torch.cat([features.flat(), scale.inputs()], 1)))


@torch.inference_mode()
def flux_significance(ensemble, features, response):
    """How far the flux of sources is above zero, in the band or the whole range where it is farthest.

    Faint sources are seen in some bands only, empty places in none. The errors are those that the ensemble
    predicts, so that it takes account of a background that is not known well.

    Parameters
    ----------
    ensemble : `~gammapy_asid.networks.ensembles.Ensemble`
        Ensemble for fluxes.
    features : `~gammapy_asid.networks.source_features.SourceFeatures`
        Features of sources of one instrument.
    response : `~gammapy_asid.inputs.Response`
        Instrument response.

    Returns
    -------
    significance : `~numpy.ndarray`
        In standard deviations of the learned scale, shape ``(n,)``.
    """
    counts, error = fitted_counts(features, len(response.bands))
    power_laws = fit_power_laws(response, counts, error)
    present = np.flatnonzero(response.present)
    ranges = [(np.nanmin(response.e_min), np.nanmax(response.e_max))]
    ranges += [(response.e_min[band], response.e_max[band]) for band in present]
    significance = []
    for energies in ranges:
        scale, moments = _range_moments(ensemble, features, response, power_laws, counts, error, energies)
        centre = scale.start + moments.mean[:, 0] * scale.width
        significance.append(centre / (torch.sqrt(moments.covariance[:, 0, 0]) * scale.width))
    return torch.stack(significance).amax(0).double().numpy()


def flux_variables(coordinate, spread, log_unit):
    """Variables of the calibration of fluxes: predicted error, significance, flux.

    Parameters
    ----------
    coordinate, spread : `~numpy.ndarray`
        Predicted ``asinh(F / 2 s)`` and its standard deviation, shape ``(n,)``.
    log_unit : `~numpy.ndarray`
        Logarithm of ``s``.
    """
    significance = 2 * np.sinh(np.maximum(coordinate, FAINTEST_COORDINATE))
    return spread, significance, significance * np.exp(log_unit)


def _place_error(response, fit):
    """Error in deg of fitted positions along each axis by counts that lost their place, shape ``(n,)``.

    It is the same for all photons of a source, and largest in the bands with the sharpest images, which say
    most on the position.
    """
    error = np.broadcast_to(response.place_error, fit.ts.shape)
    return np.where(fit.ts.numpy() > MIN_TS, error, 0).max(axis=1)


def calibrated_quantiles(calibration, key, variables):
    """Quantiles of the deviations in units of the predicted spread.

    Parameters
    ----------
    calibration : dict
        Calibration of a card.
    key : str
        Key of the part that depends on the predicted spread; the others are those of `PARTS`.
    variables : sequence of `~numpy.ndarray`
        Predicted spread, significance and flux, or the first of them; each of shape ``(n,)``.

    Returns
    -------
    quantiles : `~numpy.ndarray`
        Shape ``(n, n_levels)``.
    """
    parts = [
        (calibration[key + part], variable)
        for part, variable in zip(PARTS, variables, strict=False)
        if key + part in calibration
    ]
    return apply_additive(*zip(*parts, strict=True))


def flux_quantiles(calibration, key, moments, spread, start, width, log_unit, zero=None):
    """Calibrated fluxes on the scale ``asinh(F / 2 s)``.

    Parameters
    ----------
    calibration, key
        See `calibrated_quantiles`.
    moments : `~gammapy_asid.networks.ensembles.Moments`
        Predictions of the ensemble.
    spread : {"mean-variance", "ensemble"}
        Way to the uncertainty.
    start, width, log_unit : `~numpy.ndarray`
        Of the `~gammapy_asid.networks.spectral_fit.FluxScale` of the sources, shape ``(n,)``.
    zero : `~numpy.ndarray`, optional
        Whether the intervals of 68 % and of 95 % begin at zero, as at places that could be empty, bool of
        shape ``(2, n)``; by default none: detected sources are taken to be there.

    Returns
    -------
    coordinates : `~numpy.ndarray`
        Columns as `FLUX_LEVELS`, shape ``(n, 6)``; the estimate is inside the interval of 68 %. Lower ends
        are at least 0, all else is above.
    """
    variance = moments.covariance if spread == SPREADS[0] else moments.epistemic
    mean, variance = (v.double().numpy() for v in (moments.mean[:, 0], variance[:, 0, 0]))
    centre, sigma = start + mean * width, np.sqrt(variance) * width
    quantiles = calibrated_quantiles(calibration, key, flux_variables(centre, sigma, log_unit))
    coordinates = centre[:, None] + quantiles * sigma[:, None]
    coordinates[:, :2] = np.maximum(coordinates[:, :2], 0)
    coordinates[:, 2:] = np.maximum(coordinates[:, 2:], FAINTEST_COORDINATE)
    coordinates[:, 5] = np.clip(coordinates[:, 5], coordinates[:, 1], coordinates[:, 2])
    if zero is not None:
        zero68, zero95 = zero
        coordinates[zero68, 1], coordinates[zero95, 0] = 0, 0
    return coordinates


def calibration_key(spread, mode, wide):
    """Name of the calibration of fluxes.

    Parameters
    ----------
    spread : {"mean-variance", "ensemble"}
        Way to the uncertainty.
    mode : {"detected", "given"}
        Where the positions are from.
    wide : bool
        Whether the range of energies is wider than a factor `WIDE`.
    """
    return f"{spread} {mode} {'wide' if wide else 'narrow'}"
