# Licensed under a 3-clause BSD style license - see LICENSE
"""A library of fine structure of interstellar emission, made once by a generator and used in simulations."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from ..utils.devices import Movable
from ..utils.files import new_file
from ..utils.tensor_files import open_tensors

__all__ = ["COARSE", "StructureLibrary"]

#: Standard deviation in deg of the Gaussian that makes the coarse emission. Means of blocks of 1.5 deg with
#: linear interpolation between them are as wide, sqrt(1.5**2 / 12 + 1.5**2 / 6), but have edges.
COARSE = 0.75

#: A patch takes one of this many fields whose latitudes are nearest to its own.
NEAREST = 32


@dataclass
class StructureLibrary(Movable):
    """Fields of the logarithm of the fine over the coarse emission.

    Parameters
    ----------
    structure : `~torch.Tensor`
        Fields, half precision of shape ``(n, size, size)``.
    latitude : `~torch.Tensor`
        Absolute Galactic latitude of their centres in deg, shape ``(n,)``.
    pixel_size : float
        In deg.
    """

    structure: torch.Tensor
    latitude: torch.Tensor
    pixel_size: float

    def __len__(self):
        return len(self.latitude)

    def draw(self, latitude, width, n_pixels, generator):
        """Structure of patches of the sky: parts of fields made for their latitude, turned and mirrored.

        Parameters
        ----------
        latitude, width : `~torch.Tensor`
            Galactic latitude and width of the patches in deg, shape ``(n,)``. Where a patch is wider than
            the fields, these are mirrored at their edges.
        n_pixels : int
            Pixels along a side of the patches.
        generator : `~torch.Generator`
            Source of randomness.

        Returns
        -------
        structure : `~torch.Tensor`
            Shape ``(n, n_pixels, n_pixels)``.
        """
        n, device = len(latitude), self.structure.device
        there = {"generator": generator, "device": device}
        distance = (self.latitude - latitude.abs()[:, None]).abs()
        nearest = distance.topk(min(NEAREST, len(self)), largest=False).indices
        chosen = nearest.gather(1, torch.randint(nearest.shape[1], (n, 1), **there))[:, 0]
        # In units of half the width of a field
        share = (width / (self.structure.shape[-1] * self.pixel_size))[:, None]
        middle = (2 * torch.rand(n, 2, **there) - 1) * (1 - share).clamp(min=0)
        step = (torch.arange(n_pixels, device=device) + 0.5) / n_pixels * 2 - 1
        x, y = (share * step + middle[:, axis, None] for axis in range(2))
        turn = torch.randint(2, (n, 3), **there).bool()[..., None, None]
        grid = torch.stack(torch.broadcast_tensors(x[:, None], y[:, :, None]), -1)
        # Turns and reflections of a square: the axes exchanged, and each of them reversed
        grid = torch.where(turn[:, 0, ..., None], grid.flip(-1), grid)
        grid = torch.where(turn[:, 1:].flatten(1)[:, None, None], -grid, grid)
        fields = self.structure[chosen].float()[:, None]
        return F.grid_sample(
            fields, grid, mode="bicubic", padding_mode="reflection", align_corners=False
        ).squeeze(1)

    def save(self, path, overwrite=False):
        """Write as safetensors.

        Parameters
        ----------
        path : path
            File.
        overwrite : bool
            Whether an existing file may be replaced.

        Raises
        ------
        FileExistsError
            If the file exists and `overwrite` is False.
        """
        tensors = {"structure": self.structure.half(), "latitude": self.latitude.float()}
        tensors = {name: value.cpu().contiguous() for name, value in tensors.items()}
        with new_file(path, overwrite) as temporary:
            save_file(tensors, temporary, metadata={"pixel_size": repr(float(self.pixel_size))})

    @classmethod
    def load(cls, path):
        """Read what `save` wrote.

        Parameters
        ----------
        path : path
            File.

        Returns
        -------
        library : `StructureLibrary`
            Library.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is no library.
        """
        about = "library of structure", "no library of structure", "make it again"
        with open_tensors(path, *about) as file:
            size = float((file.metadata() or {})["pixel_size"])
            library = cls(file.get_tensor("structure"), file.get_tensor("latitude"), size)
            library._check()
        return library

    def _check(self):
        """Raise ValueError where it holds no fields, or others than it says."""
        n, ny, nx = self.structure.shape
        if n == 0 or ny != nx or self.latitude.shape != (n,) or not 0 < self.pixel_size < 180:
            raise ValueError(
                f"{len(self.latitude)} latitudes for fields of shape {(n, ny, nx)}, and pixels of "
                f"{self.pixel_size} deg"
            )
        if not bool(self.structure.isfinite().all() and self.latitude.isfinite().all()):
            raise ValueError("not all values are finite")
