# Licensed under a 3-clause BSD style license - see LICENSE
"""What a classifier of extension learns: classes, points against extended sources, sizes."""

import torch
import torch.nn.functional as F

__all__ = ["classes_of", "extension_loss"]

# Deviations of the size beyond this many errors pull no harder: a confused source has any size.
OUTLIER = 3.0

# Weights of the losses of points and of sizes; that of the classes, which are asked for first, is one.
POINT_WEIGHT, SIZE_WEIGHT = 0.5, 0.3


def classes_of(size, edges):
    """Index of the class of each size, shape ``(n,)``.

    Parameters
    ----------
    size, edges
        See `extension_loss`.
    """
    return torch.bucketize(size, size.new_tensor(edges), right=True)


def extension_loss(output, size, edges):
    """Loss of classes, of points against extended sources, and of sizes.

    Parameters
    ----------
    output : `~gammapy_asid.tasks.extension.network.ExtensionOutput`
        Predictions.
    size : `~torch.Tensor`
        True size in deg, 0 for points, shape ``(n,)``.
    edges : tuple of float
        Edges of the classes.

    Returns
    -------
    parts : dict of `~torch.Tensor`
        ``loss``, and its parts ``class``, ``point`` and ``size``.
    """
    extended = size > 0
    of_class = F.cross_entropy(output.classes, classes_of(size, edges))
    of_point = F.binary_cross_entropy_with_logits(output.extended, extended.float())
    pull = ((torch.log(size.clamp(min=1e-4)) - output.log_size) * torch.exp(-output.log_error)).abs()
    pull = torch.where(pull < OUTLIER, pull**2 / 2, OUTLIER * pull - OUTLIER**2 / 2)
    of_size = ((pull + output.log_error) * extended).sum() / extended.sum().clamp(min=1)
    loss = of_class + POINT_WEIGHT * of_point + SIZE_WEIGHT * of_size
    return {"loss": loss, "class": of_class, "point": of_point, "size": of_size}
