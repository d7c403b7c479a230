# Licensed under a 3-clause BSD style license - see LICENSE
"""The detection network for bands."""

from ...inputs.conditioning import TRIAL_SPECTRA, n_conditions
from ...learning.unet import MultiResolutionUNet, UNetConfig
from ...stats.significance import BAND_CHANNELS

__all__ = ["build_network"]


def build_network(bands, widths):
    """Untrained network for bands.

    Parameters
    ----------
    bands : `~gammapy_asid.inputs.Bands`
        Bands.
    widths : tuple of int
        Feature channels on every level.
    """
    n_levels = len(widths)
    inputs = [BAND_CHANNELS * sum(level == depth for level in bands.levels) for depth in range(n_levels)]
    inputs[0] += 2 * len(TRIAL_SPECTRA) + 1
    for level in bands.extent_levels:
        inputs[level] += 2 * len(TRIAL_SPECTRA)
    config = UNetConfig(inputs=tuple(inputs), conditions=n_conditions(bands), widths=tuple(widths))
    return MultiResolutionUNet(config)
