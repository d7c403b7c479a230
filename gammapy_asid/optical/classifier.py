# Licensed under a 3-clause BSD style license - see LICENSE
"""Stars and galaxies among the sources of an image."""

import numpy as np
from gammapy.estimators import ESTIMATOR_REGISTRY

from .classification.model import ClassEvidence, OpticalClassModel
from .classification.prior import checked_prior
from .estimator import OpticalEstimator
from .field import field_parts, placed_sources

__all__ = ["OpticalSourceClassifier"]

#: Columns of the result, and what they hold.
DESCRIPTIONS = {
    "star_prob": "Probability to be a star rather than a galaxy, if it is real",
    "artefact_prob": "Probability to be an artefact, such as the rest of a cosmic ray or of a bright star",
}


class OpticalSourceClassifier(OpticalEstimator):
    """Tell stars from galaxies in an optical or infrared image, with calibrated probabilities.

    All sources are fitted together; a network sees each of them without its neighbours, beside the point
    spread function at its place.

    Parameters
    ----------
    model : str or path
        Name of a shipped model, or path of its weights.
    psf : object, optional
        Point spread function of all images, see `~gammapy_asid.OpticalSourceDetector`.
    prior : "image", "equal", dict or float
        Shares of stars and galaxies before the image is looked at: by default those that the image itself
        tells, as a function of magnitude; see `~gammapy_asid.optical.classification.prior.checked_prior`.
    device : str, optional
        Torch device; by default the accelerator if there is one.
    """

    tag = "OpticalSourceClassifier"

    def __init__(self, model="optical-classes", psf=None, prior="image", device=None):
        checked_prior(prior)
        super().__init__(model, OpticalClassModel.load(model, device), psf)
        self.prior = prior

    def run(self, image, sources):
        """Classify sources.

        Parameters
        ----------
        image : str, path, `~astropy.nddata.CCDData`, `~numpy.ndarray`, HDU or OpticalImage
            Image.
        sources : `~gammapy_asid.OpticalSources`, `~astropy.table.Table`, SkyCoord or Candidates
            All sources of the image: they are taken for all light that there is. A table has columns such as
            ``xcentroid`` and ``ycentroid`` or ``ra`` and ``dec``, see `~gammapy_asid.optical.positions`.

        Returns
        -------
        sources : `~gammapy_asid.OpticalSources`
            A copy with ``star_prob``, the probability to be a star if it is real, ``artefact_prob`` and
            ``flags``. No row is lost: what lies outside the image or on masked pixels has NaN and a flag.

        Raises
        ------
        TypeError, ValueError, FileNotFoundError
            If it is no image that can be used, or the sources have no positions in it.
        """
        prepared = self.prepare(image)
        placed, measured = placed_sources(prepared, sources, DESCRIPTIONS)
        table = placed.table
        x, y = (np.where(measured, table[name], np.nan) for name in ("xcentroid", "ycentroid"))
        parts, rows = [], []
        for part in field_parts(prepared, x, y):
            evidence = self.trained.evidence(part.batch, part.x, part.y, rows=part.own)
            # The same unit in all parts, whatever their noise
            evidence.magnitude = evidence.magnitude - 2.5 * np.log10(part.noise)
            parts.append(evidence)
            rows.append(part.rows)
        probabilities = np.full((len(table), 3), np.nan)
        if parts:
            probabilities[np.concatenate(rows)] = ClassEvidence.cat(parts).probabilities(self.prior)
        star, galaxy, artefact = probabilities.T
        with np.errstate(invalid="ignore", divide="ignore"):
            values = {"star_prob": star / (star + galaxy), "artefact_prob": artefact}
        for name, text in DESCRIPTIONS.items():
            table[name] = values[name]
            table[name].info.description = text
        return self.finished(placed, prepared, measured & np.isnan(star))


ESTIMATOR_REGISTRY.append(OpticalSourceClassifier)
