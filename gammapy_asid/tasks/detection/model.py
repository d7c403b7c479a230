# Licensed under a 3-clause BSD style license - see LICENSE
"""A trained detection model: card, network, and its run on a band cube."""

import numpy as np
import torch
from gammapy.maps import Maps, WcsNDMap

from ...inputs.batch import field_batch
from ...inputs.tiles import Tiling
from ...learning.peaks import find_centres
from ...learning.trained import TrainedModel
from ...learning.unet import MultiResolutionUNet, UNetConfig
from ...utils.devices import inference
from .card import DetectionCard
from .network import field_inputs

__all__ = ["DetectionModel", "score_maps"]

# Fields up to TILE finest pixels are evaluated at once; beyond, tiles overlap by more
# than the network's reach of 44 pixels.
TILE, OVERLAP = 384, 64


class DetectionModel(TrainedModel):
    """Network with its card, ready to run.

    Parameters
    ----------
    card : `~gammapy_asid.tasks.detection.card.DetectionCard`
        Model card.
    network : `~gammapy_asid.learning.unet.MultiResolutionUNet`
        Network.
    device : str or `~torch.device`, optional
        Where it runs; by default the accelerator if there is one.
    """

    Card, Network, Config = DetectionCard, MultiResolutionUNet, UNetConfig

    @inference()
    def output(self, cube):
        """Output maps of the network on a field.

        Parameters
        ----------
        cube : `~gammapy_asid.inputs.BandCube`
            Field.

        Returns
        -------
        output : `~torch.Tensor`
            Logits of centre and match maps, offsets in x and y and logarithm of their
            error in finest pixels, shape ``(5, ny, nx)``.
        """
        batch = field_batch([cube]).to(self.device)
        inputs = field_inputs(self.network, batch)
        tiling = Tiling(cube.mask.shape[1:], tile=TILE, overlap=OVERLAP, block=cube.bands.block)

        def evaluate(tile):
            part = {
                level: tile.cut(value, level).to(memory_format=torch.channels_last)
                for level, value in inputs.items()
            }
            return self.network(part, batch.conditions)[0].cpu().numpy()

        return torch.from_numpy(tiling.stitch(evaluate(tile) for tile in tiling))

    def peaks(self, output, cube, method="log"):
        """Source centres with calibrated score and position error.

        Parameters
        ----------
        output : `~torch.Tensor`
            Result of `output`.
        cube : `~gammapy_asid.inputs.BandCube`
            Field.
        method : {"log", "kmeans"}
            See `~gammapy_asid.learning.peaks.find_centres`.

        Returns
        -------
        peaks : `~gammapy_asid.learning.peaks.Peaks`
            Sorted by decreasing score.
        """
        finest = [level == 0 for level in cube.bands.levels]
        mask = torch.from_numpy(cube.mask[finest].any(axis=0)).float()
        peaks = find_centres(
            output[None], cube.response.pixel_size, mask[None], bands=cube.bands, method=method
        )
        peaks.score = self.card.score(peaks.score, peaks.height, cube.has_background)
        return peaks


def score_maps(output, cube):
    """Maps of a field: probabilities of a source near each pixel, and of its centre in it.

    Parameters
    ----------
    output : `~torch.Tensor`
        Result of `DetectionModel.output`.
    cube : `~gammapy_asid.inputs.BandCube`
        Field.

    Returns
    -------
    maps : `~gammapy.maps.Maps`
        Maps ``score`` and ``centre``.
    """
    probability = output[:2].sigmoid().numpy() * cube.mask.any(axis=0)
    return Maps(
        score=WcsNDMap(cube.geom, probability[1].astype(np.float32)),
        centre=WcsNDMap(cube.geom, probability[0].astype(np.float32)),
    )
