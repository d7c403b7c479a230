# Licensed under a 3-clause BSD style license - see LICENSE
"""A trained detection model: card, network, and its run on a band cube."""

import logging

import numpy as np
import torch

from ..inputs.tiles import Tiling
from ..weights import load_card
from .description import psf_radius
from .features import network_inputs
from .fields import field_batch
from .loading import as_device, load_network
from .peaks import find_centres
from .unet import MultiResolutionUNet, UNetConfig

__all__ = ["DetectionModel", "check_range"]

log = logging.getLogger(__name__)

# Fields up to TILE finest pixels are evaluated at once; beyond, tiles overlap by more
# than the network's reach of 44 pixels.
TILE, OVERLAP = 384, 64


class DetectionModel:
    """Network with its card, ready to run.

    Parameters
    ----------
    card : `~gammapy_asid.weights.ModelCard`
        Model card.
    network : `~gammapy_asid.networks.MultiResolutionUNet`
        Network.
    device : str or `~torch.device`, optional
        Where it runs; by default the accelerator if there is one.
    """

    def __init__(self, card, network, device=None):
        self.card = card
        self.bands = card.to_bands()
        self.device = as_device(device)
        self.network = network.eval().to(self.device, memory_format=torch.channels_last)

    @classmethod
    def load(cls, model, device=None):
        """Load a shipped model by name, or weights with their card from a path.

        Parameters
        ----------
        model : str or path
            Name or path of a ``.safetensors`` file.
        device : str or `~torch.device`, optional
            Where it runs.

        Raises
        ------
        FileNotFoundError
            If there is no such model.
        ValueError
            If the weights are corrupt or not those of the card.
        """
        card = load_card(model)
        network = load_network(model, card, MultiResolutionUNet, UNetConfig)
        return cls(card, network, device)

    def __repr__(self):
        return f"<DetectionModel {self.card.name!r} version {self.card.version}>"

    @torch.inference_mode()
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
        inputs = network_inputs(batch)
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
            See `~gammapy_asid.networks.peaks.find_centres`.

        Returns
        -------
        peaks : `~gammapy_asid.networks.Peaks`
            Sorted by decreasing score.
        """
        finest = [level == 0 for level in cube.bands.levels]
        mask = torch.from_numpy(cube.mask[finest].any(axis=0)).float()
        peaks = find_centres(
            output[None], cube.response.pixel_size, mask[None], bands=cube.bands, method=method
        )
        peaks.score = self.card.score(peaks.score, peaks.height, cube.has_background)
        return peaks


def check_range(card, response):
    """Warn where an instrument lies outside the range of a model's training.

    Parameters
    ----------
    card : `~gammapy_asid.weights.ModelCard` or `~gammapy_asid.weights.EnsembleCard`
        Card of the model.
    response : `~gammapy_asid.inputs.Response`
        Instrument response.
    """
    # Angles of coarse data have grown
    scale = response.bands.pixel_size / card.to_bands().pixel_size
    if scale > 1:
        log.warning(
            f"The pixels of the data are coarse: angles of model {card.name!r} are taken {scale:.1f} times "
            f"larger, and a candidate is a source within {response.bands.match_radius:.2g} deg of it."
        )
    pieces = [
        ("pixel size", "deg", np.array([response.pixel_size]), scale * np.array([card.pixel_size])),
        ("PSF radius", "deg", psf_radius(response), scale * np.array(card.psf_r68)),
        ("exposure", "cm2 s", response.exposure.mean(axis=1), card.exposure),
    ]
    for name, unit, values, limits in pieces:
        for value, limit in zip(values, limits, strict=True):
            # Absent bands have no value to compare.
            if value > 0 and not 0.98 * limit[0] <= value <= 1.02 * limit[1]:
                log.warning(
                    f"The {name} {value:.3g} {unit} is outside {limit[0]:.3g}-{limit[1]:.3g} {unit}, for "
                    f"which model {card.name!r} was trained: check its results, or train on this "
                    "dataset with 'gammapy-asid train --dataset'."
                )
