# Licensed under a 3-clause BSD style license - see LICENSE
"""Simulated patches of the sky and the sources in them."""

from dataclasses import dataclass, fields

import torch

from ..inputs.bands import Bands
from ..inputs.batch import FieldBatch
from ..utils.devices import Movable

__all__ = ["PatchSources", "SimulatedPatches"]


@dataclass(kw_only=True)
class PatchSources:
    """Sources in patches and around them, tensors of shape ``(n,)``.

    Parameters
    ----------
    patch, x, y : `~torch.Tensor`
        Patch and position in finest pixels.
    flux : `~torch.Tensor`
        Photon flux in 1 / (cm2 s).
    spectra : dict of `~torch.Tensor`
        See `~gammapy_asid.simulation.spectra.differential_flux`.
    counts : `~torch.Tensor`
        Expected counts for the mean exposure of the patch, shape ``(n, n_bands, n_sub)``.
    latitude : `~torch.Tensor`
        Galactic latitude in deg, NaN where the patch is nowhere on the sky.
    exposure : `~torch.Tensor`, optional
        Exposure of each band at the source over its mean, shape ``(n, n_bands)``; by default 1.
    width, pixel_width : `~torch.Tensor`, optional
        Root mean square of the extent along one axis, in deg and in finest pixels.
    kind : `~torch.Tensor`, optional
        Index in `~gammapy_asid.simulation.shapes.SHAPES`.
    significance : `~torch.Tensor`, optional
        See `SimulatedPatches`.
    source_class : `~torch.Tensor`, optional
        Index in `~gammapy_asid.simulation.mock_catalog.SOURCE_CLASSES`, -1 for none of them, int8.
    """

    patch: torch.Tensor
    x: torch.Tensor
    y: torch.Tensor
    flux: torch.Tensor
    spectra: dict
    counts: torch.Tensor
    latitude: torch.Tensor
    exposure: torch.Tensor = None
    width: torch.Tensor = None
    pixel_width: torch.Tensor = None
    kind: torch.Tensor = None
    significance: torch.Tensor = None
    source_class: torch.Tensor = None

    @property
    def seen_counts(self):
        """Expected counts for the exposure at the source, shape ``(n, n_bands, n_sub)``."""
        return self.counts if self.exposure is None else self.counts * self.exposure[..., None]

    def select(self, chosen):
        """Some of the sources.

        Parameters
        ----------
        chosen : `~torch.Tensor`
            Mask or indices.

        Returns
        -------
        sources : `PatchSources`
            The chosen ones.
        """
        if chosen.dtype == torch.bool:
            # Once for all: on an accelerator each mask waits for the host
            (chosen,) = torch.nonzero(chosen, as_tuple=True)

        def of(value):
            if isinstance(value, dict):
                return {name: of(item) for name, item in value.items()}
            return None if value is None else value[chosen]

        return PatchSources(**{f.name: of(getattr(self, f.name)) for f in fields(self)})

    def joined(self, other):
        """These sources and others behind them.

        Parameters
        ----------
        other : `PatchSources`
            Sources that have the same optional values.

        Returns
        -------
        sources : `PatchSources`
            All of them.
        """

        def of(first, second):
            if isinstance(first, dict):
                return {name: of(item, second[name]) for name, item in first.items()}
            return None if first is None else torch.cat([first, second])

        return PatchSources(
            **{f.name: of(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)}
        )


@dataclass(kw_only=True)
class SimulatedPatches(Movable):
    """Patches with their truth.

    Parameters
    ----------
    bands : `~gammapy_asid.inputs.Bands`
        Bands of the model.
    batch : `~gammapy_asid.inputs.batch.FieldBatch`
        What the network sees.
    patch, x, y, flux : `~torch.Tensor`
        True sources that are not part of the known sky: patch, position in finest
        pixels, photon flux in 1 / (cm2 s); shape ``(n_sources,)``.
    significance : `~torch.Tensor`
        Standard deviations at which each of them would be seen on average, were it alone
        on the true emission; shape ``(n_sources,)``.
    spectra : dict of `~torch.Tensor`
        Their spectra, see `~gammapy_asid.simulation.spectra.differential_flux`, shape ``(n_sources,)`` each.
    counts : `~torch.Tensor`
        Expected counts of each of them in the bands on valid sky, shape ``(n_sources, n_bands)``.
    latitude : `~torch.Tensor`
        Their Galactic latitude in deg, NaN where the patch is nowhere on the sky; shape ``(n_sources,)``.
    instrument : `~torch.Tensor`
        Index of each patch's response, shape ``(n_patches,)``.
    expected : list of `~torch.Tensor`
        Per band: expected counts of the patches, shape as the counts.
    width : `~torch.Tensor`, optional
        Width per axis in deg of a Gaussian as wide as each source, by default 0: points.
    source_class : `~torch.Tensor`, optional
        Class of each source, see `PatchSources`; None where the sky has no classes.
    """

    bands: Bands
    batch: FieldBatch
    patch: torch.Tensor
    x: torch.Tensor
    y: torch.Tensor
    flux: torch.Tensor
    significance: torch.Tensor
    spectra: dict
    counts: torch.Tensor
    latitude: torch.Tensor
    instrument: torch.Tensor
    expected: list
    width: torch.Tensor = None
    source_class: torch.Tensor = None

    def __post_init__(self):
        if self.width is None:
            self.width = torch.zeros_like(self.x)
