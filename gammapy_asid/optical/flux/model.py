# Licensed under a 3-clause BSD style license - see LICENSE
"""A trained ensemble for fluxes, and its run on images."""

from dataclasses import dataclass

import numpy as np
import torch

from ...learning.ensembles import Ensemble, EnsembleConfig, ensemble_moments
from ...learning.trained import TrainedModel
from ...utils.devices import inference, one_thread
from .card import OpticalFluxCard
from .features import flux_features, flux_fit

__all__ = ["OpticalFluxModel", "OpticalFluxes", "predicted"]


@dataclass
class OpticalFluxes:
    """Fluxes of ``k`` sources in units of the noise of the sky in a pixel, arrays of shape ``(k,)``.

    NaN stands where no pixel tells a flux.

    Parameters
    ----------
    flux : `~numpy.ndarray`
        All light, of galaxies too, over that of a star of flux one within the square of the point spread
        function: the median of what is possible.
    flux_errn, flux_errp : `~numpy.ndarray`
        From it to the lower and to the upper end of the interval of 68 %.
    flux_bound : `~numpy.ndarray`
        Cramér-Rao bound of a star of that place beside its neighbours.
    flux_psf : `~numpy.ndarray`
        Flux of the fitted point spread function: that of a star as the fit has it.
    x, y : `~numpy.ndarray`
        Positions that the fit refined, in pixels.
    saturated : `~numpy.ndarray`
        Whether the core has saturated pixels, bool: the flux is that of the others.
    """

    flux: np.ndarray
    flux_errn: np.ndarray
    flux_errp: np.ndarray
    flux_bound: np.ndarray
    flux_psf: np.ndarray
    x: np.ndarray
    y: np.ndarray
    saturated: np.ndarray


@inference()
def predicted(network, features, chunk=4096):
    """What an ensemble predicts, before the calibration.

    Parameters
    ----------
    network : `~gammapy_asid.learning.ensembles.Ensemble`
        Ensemble.
    features : `~gammapy_asid.optical.flux.features.FluxFeatures`
        Features of ``k`` sources.
    chunk : int
        Sources in a part.

    Returns
    -------
    centre, error : `~numpy.ndarray`
        Mean and standard deviation on the scale ``asinh(F / 2 error)`` of the features, shape ``(k,)``.
    variables : tuple of `~numpy.ndarray`
        What the calibration depends on, see `gammapy_asid.optical.flux.card.VARIABLES`.
    """
    device = next(network.parameters()).device
    means, errors = [torch.zeros(0)], [torch.zeros(0)]
    for part in features.inputs.split(chunk):
        moments = ensemble_moments(*network(part.to(device)))
        means.append(moments.mean[:, 0].cpu())
        errors.append(torch.sqrt(moments.covariance[:, 0, 0]).cpu())
    centre = features.start + torch.cat(means) * features.width
    error = torch.cat(errors) * features.width
    significance = features.significance.clamp(min=0.1)
    of_image = features.density, features.confusion
    variables = error, significance, features.crowding, features.extent, *of_image
    return centre.double().numpy(), error.double().numpy(), tuple(v.double().numpy() for v in variables)


class OpticalFluxModel(TrainedModel):
    """Ensemble with its card, ready to run.

    Parameters
    ----------
    card : `~gammapy_asid.optical.flux.card.OpticalFluxCard`
        Card.
    network : `~gammapy_asid.learning.ensembles.Ensemble`
        Ensemble.
    device : str or `~torch.device`, optional
        Where it runs; by default the accelerator if there is one.
    """

    Card, Network, Config = OpticalFluxCard, Ensemble, EnsembleConfig

    @one_thread()
    def predict(self, batch, x, y, image=None):
        """Fluxes of sources.

        Parameters
        ----------
        batch : `~gammapy_asid.optical.batch.ImageBatch`
            Images.
        x, y : array-like
            Positions of all sources in pixels, shape ``(k,)``.
        image : array-like, optional
            Number of the image of each source; by default all are in the first.

        Returns
        -------
        fluxes : `OpticalFluxes`
            Fluxes, in the order of the sources.

        Raises
        ------
        ValueError
            If positions are not finite or not of one length.
        """
        batch = batch.to("cpu")
        fit = flux_fit(batch, x, y, image)
        given = (torch.as_tensor(np.asarray(v), dtype=torch.float32).flatten() for v in (x, y))
        features = flux_features(batch, fit, *given)
        usable = features.flux.isfinite() & features.inputs.isfinite().all(1)
        columns = np.full((3, len(fit)), np.nan)
        columns[:, usable.numpy()] = self.intervals(features.select(usable))
        low, flux, high = columns
        return OpticalFluxes(
            flux,
            flux - low,
            high - flux,
            fit.flux_err.double().numpy(),
            fit.flux.double().numpy(),
            fit.x.double().numpy(),
            fit.y.double().numpy(),
            fit.saturated.numpy(),
        )

    def intervals(self, features):
        """Lower end, flux and upper end of sources in signal units, shape ``(3, k)``.

        Parameters
        ----------
        features : `~gammapy_asid.optical.flux.features.FluxFeatures`
            Features, all finite.
        """
        centre, error, variables = predicted(self.network, features)
        places = centre[:, None] + self.card.quantiles(variables) * error[:, None]
        # No source has less than no light
        return 2 * features.error.double().numpy() * np.sinh(np.maximum(places, 0)).T
