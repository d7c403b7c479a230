# Licensed under a 3-clause BSD style license - see LICENSE
"""Extension of sources with a neural network."""

import logging
from collections.abc import Sequence
from os import PathLike

import numpy as np
import torch
from astropy.coordinates import SkyCoord
from gammapy.datasets import Datasets, MapDataset
from gammapy.estimators import ESTIMATOR_REGISTRY
from gammapy.modeling.models import DatasetModels

from ..catalog.candidates import Candidates
from ..catalog.columns import CandidateFlag
from ..catalog.extensions import SourceExtensions
from ..inputs.bands import BandCube
from ..inputs.prepare import usable_datasets
from ..inputs.stamps import Stamps
from ..tasks.extension.model import ExtensionModel
from ..tasks.extension.stamps import field_stamps
from .domain import band_cube
from .sources import given_sources, place_sources
from .trained import TrainedEstimator

__all__ = ["DLExtensionClassifier"]

log = logging.getLogger(__name__)

#: Radii and backgrounds may leave the range of training by this factor.
TOLERANCE = 1.05
#: Factor beyond which, at every source, data without some of the bands are those of another instrument.
FAR = 10
#: Pixels over the 68 % radius of the best band, its blurring by them included, above which widths come out
#: too small: these pixels are 1.5 times wider than the radius itself.
COARSE = 0.85
#: Share of a stamp without data from which a source counts as near the edge.
EDGE_SHARE = 0.02


class DLExtensionClassifier(TrainedEstimator):
    """Tell extended sources from points, by class and by size.

    A convolutional network sees a stamp around each source in all bands: the significance of the counts above
    the known sky, the background and the point spread function at its position. Probabilities and size
    intervals are calibrated on simulations. The background and the models of the dataset are taken as
    known, save those that are classified themselves.

    Parameters
    ----------
    model : str or path
        Name of a shipped model, or path of its weights.
    device : str, optional
        Torch device; by default the accelerator if there is one.
    """

    tag = "DLExtensionClassifier"
    trained: ExtensionModel

    def __init__(
        self, model: str | PathLike[str] = "cta-extension", device: str | torch.device | None = None
    ) -> None:
        super().__init__(model, ExtensionModel.load(model, device))

    def run(
        self, datasets: MapDataset | Datasets | BandCube, sources: SkyCoord | Candidates | DatasetModels
    ) -> SourceExtensions:
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
            background, are far from those of the training, or the sources have no positions.
        """
        given = given_sources(sources)
        stamps, valid, flags = self.stamps(datasets, given.positions, given.models)
        predicted = self.trained.predict(stamps) if valid.any() else None
        meta = {
            "model": self.card.name,
            "weights_sha256": self.card.weights_sha256,
            "classes": self.card.classes,
            "edges": list(self.card.edges),
        }
        return SourceExtensions.from_predictions(
            given.names, given.positions, predicted, valid, flags, meta, self.card.classes
        )

    def stamps(
        self,
        datasets: MapDataset | Datasets | BandCube,
        positions: SkyCoord,
        without: Sequence[str] = (),
    ) -> tuple[Stamps | None, np.ndarray, np.ndarray]:
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
        datasets = usable_datasets(datasets)
        cube = band_cube(datasets, self.card, without=without)
        if not cube.has_background:
            raise ValueError(
                "The datasets have no background: the size of a source can't be told from the sky around it. "
                "Set dataset.background, e.g. with a MapDatasetMaker that makes it "
                f"(known sky: {cube.meta['known_sky']})"
            )
        x, y, valid, flags = place_sources(positions, cube)
        if not valid.any():
            return None, valid, flags
        stamps, radii = field_stamps(
            datasets,
            cube,
            positions[valid],
            x[valid],
            y[valid],
            size=self.card.architecture["size"],
            pixel_size=self.bands.pixel_size,
        )
        share = stamps.valid.numpy().mean(axis=(1, 2))
        flags[valid] |= np.where(share < 1 - EDGE_SHARE, CandidateFlag.NEAR_EDGE, 0)
        flags[valid] |= self._out_of_range(radii, stamps, datasets)
        return stamps, valid, flags

    def _out_of_range(self, radius, stamps, datasets):
        """Flag of sources where the instrument is none of the training; far from those all are refused."""
        share = stamps.valid.numpy().mean(axis=(1, 2))[:, None]
        level = stamps.background.numpy().mean(axis=(2, 3)) / np.maximum(share, 1e-6)
        outside, far = np.zeros((2, len(radius)), bool)
        for values, ranges in ((radius, self.card.psf_r68), (level, self.card.background)):
            low, high = np.array(ranges).T
            # Absent bands have no radius; a level of zero is only a fainter one.
            seen = (values > 0) & np.isfinite(radius)
            factor = np.where(seen, np.maximum(values / high, low / np.where(seen, values, 1)), 1)
            outside |= (factor > TOLERANCE).any(axis=1)
            far |= (factor > FAR).any(axis=1)
        # Sources as wide as pixels that are not those of the model count as points
        outside |= stamps.narrowest.numpy() > COARSE * np.nanmin(radius, axis=1)
        # Without some of the bands, too, the data are of another kind of instrument
        if far.all() and not np.isfinite(radius).all():
            names = () if isinstance(datasets, BandCube) else (dataset.name for dataset in datasets)
            raise ValueError(
                f"{', '.join(names) or 'The data'}: energies and point spread function or background are far "
                f"from all that model {self.card.name!r} was trained for, as of another kind of instrument. "
                "Train on them with 'gammapy-asid train --task extension --dataset FILE', or test sources by "
                "'gammapy-asid fit --extension'"
            )
        if outside.any():
            log.warning(
                f"At {outside.sum()} of {len(outside)} sources pixels, point spread function or background "
                f"are outside what model {self.card.name!r} was trained for (flag UNTRAINED): do not trust "
                "their classes, or train on this dataset with 'gammapy-asid train --task extension --dataset'"
            )
        return np.where(outside, CandidateFlag.UNTRAINED, 0)


ESTIMATOR_REGISTRY.append(DLExtensionClassifier)
