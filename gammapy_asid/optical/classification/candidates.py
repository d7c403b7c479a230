# Licensed under a 3-clause BSD style license - see LICENSE
"""Simulated candidates with their true classes: sources as a detector lists them, and what is none."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.spatial import KDTree

from ...utils.devices import Movable
from .prior import SUBCLASSES
from .stamps import ClassStamps, cut_sources

__all__ = ["SIZE_EDGES", "CandidateSimulator", "SimulatedSources"]

#: Half-light radii over the width of the point spread function between the classes of galaxies. Smaller ones
#: than the first are learned as neither.
SIZE_EDGES = (0.1, 0.2, 0.4, 0.8)
ARTEFACT = len(SUBCLASSES) - 1

#: Sources closer than this over the width are one candidate.
BLENDED = 0.6

#: Significance from which a peak where no source is makes a candidate.
PEAK = 3.5

#: Stars, galaxies and artefacts of an image that are learned at most: none should crowd out the others.
MOST = (20, 24, 8)

#: Significances (natural logarithm) at which the shares of the classes are counted, what is smoothed over,
#: the number of images for that, those drawn at once, and their seed, which no other stage has.
KNOTS = np.linspace(0.5, 8.5, 17)
SMOOTH, COUNTED, CHUNK, SHARES = 0.5, 64, 16, 2**35


@dataclass(kw_only=True)
class SimulatedSources(Movable):
    """Candidates with their truth; tensors with a row a candidate.

    Parameters
    ----------
    stamps : `~gammapy_asid.optical.classification.stamps.ClassStamps`
        What the classifier sees.
    subclass : `~torch.Tensor`
        True one of `~gammapy_asid.optical.classification.prior.SUBCLASSES`, int64.
    log_shares : `~torch.Tensor`
        Logarithm of the share of each subclass among candidates of this significance.
    """

    stamps: ClassStamps
    subclass: torch.Tensor
    log_shares: torch.Tensor

    def __len__(self):
        return len(self.subclass)


class CandidateSimulator:
    """Draws candidates on simulated images.

    Parameters
    ----------
    images : `~gammapy_asid.learning.simulator.Simulator`
        Draws `~gammapy_asid.optical.simulator.SimulatedImages`.
    lowest_snr : float
        Expected significance from which a true source is one.
    """

    def __init__(self, images, lowest_snr=3.0):
        self.images, self.lowest_snr = images, lowest_snr
        self._log_shares = None

    @property
    def bands(self):
        """Bands of the images."""
        return self.images.bands

    def digested(self):
        """Name and entries by which folders of work know the simulator."""
        return f"{__name__}.CandidateSimulator", {"images": self.images, "lowest_snr": self.lowest_snr}

    def draw(self, n, seed):
        """Draw the candidates of images.

        Parameters
        ----------
        n : int
            Number of images.
        seed : int or tuple of int
            Seed; equal seeds give equal candidates.

        Returns
        -------
        candidates : `SimulatedSources`
            Candidates of all images.
        """
        stamps, subclass = self._candidates(n, seed)
        if self._log_shares is None:
            self._log_shares = self._counted()
        shares = torch.from_numpy(_between(self._log_shares, stamps.snr.double().numpy())).float()
        return SimulatedSources(stamps=stamps, subclass=subclass, log_shares=shares)

    def _candidates(self, n, seed):
        """Stamps and subclasses of candidates."""
        simulated = self.images.draw(n, seed)
        rng = np.random.default_rng((*np.atleast_1d(seed).tolist(), 1))
        image, x, y, subclass, error = self._listed(simulated, rng)
        rows = torch.from_numpy(np.flatnonzero(_chosen(image, subclass, rng)))
        x, y, error = (torch.from_numpy(v).float() for v in (x, y, error))
        stamps = cut_sources(simulated.batch, x, y, torch.from_numpy(image), rows, position_error=error)
        return stamps, torch.from_numpy(subclass)[rows]

    def _listed(self, simulated, rng):
        """Image, position, class (-1: not learned) and error of the position of candidates."""
        fwhm = simulated.batch.fwhm.numpy()
        patch, x, y, snr, width = (
            getattr(simulated, name).double().numpy() for name in ("patch", "x", "y", "snr", "width")
        )
        patch, side = patch.astype(int), np.array(simulated.batch.shape)[::-1, None]
        inside = (np.array([x, y]) > -0.5).all(0) & (np.array([x, y]) < side - 0.5).all(0)
        inside &= snr >= self.lowest_snr
        x1, y1, order = _merged(patch, x, y, simulated.flux.double().numpy(), fwhm, inside)
        image = patch[order]
        subclass = np.digitize(width[order] / fwhm[image], SIZE_EDGES)
        subclass[(subclass == 0) & (width[order] > 0)] = -1
        # Of a detector: the limit of noise, a little more, and what pixels and blends add
        error = np.minimum(fwhm[image] * (0.55 / snr[order] + 0.01), 0.25 * fwhm[image])
        x1, y1 = (v + rng.normal(0, 1, len(v)) * error for v in (x1, y1))
        image2, x2, y2 = _peaks(simulated, fwhm)
        known = np.column_stack([patch * 1e6 + x, y])[snr > 1]
        reach = np.maximum(fwhm[patch], 1.5 * width)[snr > 1]
        if len(known) and len(image2):
            pairs = KDTree(np.column_stack([image2 * 1e6 + x2, y2])).query_ball_point(known, reach)
            free = np.ones(len(image2), bool)
            free[np.concatenate([np.zeros(0, int), *map(np.array, pairs)]).astype(int)] = False
            image2, x2, y2 = image2[free], x2[free], y2[free]
        parts = zip(
            (image, x1, y1, subclass, error),
            (image2, x2, y2, np.full(len(x2), ARTEFACT), 0.1 * fwhm[image2]),
            strict=True,
        )
        image, x, y, subclass, error = (np.concatenate(pair) for pair in parts)
        # Positions without data are no candidates
        column, row = (
            np.clip(np.round(v).astype(int), 0, s - 1) for v, s in zip((x, y), side[:, 0], strict=True)
        )
        seen = simulated.batch.valid.numpy()[image, row, column]
        return tuple(v[seen] for v in (image, x, y, subclass, error))

    def _counted(self):
        """Logarithm of the shares of the subclasses at `KNOTS`, shape ``(n_knots, n_subclasses)``."""
        drawn = [self._candidates(CHUNK, (SHARES, i)) for i in range(COUNTED // CHUNK)]
        place = torch.cat([stamps.snr for stamps, _ in drawn]).double().clamp(min=1).log().numpy()
        subclass = torch.cat([subclass for _, subclass in drawn]).numpy()
        near = np.exp(-0.5 * ((place[:, None] - KNOTS) / SMOOTH) ** 2)
        counts = np.stack([near[subclass == i].sum(0) for i in range(len(SUBCLASSES))], 1) + 1.0
        return np.log(counts / counts.sum(1, keepdims=True))


def _between(at_knots, snr):
    """Values at significances of those at `KNOTS`."""
    place = np.log(np.maximum(snr, 1))
    return np.stack([np.interp(place, KNOTS, own) for own in at_knots.T], 1)


def _merged(patch, x, y, flux, fwhm, chosen):
    """Positions of sources as they are told apart: the brightest of those that are close, and its number."""
    rows = np.flatnonzero(chosen)
    # Images far apart, widths of one
    scaled = np.column_stack([x, y])[rows] / fwhm[patch[rows], None]
    scaled[:, 0] += patch[rows] * 1e5
    pairs = KDTree(scaled).query_pairs(BLENDED, output_type="ndarray") if len(rows) else np.zeros((0, 2), int)
    first = flux[rows[pairs[:, 0]]] >= flux[rows[pairs[:, 1]]]
    bright, faint = np.where(first, pairs.T, pairs.T[::-1])
    lost = np.zeros(len(rows), bool)
    lost[faint] = True
    light = flux[rows].copy()
    place = np.column_stack([x, y])[rows] * light[:, None]
    # Light that is not told apart moves the position
    np.add.at(place, bright, np.column_stack([x, y])[rows[faint]] * flux[rows[faint], None])
    np.add.at(light, bright, flux[rows[faint]])
    place /= light[:, None]
    return place[~lost, 0], place[~lost, 1], rows[~lost]


def _peaks(simulated, fwhm):
    """Image and position of the peaks of significance in images."""
    batch = simulated.batch
    kernels = batch.kernels
    signal = torch.where(batch.valid, batch.signal, 0.0)
    half = kernels.shape[-1] // 2
    seen = F.conv2d(signal[None], kernels[:, None], padding=half, groups=len(kernels))[0]
    seen = seen / kernels.square().sum((1, 2)).sqrt()[:, None, None]
    top = F.max_pool2d(seen[None], 3, 1, 1)[0]
    image, row, column = torch.nonzero((seen == top) & (seen > PEAK) & batch.valid, as_tuple=True)
    return image.numpy(), column.double().numpy(), row.double().numpy()


def _chosen(image, subclass, rng):
    """Candidates that are learned: at most `MOST` an image."""
    order = rng.permutation(len(image))
    keep = np.zeros(len(image), bool)
    groups = (subclass == 0, (subclass > 0) & (subclass < ARTEFACT), subclass == ARTEFACT)
    for group, most in zip(groups, MOST, strict=True):
        rows = order[group[order]]
        rows = rows[np.argsort(image[rows], kind="stable")]
        number = np.arange(len(rows)) - np.searchsorted(image[rows], image[rows])
        keep[rows[number < most]] = True
    return keep
