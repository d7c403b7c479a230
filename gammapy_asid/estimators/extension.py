# Licensed under a 3-clause BSD style license - see LICENSE
"""Extension of sources with a neural network."""

import logging

import numpy as np
import torch
from gammapy.estimators import ESTIMATOR_REGISTRY, Estimator

from ..catalog.columns import CandidateFlag
from ..catalog.extensions import SourceExtensions
from ..inputs.bands import BandCube
from ..inputs.prepare import usable_datasets
from ..inputs.psf import psf_radius
from ..inputs.stamps import CONTAINMENTS, Stamps, cut_stamps, describe_psf, local_psf_radii, lost_width
from ..tasks.extension.model import ExtensionModel
from .domain import band_cube
from .sources import duplicates, given_sources, on_valid_pixels

__all__ = ["DLExtensionClassifier"]

log = logging.getLogger(__name__)

#: Radii and backgrounds may leave the range of training by this factor.
TOLERANCE = 1.05
#: Variance along an axis of counts that lost their place, in squares of the native pixels: that of the
#: difference of two uniform variates, and of a point that Gammapy's predictions share between four pixels.
LOST_VARIANCE = 1 / 6 + 1 / 4
#: Sources narrower than this share of the best band's 68 % radius count as points: they look 7 % wider.
NARROWEST = 0.25
#: Share of a stamp without data from which a source counts as near the edge.
EDGE_SHARE = 0.02


class DLExtensionClassifier(Estimator):
    """Tell extended sources from points, by class and by size.

    A convolutional network sees a stamp around each source in all bands: the significance of the counts above
    the known sky, the background and the point spread function at its position. Probabilities and size
    intervals are calibrated on simulations. The background and the models of the dataset are taken as
    known, save those that are classified themselves.

    Parameters
    ----------
    model : str or path
        Name of a shipped model, or path of its weights.
    """

    tag = "DLExtensionClassifier"

    def __init__(self, model="cta-extension"):
        self.model = model
        self._model = ExtensionModel.load(model)

    @property
    def card(self):
        """Card of the weights."""
        return self._model.card

    @property
    def config_parameters(self):
        """Configuration, without the network."""
        return {"model": str(self.model)}

    def run(self, datasets, sources):
        """Classify sources.

        Parameters
        ----------
        datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
            Data of one field with a background, or the band cube of them, whose point spread function is the
            same everywhere.
        sources : SkyCoord, `~gammapy_asid.Candidates` or Models
            Positions: of Astropy, or of Gammapy models.

        Returns
        -------
        extensions : `~gammapy_asid.SourceExtensions`
            One row per source, none lost: a source outside the valid data has no class and the flag
            ``OUTSIDE``.

        Raises
        ------
        TypeError, ValueError
            If the data can't be used, see `~gammapy_asid.inputs.to_band_cube`, the datasets have no
            background, or the sources have no positions.
        """
        names, positions, _, without = given_sources(sources)
        stamps, valid, flags = self.stamps(datasets, positions, without)
        predicted = self._model.predict(stamps) if valid.any() else None
        meta = {
            "model": self.card.name,
            "weights_sha256": self.card.weights_sha256,
            "classes": self.card.classes,
            "edges": list(self.card.edges),
        }
        return SourceExtensions.from_predictions(
            names, positions, predicted, valid, flags, meta, self.card.classes
        )

    def stamps(self, datasets, positions, without=()):
        """What the network sees of the sources.

        Parameters
        ----------
        datasets
            See `run`.
        positions : `~astropy.coordinates.SkyCoord`
            Positions, shape ``(n,)``.
        without : sequence of str
            Names of models on the datasets that are not part of the known sky.

        Returns
        -------
        stamps : `~gammapy_asid.inputs.stamps.Stamps`
            Stamps of the sources on valid data.
        valid : `~numpy.ndarray`
            Which these are, bool of shape ``(n,)``.
        flags : `~numpy.ndarray`
            Bits of `~gammapy_asid.catalog.columns.CandidateFlag`, shape ``(n,)``.
        """
        bands, size = self.card.to_bands(), self.card.architecture["size"]
        datasets = usable_datasets(datasets)
        cube = band_cube(datasets, self.card, without=without)
        if not cube.has_background:
            raise ValueError(
                "The datasets have no background: the size of a source can't be told from the sky around it. "
                "Set dataset.background, e.g. with a MapDatasetMaker that makes it "
                f"(known sky: {cube.meta['known_sky']})"
            )
        x, y = (np.atleast_1d(v) for v in cube.geom.wcs.world_to_pixel(positions))
        valid = on_valid_pixels(cube, x, y)
        flags = np.where(valid, 0, CandidateFlag.OUTSIDE)
        if not valid.any():
            return None, valid, flags
        flags[valid] |= duplicates(x[valid], y[valid], cube)
        counts, background, inside, scale = cut_stamps(cube, x[valid], y[valid], size, bands.pixel_size)
        # On the way to the pixels of the field, and to those of the stamps
        lost = np.hypot(cube.response.native, lost_width(cube, bands.pixel_size))
        radii = self._psf_radii(datasets, positions[valid], cube.response, lost)
        described = describe_psf(radii, scale * bands.pixel_size)
        narrowest = np.maximum(NARROWEST * np.nanmin(radii[..., 0], axis=1), lost)
        stamps = Stamps(
            *(
                torch.tensor(v, dtype=torch.float32)
                for v in (counts, background, inside, described, narrowest)
            )
        )
        flags[valid] |= np.where(inside.mean(axis=(1, 2)) < 1 - EDGE_SHARE, CandidateFlag.NEAR_EDGE, 0)
        flags[valid] |= self._out_of_range(radii[..., 0], background, inside)
        return stamps, valid, flags

    def _psf_radii(self, datasets, positions, response, lost):
        """Radii of the `CONTAINMENTS` of each band at the positions, shape ``(n, n_bands, 4)``."""
        if isinstance(datasets, BandCube):
            central = np.stack([psf_radius(response, share) for share in CONTAINMENTS], axis=-1)
            radii = np.broadcast_to(central, (len(positions), *central.shape))
        else:
            radii = local_psf_radii(datasets, positions, response, CONTAINMENTS)
        # Widths add in square
        return np.sqrt(radii**2 - 2 * np.log1p(-np.array(CONTAINMENTS)) * LOST_VARIANCE * lost**2)

    def _out_of_range(self, radius, background, inside):
        """Flag of sources where the instrument is not one of those of the training."""
        share = inside.mean(axis=(1, 2))[:, None]
        level = background.mean(axis=(2, 3)) / np.maximum(share, 1e-6)
        outside = np.zeros(len(radius), bool)
        for values, ranges in ((radius, self.card.psf_r68), (level, self.card.background)):
            low, high = np.array(ranges).T
            # Absent bands have no radius; a level of zero is only a fainter one.
            far = (values > 0) & ((values > high * TOLERANCE) | (values < low / TOLERANCE))
            outside |= (far & np.isfinite(radius)).any(axis=1)
        if outside.any():
            log.warning(
                f"At {outside.sum()} of {len(outside)} sources point spread function or background is "
                f"outside what model {self.card.name!r} was trained for (flag UNTRAINED): do not trust their "
                "classes, or train on this dataset with 'gammapy-asid train --task extension --dataset'"
            )
        return np.where(outside, CandidateFlag.UNTRAINED, 0)


ESTIMATOR_REGISTRY.append(DLExtensionClassifier)
