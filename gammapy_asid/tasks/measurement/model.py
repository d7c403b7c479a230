# Licensed under a 3-clause BSD style license - see LICENSE
"""Trained ensembles for position and flux, and their run on a band cube."""

from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from ...learning.ensembles import Ensemble, EnsembleConfig, ensemble_moments
from ...learning.io import load_card
from ...learning.model_files import ensemble_path, list_models
from ...learning.trained import TrainedModel, load_network
from ...utils.devices import inference
from ...utils.progress import steps
from ..detection.card import DetectionCard
from .calibration import (
    PARTS,
    SPREADS,
    WIDE,
    _range_moments,
    calibrated_quantiles,
    calibration_key,
    flux_quantiles,
    flux_significance,
)
from .card import EnsembleCard
from .features import fitted_significance
from .fitted_sources import fitted_place_error

__all__ = ["Fluxes", "Positions", "SourceEnsemble"]

# Factor on the brightest sources of the calibration beyond which estimates are low: by .1 at 2, .4 at 25.
BRIGHTER = 2.0


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


class SourceEnsemble(TrainedModel):
    """Ensemble with its card, ready to run.

    Parameters
    ----------
    card : `~gammapy_asid.tasks.measurement.card.EnsembleCard`
        Card.
    network : `~gammapy_asid.learning.ensembles.Ensemble`
        Ensemble.
    device : str or `~torch.device`, optional
        Where it runs; by default the accelerator if there is one.
    """

    Card, Network, Config = EnsembleCard, Ensemble, EnsembleConfig

    def __repr__(self):
        return f"<SourceEnsemble {self.card.name!r} {self.card.task}, version {self.card.version}>"

    @classmethod
    def load(cls, model, kind, device=None):
        """Load the ensemble of a model.

        Parameters
        ----------
        model : str or path
            Name or weight file of the detection model.
        kind : {"position", "flux"}
            Ensemble.
        device : str or `~torch.device`, optional
            Where it runs.

        Raises
        ------
        FileNotFoundError
            If the model has no such ensemble.
        ValueError
            If the weights are corrupt or not those of the card, or if it was trained on another model.
        """
        # That a model is for another task says more than that it has no ensemble
        with suppress(FileNotFoundError):
            load_card(model, DetectionCard)
        path = ensemble_path(model, kind)
        if not path.is_file():
            raise FileNotFoundError(
                f"Model {str(model)!r} has no ensemble for {kind} ({path.name}): train it with 'gammapy-asid "
                f"train', use another model ({', '.join(list_models(kind))}), or detect without it by "
                "refine=False"
            )
        card = load_card(path, EnsembleCard)
        if card.detection_sha256 != load_card(model).weights_sha256:
            raise ValueError(
                f"{path.name} was trained on the candidates of other weights than those of {str(model)!r} "
                "(detection_sha256): take files of one training, or train again with 'gammapy-asid train'"
            )
        return cls(card, load_network(path, card, Ensemble, EnsembleConfig), device)

    @inference()
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
        sources = sources.to(self.device)
        moments = ensemble_moments(*self.network(sources.features.flat()))
        scale = sources.features.scale[:, None]
        mean, covariance = moments.mean * scale, moments.covariance * scale[..., None] ** 2
        covariance = covariance.double().cpu().numpy()
        spread = np.linalg.det(covariance) ** 0.25 * sources.response.pixel_size
        significance = fitted_significance(sources.features, len(self.card.to_bands())).double().cpu().numpy()
        floor = fitted_place_error(sources.response, sources.fit) / sources.response.pixel_size
        return Positions(
            (sources.fit.x + mean[:, 0]).double().cpu().numpy(),
            (sources.fit.y + mean[:, 1]).double().cpu().numpy(),
            covariance + floor[:, None, None] ** 2 * np.eye(2),
            calibrated_quantiles(self.card.calibration, sources.mode, (spread, significance)),
        )

    @property
    def brightest(self):
        """Flux in cm-2 s-1 above which estimates are too low; infinite where this is not known."""
        parts = [rows for key, rows in self.card.calibration.items() if key.endswith(PARTS[2])]
        return BRIGHTER * np.exp(max((rows[-1][0] for rows in parts), default=np.inf))

    @inference()
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
        sources = sources.to(self.device)
        response, features = sources.response, sources.features
        zero = None
        if sources.given:
            significance = flux_significance(self.network, features, response)
            zero = significance <= np.array(self.card.empty_significance)[:, None]
        result = []
        for e_min, e_max in steps(ranges, "Fluxes"):
            scale, moments = _range_moments(
                self.network,
                features,
                response,
                sources.power_laws,
                sources.fit.counts,
                sources.fit.counts_error,
                (e_min, e_max),
            )
            key = calibration_key(spread, sources.mode, e_max / e_min > WIDE)
            columns = (v.double().cpu().numpy() for v in (scale.start, scale.width, scale.log_unit))
            coordinates = flux_quantiles(self.card.calibration, key, moments, spread, *columns, zero=zero)
            low95, low68, high68, high95, limit, flux = (
                2 * np.sinh(coordinates.T) * np.exp(scale.log_unit.double().cpu().numpy())
            )
            result.append(Fluxes(flux, low95, low68, high68, high95, limit))
        return result
