# Licensed under a 3-clause BSD style license - see LICENSE
"""Sources of an image, found by a neural network."""

import warnings

import numpy as np
from astropy.table import QTable
from gammapy.estimators import ESTIMATOR_REGISTRY
from photutils.detection import StarFinderBase
from photutils.utils.exceptions import NoDetectionsWarning

from ..utils.arguments import check_number
from .detection.hidden import with_hidden
from .detection.hidden_score import hidden_score
from .detection.model import OpticalDetectionModel
from .estimator import OpticalEstimator
from .field import field_parts
from .images import read_image
from .pixel_flags import pixel_flags
from .pixel_masks import PixelMasks
from .positions import add_sky
from .sources import OpticalSources

__all__ = ["OpticalSourceDetector"]

#: Columns of what is found, and what they hold.
DESCRIPTIONS = {
    "id": "Number of the source",
    "xcentroid": "Position in pixels, 0 is the centre of the first",
    "ycentroid": "Position in pixels, 0 is the centre of the first",
    "x_err": "Standard deviation of xcentroid in pixels",
    "y_err": "Standard deviation of ycentroid in pixels",
    "score": "Calibrated probability to be a real source",
    "flags": "Bit mask of OpticalFlag",
    "ra": "Right ascension, ICRS",
    "dec": "Declination, ICRS",
}


class OpticalSourceDetector(OpticalEstimator, StarFinderBase):
    """Find the sources of an optical or infrared image, and its cosmic rays and satellite trails.

    The image is brought to units of the noise of its sky; its point spread function is given or measured on
    its stars. A network that learned from simulated images of many cameras maps centres, cosmic rays and
    trails.

    It can be called as a star finder of photutils, for example ``PSFPhotometry(model, fit_shape,
    finder=OpticalSourceDetector())``. Give it the point spread function for `IterativePSFPhotometry`, whose
    residual images have no stars to measure it on.

    Parameters
    ----------
    model : str or path
        Name of a shipped model, or path of its weights.
    threshold : float
        Smallest probability to be real, from 0 to 1.
    rounds : int
        Rounds in which crowded parts, with more than a source in 50 pixels, are searched for stars that hide
        beside brighter ones, see `~gammapy_asid.optical.detection.hidden.with_hidden`: four find most in the
        core of a globular cluster, and take most of the time there. The network alone if 0.
    psf : object, optional
        Point spread function of all images: `~gammapy_asid.optical.psf.PSF`, array, file of PSFEx or model of
        photutils; by default that of the image, or else measured on its stars.
    device : str, optional
        Torch device; by default the accelerator if there is one.
    """

    tag = "OpticalSourceDetector"

    def __init__(self, model="optical", threshold=0.5, psf=None, device=None, rounds=0):
        check_number("threshold", threshold, 0, 1)
        check_number("rounds", rounds, 0, 20)
        super().__init__(model, OpticalDetectionModel.load(model, device), psf)
        self.threshold, self.rounds = threshold, int(rounds)
        if self.rounds and not self.trained.card.hidden_weights:
            raise ValueError(
                f"Model {self.trained.card.name!r} cannot tell how sure hidden stars are, as it saw too few "
                "crowds in training: give rounds=0, or another model"
            )

    def run(self, image):
        """Find sources.

        Parameters
        ----------
        image : str, path, `~astropy.nddata.CCDData`, `~numpy.ndarray`, HDU or OpticalImage
            Image; what its header does not tell, `~gammapy_asid.optical.images.read_image` can.

        Returns
        -------
        sources : `~gammapy_asid.OpticalSources`
            Sources by decreasing score, and masks.

        Raises
        ------
        TypeError, ValueError, FileNotFoundError
            If it is no image that can be used.
        """
        prepared = self.prepare(image)
        found = self.trained.detect(prepared)
        keep = found.score >= self.threshold
        x, y, error, score = (
            getattr(found, name)[keep].astype(float) for name in ("x", "y", "x_err", "score")
        )
        if self.rounds:
            x, y, error, score = self._with_hidden(prepared, x, y, error, score)
        table = QTable({"id": np.arange(1, len(x) + 1), "xcentroid": x, "ycentroid": y})
        table["x_err"], table["y_err"], table["score"] = error, error.copy(), score
        fwhm = prepared.psf.fwhm * prepared.binning
        table["flags"] = pixel_flags(prepared.image, x, y, fwhm, found.bits)
        add_sky(table, prepared.wcs)
        for name in table.colnames:
            table[name].info.description = DESCRIPTIONS[name]
        sources = OpticalSources(table, PixelMasks(found.bits), prepared.wcs, image=prepared.image)
        sources.meta["threshold"], sources.meta["rounds"] = self.threshold, self.rounds
        return self.finished(sources, prepared)

    def _with_hidden(self, prepared, x, y, error, score):
        """Sources with those that hide beside them, by decreasing score."""
        x, y, error, known, evidence = with_hidden(prepared, x, y, error, self.rounds)
        new = known < 0
        score = np.append(score, 0)[known]
        score[new] = hidden_score(evidence[new], self.trained.card.hidden_weights)
        order = np.argsort(-score, kind="stable")
        order = order[score[order] >= self.threshold]
        return x[order], y[order], error[order], score[order]

    def find_stars(self, data, *, mask=None):
        """Sources in the form that photutils expects of its star finders.

        Parameters
        ----------
        data : `~numpy.ndarray` or `~astropy.units.Quantity`
            Image.
        mask : `~numpy.ndarray`, optional
            Pixels that are not used, bool.

        Returns
        -------
        table : `~astropy.table.QTable` or None
            Columns ``id``, ``xcentroid``, ``ycentroid``, ``score``, ``flux`` (of the point spread function,
            all sources fitted together) and others, by decreasing score; None, with a
            `~photutils.utils.exceptions.NoDetectionsWarning`, if there are no sources.
        """
        prepared = self.prepare(read_image(data, mask=mask))
        table = self.run(prepared).table
        if len(table) == 0:
            warnings.warn("No sources were found.", NoDetectionsWarning, stacklevel=3)
            return None
        flux = np.full(len(table), np.nan)
        for part in field_parts(prepared, table["xcentroid"], table["ycentroid"]):
            flux[part.rows] = part.fit(iterations=0).flux[part.own].numpy() * part.noise
        table["flux"] = flux if prepared.image.unit is None else flux * prepared.image.unit
        return table


ESTIMATOR_REGISTRY.append(OpticalSourceDetector)
