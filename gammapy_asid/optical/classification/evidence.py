# Licensed under a 3-clause BSD style license - see LICENSE
"""What the pixels of a stamp say for a star against galaxies: likelihoods with free flux and place."""

import torch

from .templates import TEMPLATES, parent_of

__all__ = ["likelihood_gains"]

#: A little on the diagonal of normal equations, relative to it: templates at an edge may hold no light.
RIDGE = 1e-5


def likelihood_gains(signal, weight, templates):
    """Twice the gain in log-likelihood by a source of each template, against no source.

    Flux and a small shift of each template are those of least squares: with Gaussian noise the gains are
    sufficient for the choice among the templates.

    Parameters
    ----------
    signal, weight : `~torch.Tensor`
        Stamps without neighbours and inverse variance (0 where there are no data), shape ``(k, s, s)``.
    templates : `~torch.Tensor`
        Result of `~gammapy_asid.optical.classification.templates.places`.

    Returns
    -------
    gains : `~torch.Tensor`
        Shape ``(k, n_templates)``.
    star : `~torch.Tensor`
        Flux and shifts along x and y in pixels times flux of the star of least squares, shape ``(k, 3)``.
    """
    root = weight.sqrt()
    whitened = (templates * root[:, None]).flatten(2)
    data = (signal * root).flatten(1)
    gram = whitened @ whitened.transpose(1, 2)
    product = (whitened @ data[..., None])[..., 0]
    n = len(TEMPLATES)
    gains, star = [], None
    for i in range(n):
        first = n + 2 * parent_of(i)
        own = [i, first, first + 1]
        matrix, vector = gram[:, own][:, :, own], product[:, own]
        diagonal = matrix.diagonal(dim1=1, dim2=2)
        matrix = matrix + torch.diag_embed(RIDGE * diagonal + 1e-12)
        solution = torch.linalg.solve(matrix, vector)
        gains.append((solution * vector).sum(1))
        star = solution if star is None else star
    return torch.stack(gains, 1), star
