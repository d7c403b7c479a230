# Licensed under a 3-clause BSD style license - see LICENSE
"""Counts of a point source as Gammapy predicts them, without convolutions."""

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from gammapy.irf import EDispKernel
from gammapy.modeling.models import PointSpatialModel

from ..catalog.fluxes import FLUX_UNIT, integral_flux

__all__ = ["PointPrediction"]


class PointPrediction:
    """Counts of one point source; only what its parameters changed is computed anew.

    Gammapy spreads a point over the four pixels around it and convolves this image with the kernel of the
    point spread function: the sum of four shifted kernels. A source beyond the edge of the data
    adds what its kernel brings inside.

    Parameters
    ----------
    model : `~gammapy.modeling.models.SkyModel`
        Point source.
    pixels : `~gammapy_asid.likelihood.prediction.Pixels`
        Pixels to predict.
    """

    def __init__(self, model, pixels):
        self.pixels = pixels
        self.views = [
            _View(model, dataset, *kernels(model.position))
            for dataset, kernels in zip(pixels.datasets, pixels.kernels, strict=True)
        ]

    @staticmethod
    def serves(model, pixels):
        """Whether it holds for a model: a point, counts and exposure on the same pixels.

        Parameters
        ----------
        model : `~gammapy.modeling.models.SkyModel`
            Model.
        pixels : `~gammapy_asid.likelihood.prediction.Pixels`
            Pixels to predict.

        Returns
        -------
        serves : bool
            If not, `~gammapy_asid.likelihood.prediction.SourcePrediction` does.
        """
        return (
            isinstance(model.spatial_model, PointSpatialModel)
            and model.temporal_model is None
            and all(model.apply_irf.values())
            and model.datasets_names is None
            and all(_on_pixels_of_counts(d) for d in pixels.datasets)
        )

    def __call__(self):
        """Counts at the present parameters, shape ``(n_pix,)``."""
        return self.pixels.flat([view() for view in self.views])


def _on_pixels_of_counts(dataset):
    image = dataset.counts.geom.to_image()
    return dataset.psf.energy_name == "energy_true" and image.is_allclose(dataset.exposure.geom.to_image())


class _View:
    """The source as one dataset sees it."""

    def __init__(self, model, dataset, psf, edisp):
        axis, geom = dataset.exposure.geom.axes["energy_true"], dataset.counts.geom
        self.place, self.law = model.spatial_model, model.spectral_model
        self.edges = axis.edges
        self.exposure = dataset.exposure.quantity.to_value("cm2 s")
        self.wcs, self.shape = geom.wcs, geom.data_shape
        self.rotation = _rotation(self.place.frame, geom.frame)
        kernel = psf.psf_kernel_map.data
        self.centre = (kernel.shape[1] // 2, kernel.shape[2] // 2)
        self.kernel = np.pad(kernel, [(0, 0), (1, 1), (1, 1)])
        energy = geom.axes["energy"]
        if edisp is None:
            edisp = EDispKernel.from_diagonal_response(axis, energy)
        self.response = edisp.pdf_matrix
        self.at = self.spectrum = None

    def __call__(self):
        """Image of predicted counts; None where none are."""
        place = tuple(p.quantity.to_value("rad") for p in (self.place.lon_0, self.place.lat_0))
        if place != self.at:
            self.at, (self.slices, self.image) = place, self._image(*place)
        if self.image.size == 0:
            return None
        spectrum = tuple(self.law.parameters.value)
        if spectrum != self.spectrum:
            flux = integral_flux(self.law, self.edges[:-1], self.edges[1:]).to_value(FLUX_UNIT)
            self.spectrum, self.weights = spectrum, (self.response * flux[:, None]).T
        n_true, *size = self.image.shape
        counts = np.zeros(self.shape)
        counts[:, *self.slices] = (self.weights @ self.image.reshape(n_true, -1)).reshape(-1, *size)
        return counts

    def _image(self, lon, lat):
        """Exposure times point spread function at each true energy, where the kernel reaches."""
        corners = np.array(self._pixel(lon, lat)[::-1])
        first = np.floor(corners).astype(int)
        slices, parts = [], [slice(None)]
        for i, c, half, n in zip(first, self.centre, self.kernel.shape[1:], self.shape[1:], strict=True):
            # The four pixels widen the kernel by one
            low, high = max(0, c - i), max(min(half - 1, n + c - i), max(0, c - i))
            slices.append(slice(low + i - c, high + i - c))
            parts.append(slice(low, high + 1 if high > low else high))
        kernel = self.kernel[tuple(parts)]
        y, x = corners - first
        kernel = (1 - y) * kernel[:, 1:] + y * kernel[:, :-1]
        kernel = (1 - x) * kernel[:, :, 1:] + x * kernel[:, :, :-1]
        return tuple(slices), kernel * self.exposure[:, *slices]

    def _pixel(self, lon, lat):
        """Pixel coordinates of a position in the frame of the model."""
        x, y, z = self.rotation @ [np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)]
        lon, lat = np.degrees([np.arctan2(y, x), np.arcsin(np.clip(z, -1, 1))])
        return [float(v) for v in self.wcs.wcs_world2pix(lon % 360, lat, 0)]


def _rotation(frame, other):
    """Matrix from one frame of the sky to another."""
    axes = SkyCoord(*np.eye(3), frame=frame, representation_type="cartesian")
    return axes.transform_to(other).cartesian.xyz.to_value(u.dimensionless_unscaled)
