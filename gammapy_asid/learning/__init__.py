# Licensed under a 3-clause BSD style license - see LICENSE
"""What every learned task shares: card, recipe, trainer, release, calibration, layers."""
