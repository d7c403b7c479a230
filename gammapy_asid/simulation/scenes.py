# Licensed under a 3-clause BSD style license - see LICENSE
"""Scenes around sources: what is simulated, the instrument, the result."""

from dataclasses import dataclass, fields

import numpy as np
import torch

from ..inputs.bands import Response
from ..inputs.stamps import Stamps
from ..utils.devices import Movable

__all__ = ["Scene", "SimulatedStamps", "StampResponse"]


@dataclass(frozen=True)
class StampResponse:
    """Instrument around one place.

    Parameters
    ----------
    response : `~gammapy_asid.inputs.Response`
        Response at the place.
    exposure : `~numpy.ndarray`
        Exposure of the pixels over that of the place, shape ``(n_bands, size, size)``.
    background : `~numpy.ndarray`
        Expected counts of the pixels, shape as `exposure`.
    other : bool
        Whether it is that of another telescope, which scenes ask for.
    """

    response: Response
    exposure: np.ndarray
    background: np.ndarray
    other: bool = False


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What is drawn beside the source.

    Parameters
    ----------
    hours : tuple of float
        Interval of the observation time over that of the responses, drawn logarithmically.
    reference : float, optional
        Observation time at which fluxes are those of `log_flux`: in longer ones they are fainter as the
        square root of the time, so that significances stay. By default fluxes do not depend on it.
    log_flux, index : tuple of float
        Mean and standard deviation of the decimal logarithm of the amplitude at 1 TeV in cm-2 s-1 TeV-1, and
        of the photon index.
    size : tuple of float
        Interval of the size in deg, drawn logarithmically.
    points : float
        Share of points among all sources.
    shapes : tuple of float
        Relative numbers of Gaussians, disks and shells among extended ones.
    elongation : float
        Largest ratio of the axes of Gaussians.
    offset : tuple of float
        Standard deviation per axis of the candidate's distance from the source: in deg, and in sizes of the
        source. The place within the pixel is always random.
    neighbours : float
        Mean number of other sources in the stamp and its margin; half are known.
    emission : float
        Share of the stamps with interstellar emission.
    unknown_emission : float
        Share of these where the known sky lacks it.
    background_error : float
        Standard deviation of the largest errors of the known background; they reach down to a hundredth.
    exact : float
        Share of stamps with an exactly known background.
    edges : float
        Share of stamps that reach over the edge of the field.
    missing_bands : float
        Share of stamps without the lowest bands or the highest one.
    psf_error : float
        Standard deviation of the relative error of the radii that are told of the point spread function.
    other : bool
        Whether the places are those of other telescopes.
    """

    hours: tuple = (20.0, 100.0)
    reference: float | None = None
    log_flux: tuple = (-12.0, 0.8)
    index: tuple = (2.2, 0.1)
    size: tuple = (0.03, 1.0)
    points: float = 0.0
    shapes: tuple = (1.0, 0.0, 0.0)
    elongation: float = 1.0
    offset: tuple = (0.0, 0.0)
    neighbours: float = 0.0
    emission: float = 0.0
    unknown_emission: float = 0.0
    background_error: float = 0.0
    exact: float = 1.0
    edges: float = 0.0
    missing_bands: float = 0.0
    psf_error: float = 0.0
    other: bool = False


@dataclass(kw_only=True)
class SimulatedStamps(Movable):
    """Stamps and their truth, tensors of shape ``(n,)``.

    Parameters
    ----------
    stamps : `~gammapy_asid.inputs.stamps.Stamps`
        What the network sees.
    size : `~torch.Tensor`
        Size in deg, 0 for points.
    kind : `~torch.Tensor`
        Index in `~gammapy_asid.simulation.shapes.SHAPES`.
    amplitude : `~torch.Tensor`
        At 1 TeV in cm-2 s-1 TeV-1.
    index : `~torch.Tensor`
        Photon index.
    ts : `~torch.Tensor`
        Expected test statistic of the source, all else known.
    x, y : `~torch.Tensor`
        Place of the source in pixels.
    place : `~torch.Tensor`
        Index of the response.
    hours : `~torch.Tensor`
        Observation time over that of the response.
    source : `~torch.Tensor`, optional
        Expected counts of the source, shape of the stamps' counts.
    """

    stamps: Stamps
    size: torch.Tensor
    kind: torch.Tensor
    amplitude: torch.Tensor
    index: torch.Tensor
    ts: torch.Tensor
    x: torch.Tensor
    y: torch.Tensor
    place: torch.Tensor
    hours: torch.Tensor
    source: torch.Tensor = None

    def __len__(self):
        return len(self.size)

    @classmethod
    def cat(cls, parts):
        """Join batches.

        Parameters
        ----------
        parts : list of `SimulatedStamps`
            Batches, all with the counts of the sources or none.

        Returns
        -------
        simulated : `SimulatedStamps`
            All stamps.
        """
        stamps = Stamps(*(torch.cat(v) for v in zip(*(p.stamps.tensors for p in parts), strict=True)))
        names = [f.name for f in fields(cls) if f.name not in ("stamps", "source")]
        values = {name: torch.cat([getattr(p, name) for p in parts]) for name in names}
        source = None if parts[0].source is None else torch.cat([p.source for p in parts])
        return cls(stamps=stamps, source=source, **values)
