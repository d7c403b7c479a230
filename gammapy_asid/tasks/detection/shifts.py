# Licensed under a 3-clause BSD style license - see LICENSE
"""Output of the network, averaged over the ways to join pixels for the coarser bands."""

from dataclasses import replace

import torch.nn.functional as F

from ...inputs.convert import to_band_cube

__all__ = ["averaged_output"]


def averaged_output(trained, datasets, cube, n_shifts):
    """Output of a detection model on a field, averaged over shifts of the blocks of pixels.

    Parameters
    ----------
    trained : `~gammapy_asid.tasks.detection.model.DetectionModel`
        Model.
    datasets : list of `~gammapy.datasets.MapDataset`
        Data of the field.
    cube : `~gammapy_asid.inputs.BandCube`
        Their band cube, whose blocks begin at the first pixel.
    n_shifts : int
        Number of ways, 1 to 8.

    Returns
    -------
    output : `~torch.Tensor`
        Maps of `~gammapy_asid.tasks.detection.model.DetectionModel.output` on the pixels of `cube`.
    """
    output = trained.output(cube)
    ny, nx = output.shape[1:]
    for i in range(1, n_shifts):
        # Blocks have up to 8 pixels a side: both steps are odd, so that each shift is another one
        dx, dy = 3 * i % 8, 5 * i % 8
        moved = to_band_cube(datasets, trained.card.to_bands(), shift=(dx, dy))
        # What is no known sky is none here, too
        moved = replace(moved, background=moved.background if cube.has_background else None)
        # The shift may have added a block at the right or the top
        output = output + F.pad(trained.output(moved), (0, 8, 0, 8))[:, dy : dy + ny, dx : dx + nx]
    return output / n_shifts
