# Licensed under a 3-clause BSD style license - see LICENSE
"""The detection network for bands, and its view of fields."""

from ...inputs.conditioning import TRIAL_SPECTRA, n_conditions
from ...learning.unet import MultiResolutionUNet, UNetConfig
from ...stats.significance import channel_names, network_inputs

__all__ = ["build_network", "field_inputs"]


def build_network(bands, widths, profiled=False):
    """Untrained network for bands.

    Parameters
    ----------
    bands : `~gammapy_asid.inputs.Bands`
        Bands.
    widths : tuple of int
        Feature channels on every level.
    profiled : bool
        Whether it sees the profiled significance, see `~gammapy_asid.stats.significance.network_inputs`.
    """
    names = channel_names(bands, len(TRIAL_SPECTRA), profiled)
    inputs = [len(names.get(level, [])) for level in range(len(widths))]
    config = UNetConfig(inputs=tuple(inputs), conditions=n_conditions(bands), widths=tuple(widths))
    return MultiResolutionUNet(config)


def field_inputs(network, batch):
    """Input channels of fields for a network, see `~gammapy_asid.stats.significance.network_inputs`.

    Parameters
    ----------
    network : `~gammapy_asid.learning.unet.MultiResolutionUNet`
        Network.
    batch : `~gammapy_asid.inputs.batch.FieldBatch`
        Fields.
    """
    names = channel_names(batch, batch.spectra.shape[1], profiled=True)
    return network_inputs(batch, profiled=network.config.inputs[0] == len(names[0]))
