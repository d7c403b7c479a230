# Licensed under a 3-clause BSD style license - see LICENSE
"""What the estimators of images share: a trained model, and the preparation of an image."""

import logging

import numpy as np
from gammapy.estimators import Estimator

from .flags import OpticalFlag
from .images import PreparedImage, prepare_image, read_image
from .sources import OpticalSources

__all__ = ["OpticalEstimator"]

log = logging.getLogger(__name__)

#: The width of the point spread function may leave the range of the training by this factor.
TOLERANCE = 1.05


class OpticalEstimator(Estimator):
    """Estimator that runs a trained model on images.

    Parameters
    ----------
    model : str or path
        Name of a shipped model, or path of weights with their card beside them.
    trained : `~gammapy_asid.learning.trained.TrainedModel`
        That model with its card, on the device where it runs.
    psf : object, optional
        Point spread function of all images, anything that `~gammapy_asid.optical.psf.as_psf`
        takes; by default that of the image, or else measured on its stars.
    """

    def __init__(self, model, trained, psf=None):
        self.model, self.trained = model, trained
        self.psf = psf

    def __repr__(self):
        return f"{type(self).__name__}(model={str(self.model)!r}, device={str(self.device)!r})"

    @property
    def card(self):
        """Card of the weights."""
        return self.trained.card

    @property
    def device(self):
        """Where the model runs (`~torch.device`)."""
        return self.trained.device

    @property
    def config_parameters(self):
        """Configuration, without the networks."""
        held = {name: value for name, value in vars(self).items() if name not in ("model", "trained")}
        return {"model": str(self.model), "device": str(self.device)} | held

    def prepare(self, image):
        """Image in units of the noise of its sky; one that is prepared already is taken as it is.

        Parameters
        ----------
        image : str, path, `~astropy.nddata.CCDData`, `~numpy.ndarray`, HDU, \
        `~gammapy_asid.optical.images.OpticalImage` or `~gammapy_asid.optical.images.PreparedImage`
            Image.

        Returns
        -------
        prepared : `~gammapy_asid.optical.images.PreparedImage`
            Image with its sky, noise and point spread function.

        Raises
        ------
        TypeError, ValueError, FileNotFoundError
            If it is no image that can be used.
        """
        if isinstance(image, PreparedImage):
            return image
        return prepare_image(read_image(image), psf=self.psf)

    def provenance(self, prepared):
        """What made a result, for its meta data.

        Parameters
        ----------
        prepared : `~gammapy_asid.optical.images.PreparedImage`
            Image.

        Returns
        -------
        meta : dict
            Name of the image, its point spread function, and the model.
        """
        image, psf = prepared.image, prepared.psf
        meta = {"image": image.name, "shape": list(image.shape), "psf": psf.origin}
        meta["psf_fwhm"] = round(float(psf.fwhm) * prepared.binning, 4)
        for name in ("gain", "saturation", "zero_point"):
            meta[name] = getattr(image, name)
        if image.unit is not None:
            meta["unit"] = str(image.unit)
        return meta | {self.card.task: {"model": self.card.name, "card_sha256": self.card.sha256}}

    def finished(self, sources, prepared, failed=False):
        """Sources with the last flags and the provenance of this estimator.

        Parameters
        ----------
        sources : `~gammapy_asid.OpticalSources`
            Sources, their flags are changed in place.
        prepared : `~gammapy_asid.optical.images.PreparedImage`
            Image.
        failed : `~numpy.ndarray` or bool
            Which have no result although they lie on valid pixels, bool of shape ``(n,)``.

        Returns
        -------
        sources : `~gammapy_asid.OpticalSources`
            The same with the provenance of this estimator.
        """
        fwhm, (low, high) = prepared.psf.fwhm, self.card.fwhm
        untrained = not low / TOLERANCE <= fwhm <= high * TOLERANCE
        if untrained:
            log.warning(
                f"The point spread function of {prepared.image.name} is {fwhm:.2f} pixels wide, the model "
                f"{self.card.name!r} was trained for {low:g} to {high:g} (flag UNTRAINED)"
            )
        flags = np.asarray(sources.table["flags"])
        flags = flags | np.where(failed, OpticalFlag.FIT_FAILED, 0) | (OpticalFlag.UNTRAINED * untrained)
        sources.table["flags"] = flags.astype("i4")
        sources.table["flags"].info.description = "Bit mask of OpticalFlag"
        meta = sources.meta | self.provenance(prepared)
        return OpticalSources(sources.table, sources.masks, sources.wcs, meta, sources.image)
