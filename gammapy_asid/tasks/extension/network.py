# Licensed under a 3-clause BSD style license - see LICENSE
"""The network that tells the size of a source from a stamp in several bands."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ...inputs.stamps import CONTAINMENTS
from ...utils.tensor_rows import TensorRows
from .profiles import TRIALS, compare_profiles, ring_masks, signed_log_significance

__all__ = ["ExtensionConfig", "ExtensionNetwork", "ExtensionOutput", "build_stamp_network"]


@dataclass(frozen=True)
class ExtensionConfig:
    """Shape of the network.

    Parameters
    ----------
    bands : int
        Energy bands.
    classes : int
        Classes of size.
    size : int
        Side of the stamps in pixels.
    widths : tuple of int
        Channels of the blocks, each on pixels twice as large as the one before.
    hidden : int
        Units of the layers that join everything.
    radii : int
        Number of radii of the point spread function that it is told, the first of `CONTAINMENTS`.
    profiles : bool
        Whether it sees what the best point leaves in rings, and tests of wider profiles against the
        point; these need all radii.
    """

    bands: int = 4
    classes: int = 3
    size: int = 72
    widths: tuple = (16, 32, 48, 64)
    hidden: int = 160
    # Weights of version 0.1 have these
    radii: int = 2
    profiles: bool = False


@dataclass
class ExtensionOutput(TensorRows):
    """Raw predictions for ``n`` candidates.

    Parameters
    ----------
    classes : `~torch.Tensor`
        Logits of the classes, shape ``(n, n_classes)``.
    extended : `~torch.Tensor`
        Logit of not being a point, shape ``(n,)``.
    log_size, log_error : `~torch.Tensor`
        Logarithm of the size in deg if it is extended, and of the standard deviation of that, shape ``(n,)``.
    """

    classes: torch.Tensor
    extended: torch.Tensor
    log_size: torch.Tensor
    log_error: torch.Tensor


class _Block(nn.Module):
    """Two convolutions; the instrument scales and shifts what they see (FiLM, Perez et al. 2018, AAAI)."""

    def __init__(self, inputs, width, conditions):
        super().__init__()
        self.first = nn.Conv2d(inputs, width, 3, padding=1, bias=False)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(2))
        self.film = nn.Linear(conditions, 2 * width)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(self, x, conditions):
        x = F.relu(self.norms[0](self.first(x)))
        x = self.norms[1](self.second(x))
        scale, shift = self.film(conditions)[..., None, None].chunk(2, dim=1)
        return F.relu(x * (1 + scale) + shift)


class ExtensionNetwork(nn.Module):
    """VGG-like network (Simonyan & Zisserman 2015, ICLR) on several resolutions.

    It sees the significance of the excess, which keeps the absolute number of counts: of pixels, of
    2x2, 4x4 and 8x8 pixels where its own pixels have that size, and of rings around the candidate. It is told
    the background and the point spread function of each band. The rings are compared with that function:
    what the best point leaves in them, and how much better the profiles of wider sources fit.

    Parameters
    ----------
    config : `ExtensionConfig`
        Shape.
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        bands, widths = config.bands, config.widths
        conditions = (2 + config.radii) * bands
        self.embedding = nn.Sequential(nn.Linear(conditions, 32), nn.ReLU())
        inputs = [bands + 1, *(bands + width for width in widths[:-1])]
        self.blocks = nn.ModuleList(_Block(i, width, 32) for i, width in zip(inputs, widths, strict=True))
        self.squeeze = nn.Conv2d(widths[-1], 16, 1)
        side = config.size // 2 ** (len(widths) - 1)
        rings = ring_masks(config.size)
        self.register_buffer("rings", rings, persistent=False)
        joined = 16 * side**2 + bands * len(rings) + conditions
        if config.profiles:
            joined += bands * (len(rings) + len(TRIALS))
        self.join = nn.Sequential(
            nn.Linear(joined, config.hidden), nn.ReLU(), nn.Linear(config.hidden, config.hidden), nn.ReLU()
        )
        self.head = nn.Linear(config.hidden, config.classes + 3)

    def _conditions(self, background, psf):
        """Presence, background and PSF of each band, shape ``(n, (2 + radii) * n_bands)``."""
        present = torch.isfinite(psf[..., 0]).float()
        # Inputs of order one
        level = torch.log(background.mean((2, 3)) + 1e-3) / 3
        radii = torch.nan_to_num(psf[..., : self.config.radii]).unbind(-1)
        parts = torch.stack([present, level * present, *radii], -1)
        return parts.flatten(1)

    def last_layer(self, counts, background, valid, psf):
        """Values of the last hidden layer, shape ``(n, hidden)``.

        Parameters
        ----------
        counts, background, valid, psf : `~torch.Tensor`
            Tensors of `~gammapy_asid.inputs.stamps.Stamps`.
        """
        given = self._conditions(background, psf)
        condition = self.embedding(given)
        x = None
        n, b = counts, background
        for i, block in enumerate(self.blocks):
            if i:
                x = F.max_pool2d(x, 2)
                n, b = (4 * F.avg_pool2d(v, 2) for v in (n, b))
            z = signed_log_significance(n, b)
            z = torch.cat([z, valid[:, None] if x is None else x], 1)
            x = block(z.contiguous(memory_format=torch.channels_last), condition)
        counts, background = (torch.einsum("nbyx,ryx->nbr", v, self.rings) for v in (counts, background))
        joined = [F.relu(self.squeeze(x)), signed_log_significance(counts, background), given]
        if self.config.profiles:
            pixels = self.rings.sum((1, 2))
            share = torch.einsum("nyx,ryx->nr", valid, self.rings) / pixels
            # In single precision also where the network runs in half
            with torch.autocast(counts.device.type, enabled=False):
                joined += compare_profiles(
                    *(v.float() for v in (counts, background, share, torch.nan_to_num(psf))), pixels
                )
        return self.join(torch.cat([v.flatten(1) for v in joined], 1))

    def forward(self, counts, background, valid, psf):
        """Predictions for stamps.

        Parameters
        ----------
        counts, background, valid, psf
            See `last_layer`.

        Returns
        -------
        output : `~torch.Tensor`
            Shape ``(n, n_classes + 3)``, see `split`.
        """
        return self.head(self.last_layer(counts, background, valid, psf))

    def split(self, output):
        """Parts of the output (`ExtensionOutput`).

        Parameters
        ----------
        output : `~torch.Tensor`
            Result of `forward`.
        """
        k = self.config.classes
        # The size is counted from 0.1 deg; errors are bounded, so that no sample pulls without limit.
        log_size = output[:, k + 1] + np.log(0.1)
        return ExtensionOutput(output[:, :k], output[:, k], log_size, output[:, k + 2].clamp(-5, 1.5))


def build_stamp_network(recipe, n_bands):
    """Untrained network of a recipe (`ExtensionNetwork`).

    Parameters
    ----------
    recipe : `~gammapy_asid.tasks.extension.recipe.ExtensionRecipe`
        Recipe.
    n_bands : int
        Energy bands.
    """
    config = ExtensionConfig(
        bands=n_bands,
        classes=len(recipe.edges) + 1,
        size=recipe.size,
        widths=recipe.widths,
        hidden=recipe.hidden,
        radii=len(CONTAINMENTS),
        profiles=True,
    )
    return ExtensionNetwork(config)
