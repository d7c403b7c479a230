# Licensed under a 3-clause BSD style license - see LICENSE
"""What the ensembles see of a source: its fit, the residuals around it, its neighbours."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import KDTree

from ...stats.significance import compress
from ...stats.spectral_fit import fit_power_laws
from ...utils.tensor_rows import TensorRows

__all__ = [
    "SYMMETRIES",
    "SourceFeatures",
    "fitted_counts",
    "fitted_significance",
    "instrument_scalars",
    "n_inputs",
    "n_scalars",
    "source_features",
    "with_expected_error",
]

# Half width of the residuals around the source in pixels of each level.
RESIDUAL_HALF = (3, 2, 2, 1)

# Nearest neighbours that are seen: those that could blend with a source.
NEIGHBOURS = 3

# Neighbours beyond this many nominal finest pixels do not matter.
REACH = 15.0

#: Logarithm of the error of a detected position over a nominal pixel: mean, and rise with that of the fit, by
#: least squares to 13 732 simulated candidates of the model ``lat``, which scatter by 0.32.
ERROR_OF_FIT = (-0.174, 0.365)

#: Symmetries of a square: exchange of the axes, and signs of x and y.
SYMMETRIES = tuple((swap, sx, sy) for swap in (False, True) for sx in (1, -1) for sy in (1, -1))


@dataclass
class SourceFeatures(TensorRows):
    """Features of sources, tensors with one row per source.

    Parameters
    ----------
    scalars : `~torch.Tensor`
        Shape ``(n, n_scalars)``.
    vectors : `~torch.Tensor`
        Shape ``(n, n_vectors, 2)``.
    matrix : `~torch.Tensor`
        Shape of the error ellipse, ``(n, 2)``: half the difference of the axes' information
        and the mixed term, over the mean.
    images : list of `~torch.Tensor`
        Residuals per band, shape ``(n, size, size)``.
    scale : `~torch.Tensor`
        Position error of the fit in finest pixels, in units of which positions are learned; ``(n,)``.
    """

    scalars: torch.Tensor
    vectors: torch.Tensor
    matrix: torch.Tensor
    images: list
    scale: torch.Tensor

    def __len__(self):
        return len(self.scalars)

    def flat(self, symmetry=SYMMETRIES[0]):
        """Network input in one of the orientations of a field, shape ``(n, n_inputs)``.

        Parameters
        ----------
        symmetry : tuple
            One of the `SYMMETRIES`, by default the field as it is.
        """
        images = [_turn(image, symmetry).flatten(1) for image in self.images]
        swap, sx, sy = symmetry
        sign = torch.tensor([-1.0 if swap else 1.0, sx * sy], device=self.matrix.device)
        vectors = turn_vectors(self.vectors, symmetry).flatten(1)
        return torch.cat([self.scalars, vectors, self.matrix * sign, *images], 1)


def _turn(image, symmetry):
    swap, sx, sy = symmetry
    image = image.transpose(-1, -2) if swap else image
    flips = [axis for axis, sign in ((-1, sx), (-2, sy)) if sign < 0]
    return image.flip(flips) if flips else image


def turn_vectors(vectors, symmetry):
    """Vectors in another orientation, of the same shape.

    Parameters
    ----------
    vectors : `~torch.Tensor`
        x and y on the last axis, shape ``(..., 2)``.
    symmetry : tuple
        One of the `SYMMETRIES`.
    """
    swap, sx, sy = symmetry
    vectors = vectors.flip(-1) if swap else vectors
    return vectors * torch.tensor([float(sx), float(sy)], device=vectors.device)


def n_scalars(bands, n_conditions):
    """Number of the scalars of a source.

    Parameters
    ----------
    bands, n_conditions
        See `n_inputs`.
    """
    return 7 * len(bands) + n_conditions + 8 + NEIGHBOURS


def instrument_scalars(n_bands, n_conditions):
    """Which of the scalars of a source tell the instrument, in the order of `source_features` (slice).

    Parameters
    ----------
    n_bands : int
        Energy bands.
    n_conditions : int
        Length of the instrument description.
    """
    return slice(7 * n_bands, 7 * n_bands + n_conditions)


def with_expected_error(scalars):
    """Scalars whose error of the detection, where it is not known, is that expected of such a fit.

    No constant stands for an unknown: it would be an extended source, or a sharp one.

    Parameters
    ----------
    scalars : `~torch.Tensor`
        Scalars of sources, NaN where the error of a detection is not known; shape ``(n, n_scalars)``.

    Returns
    -------
    scalars : `~torch.Tensor`
        A copy.
    """
    # As `source_features` puts them together
    sigma = scalars.shape[1] - 8 - NEIGHBOURS + 2
    scale = sigma + 1
    expected = ERROR_OF_FIT[0] + ERROR_OF_FIT[1] * scalars[:, scale]
    scalars = scalars.clone()
    scalars[:, sigma] = torch.where(scalars[:, sigma].isnan(), expected, scalars[:, sigma])
    return scalars


def n_inputs(bands, n_conditions):
    """Length of the network input for bands.

    Parameters
    ----------
    bands : `~gammapy_asid.inputs.Bands`
        Bands.
    n_conditions : int
        Length of the instrument description.
    """
    # As `source_features` and `SourceFeatures.flat` put it together
    images = sum((2 * RESIDUAL_HALF[level] + 1) ** 2 for level in bands.levels)
    return n_scalars(bands, n_conditions) + 2 * (1 + NEIGHBOURS) + 2 + images


def fitted_counts(features, n_bands):
    """Counts of the fits and their errors (at least one count), each of shape ``(n, n_bands)``.

    Parameters
    ----------
    features : `SourceFeatures`
        Features of ``n`` sources.
    n_bands : int
        Energy bands.
    """
    counts, error = features.scalars[:, :n_bands], features.scalars[:, n_bands : 2 * n_bands]
    return torch.expm1(counts), torch.exp(error)


def fitted_significance(features, n_bands):
    """Counts of the fits over their errors, the bands added in quadrature, shape ``(n,)``.

    Parameters
    ----------
    features, n_bands
        See `fitted_counts`.
    """
    counts, error = fitted_counts(features, n_bands)
    return (counts / error).norm(dim=1)


def source_features(batch, response, field, x, y, score, sigma, fit):
    """Features of fitted sources, and the power laws through their counts.

    Parameters
    ----------
    batch : `~gammapy_asid.inputs.batch.FieldBatch`
        Fields.
    response : `~gammapy_asid.inputs.Response`
        Instrument response of the fields.
    field, x, y : `~torch.Tensor`
        Field and position in finest pixels before the fit, shape ``(n,)``.
    score, sigma : `~torch.Tensor`
        Score of the detection, NaN where the source was given, and the detector's position
        error in finest pixels; shape ``(n,)``.
    fit : `~gammapy_asid.stats.point_fit.PointFit`
        Their fit.

    Returns
    -------
    features : `SourceFeatures`
        Features.
    power_laws : `~gammapy_asid.stats.spectral_fit.PowerLaws`
        Power laws.
    """
    power_laws = fit_power_laws(response, fit.counts, fit.counts_error)
    nominal = batch.nominal[field]
    trace = (fit.information[:, 0, 0] + fit.information[:, 1, 1]) / 2
    scale = 1 / torch.sqrt(trace + 0.25 / nominal**2)
    mixed = fit.information[:, 0, 1]
    difference = (fit.information[:, 0, 0] - fit.information[:, 1, 1]) / 2
    matrix = torch.stack([difference, mixed], -1) / (trace + 0.25 / nominal**2)[:, None]
    given = torch.isnan(score)
    logit = torch.logit(torch.where(given, 0.5, score), eps=1e-3)
    present = torch.tensor(response.present, device=x.device).float().expand_as(fit.counts)
    error = fit.counts_error.clamp(min=1.0)
    bands = [
        torch.log1p(fit.counts),
        torch.log(error),
        compress(torch.sqrt(fit.ts.clamp(min=0))),
        torch.log(fit.background + 0.01),
        torch.log((fit.neighbours + 0.01) / (fit.background + 0.01)).clamp(-6, 6),
        compress((fit.counts - power_laws.counts) / error),
    ]
    place = torch.stack([fit.x, fit.y], -1)
    moved = (torch.stack([x, y], -1) - place) / nominal[:, None]
    offsets, ratios = _neighbours(field, place / nominal[:, None], fit.counts.sum(-1))
    scalars = torch.cat(
        [
            *(band * present for band in bands),
            present,
            batch.conditions[field],
            torch.stack(
                [
                    given.float(),
                    logit,
                    torch.log(sigma / nominal).clamp(-4, 2),
                    torch.log(scale / nominal),
                    torch.log(fit.counts.sum(-1) + 1),
                    power_laws.index - 2.3,
                    torch.log(power_laws.index_error + 0.01),
                    moved.norm(dim=-1).clamp(max=5),
                ],
                -1,
            ),
            ratios,
        ],
        1,
    )
    vectors = torch.cat([moved.clamp(-5, 5)[:, None], offsets], 1)
    images = []
    for residual, level in zip(fit.residuals, batch.levels, strict=True):
        middle, half = residual.shape[-1] // 2, RESIDUAL_HALF[level]
        cut = slice(middle - half, middle + half + 1)
        images.append(compress(residual[:, cut, cut]))
    return SourceFeatures(scalars, vectors, matrix, images, scale), power_laws


def _neighbours(field, place, counts):
    """Direction to the nearest sources, falling with distance, and the ratio of counts."""
    # Fields lie far apart, so that one tree serves all.
    points = np.column_stack([place.cpu().numpy(), field.cpu().numpy() * 1e6])
    distance, index = KDTree(points).query(points, k=NEIGHBOURS + 1, distance_upper_bound=REACH)
    valid = torch.tensor(np.isfinite(distance[:, 1:]), device=place.device)
    near = torch.tensor(np.minimum(distance[:, 1:], REACH), dtype=place.dtype, device=place.device)
    index = torch.tensor(index[:, 1:], device=place.device) * valid
    fade = torch.exp(-near / 5) * valid
    offsets = (place[index] - place[:, None]) / (near + 1)[..., None] * fade[..., None]
    ratios = torch.log((counts[index] + 1) / (counts[:, None] + 1)).clamp(-4, 4)
    return offsets, (ratios + 5) * fade
