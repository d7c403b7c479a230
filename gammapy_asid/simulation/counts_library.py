# Licensed under a 3-clause BSD style license - see LICENSE
"""A library of patches of generated counts, made once and used to train a detector."""

import json
from dataclasses import dataclass

import torch
from safetensors.torch import save_file

from ..utils.devices import Movable
from ..utils.files import new_file
from ..utils.tensor_files import open_tensors

__all__ = ["CountsLibrary"]

TENSORS = ("counts", "patch", "x", "y", "significance")


@dataclass
class CountsLibrary(Movable):
    """Patches of counts of one instrument, and the sources in them.

    Parameters
    ----------
    counts : `~torch.Tensor`
        Counts of all bands on the finest pixels, int32 of shape ``(n, n_bands, size, size)``.
    patch, x, y, significance : `~torch.Tensor`
        Patch, position in finest pixels and expected significance of each source, shape ``(n_sources,)``,
        sorted by patch.
    edges : tuple of float
        Edges of the bands in GeV.
    pixel_size : float
        Of the finest pixels in deg.
    exposure : tuple of float
        Mean exposure of each band in cm2 s, 0 where it is absent.
    """

    counts: torch.Tensor
    patch: torch.Tensor
    x: torch.Tensor
    y: torch.Tensor
    significance: torch.Tensor
    edges: tuple
    pixel_size: float
    exposure: tuple

    def __len__(self):
        return len(self.counts)

    def sources_of(self, chosen):
        """Sources of some patches.

        Parameters
        ----------
        chosen : `~torch.Tensor`
            Patches, each as often as it is wanted, shape ``(n,)``.

        Returns
        -------
        patch, x, y, significance : `~torch.Tensor`
            As those of the library, with the place in `chosen` as the patch.
        """
        number = torch.bincount(self.patch, minlength=len(self))
        first = torch.cumsum(number, 0) - number
        number, first = number[chosen], first[chosen]
        patch = torch.repeat_interleave(torch.arange(len(chosen), device=chosen.device), number)
        before = torch.cumsum(number, 0) - number
        row = first[patch] + torch.arange(len(patch), device=chosen.device) - before[patch]
        return patch, self.x[row], self.y[row], self.significance[row]

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
        tensors = {name: getattr(self, name).cpu().contiguous() for name in TENSORS}
        about = {name: getattr(self, name) for name in ("edges", "pixel_size", "exposure")}
        with new_file(path, overwrite) as temporary:
            save_file(tensors, temporary, metadata={"instrument": json.dumps(about)})

    @classmethod
    def load(cls, path):
        """Read what `save` wrote.

        Parameters
        ----------
        path : path
            File.

        Returns
        -------
        library : `CountsLibrary`
            Library.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is no library.
        """
        with open_tensors(path, "library of counts", "no library of counts", "make it again") as file:
            about = json.loads((file.metadata() or {})["instrument"])
            tensors = {name: file.get_tensor(name) for name in TENSORS}
            edges, exposure = (tuple(map(float, about[name])) for name in ("edges", "exposure"))
            library = cls(**tensors, edges=edges, pixel_size=float(about["pixel_size"]), exposure=exposure)
            library._check()
        return library

    def _check(self):
        """Raise ValueError where tensors do not belong together."""
        n, n_bands, ny, nx = self.counts.shape
        if n == 0 or ny != nx or not n_bands == len(self.exposure) == len(self.edges) - 1:
            raise ValueError(f"counts of shape {tuple(self.counts.shape)} for {len(self.exposure)} bands")
        same = len({len(getattr(self, name)) for name in TENSORS[1:]}) == 1
        order = self.patch.diff()
        if not same or bool((order < 0).any()) or not bool(((self.patch >= 0) & (self.patch < n)).all()):
            raise ValueError("its sources are not those of its patches")
