# Licensed under a 3-clause BSD style license - see LICENSE
"""Candidates of the detector on the simulated sky 235, with what a classifier and the photons say of them."""

from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F

from gammapy_asid.evaluation import angular_separation
from gammapy_asid.inputs import cube_from_arrays
from gammapy_asid.inputs.batch import field_batch
from gammapy_asid.inputs.psf import psf_tables
from gammapy_asid.learning.peaks import FAINTEST_SCORE
from gammapy_asid.simulation.sky import ResponseBank, render_sources
from gammapy_asid.stats.point_fit import fit_sources
from gammapy_asid.tasks.classification.model import ClassLogits
from gammapy_asid.tasks.classification.stamps import WholeTime, candidate_stamps

from ..detection.scoring import match
from ..detection.sky235_limit import REACH, sub_band_counts
from ..skies.open_skies import batch_peaks
from ..skies.sky235 import N_PIX
from .candidates import fit_ts, judged
from .photon_limit import Likelihoods, photon_likelihoods

__all__ = ["KnownSources", "SkyCandidates", "is_inside", "sky_candidates"]

#: Patches at once.
BATCH = 32
#: The published classifier needs three pixels on every side of a candidate.
BORDER = 3
#: True images of sources over those of the point spread function lie in this range: the published maps are
#: samples of HEALPix pixels.
RATIO = (0.3, 3.0)
#: Expected counts of sources in a pixel from which that is measured.
FAINTEST = 1e-2


@dataclass
class SkyCandidates:
    """Candidates, arrays with one row per candidate.

    Parameters
    ----------
    patch, x, y : `~numpy.ndarray`
        Patch and fitted position in finest pixels.
    lon, lat, score : `~numpy.ndarray`
        Position of the detection in deg and score.
    true : `~numpy.ndarray` of int
        True source that each claims as published, -1 for none.
    ts, error : `~numpy.ndarray`
        Test statistic of the fit, and error of its position per axis in deg.
    numbers : `~numpy.ndarray`
        Numbers of the fit, and deviances of the template spectra.
    logits : `~gammapy_asid.tasks.classification.model.ClassLogits`
        Calibrated logits.
    likelihoods : `~benchmarks.classification.photon_limit.Likelihoods` or None
        What the photons say.
    """

    patch: np.ndarray
    x: np.ndarray
    y: np.ndarray
    lon: np.ndarray
    lat: np.ndarray
    score: np.ndarray
    true: np.ndarray
    ts: np.ndarray
    error: np.ndarray
    numbers: np.ndarray
    logits: ClassLogits
    likelihoods: Likelihoods | None

    def __len__(self):
        return len(self.patch)

    def select(self, chosen):
        """Some of the candidates."""

        def of(value):
            if isinstance(value, np.ndarray):
                return value[chosen]
            return value and type(value)(**{name: own[chosen] for name, own in vars(value).items()})

        return SkyCandidates(**{f.name: of(getattr(self, f.name)) for f in fields(self)})

    @property
    def is_inside(self):
        """Which lie so far from the edge that the published classifier saw them, bool."""
        return is_inside(self.x, self.y)


def is_inside(x, y):
    """Which positions lie so far from the edge that the published classifier saw them.

    Parameters
    ----------
    x, y : `~numpy.ndarray`
        Position in finest pixels.
    """
    return (np.minimum(x, y) > BORDER - 0.5) & (np.maximum(x, y) < N_PIX - BORDER - 0.5)


class KnownSources:
    """True sources of the sky, and what is expected in its patches.

    Parameters
    ----------
    sky : `~benchmarks.skies.sky235.Sky`
        The sky.
    dnde : callable
        Spectra of `load_spectra`.
    response : `~gammapy_asid.inputs.Response`
        Response in the bands of the model.
    """

    def __init__(self, sky, dnde, response):
        self.sky, self.bank = sky, ResponseBank([response])
        #: Expected counts of each true source in sub-bands and in bands.
        self.sub_counts = np.nan_to_num(sub_band_counts(dnde, response))
        self.counts = self.sub_counts.sum(axis=2)
        _, self.once = np.unique(sky.true_id, return_index=True)

    def expected(self, patches):
        """Expected counts of sources and emission in patches, and images of sources over their models.

        Parameters
        ----------
        patches : `~numpy.ndarray` of int
            Patches.

        Returns
        -------
        expected, ratio : list of `~torch.Tensor`
            Of each band on its level, shape ``(n, ny, nx)``.
        """
        sky, around = self.sky, []
        for number, patch in enumerate(patches):
            lon, lat = sky.lon[self.once], sky.lat[self.once]
            separation = angular_separation(lon, lat, sky.center_lon[patch], sky.center_lat[patch])
            index = self.once[separation < REACH]
            x, y = sky.sky_to_pixel(np.full(len(index), patch), sky.lon[index], sky.lat[index])
            around.append(np.column_stack([np.full(len(index), number), index, x, y]))
        number, index, x, y = np.concatenate(around).T
        number, index = number.astype(int), index.astype(int)
        models = render_sources(
            self.bank,
            torch.zeros(len(x), dtype=torch.long),
            torch.as_tensor(number),
            *(torch.as_tensor(v, dtype=torch.float32) for v in (x, y, self.sub_counts[index])),
            (N_PIX, N_PIX),
            len(patches),
        )
        expected, ratio = [], []
        sources = _on_levels(self.bank.bands, sky.sources(patches))
        emission = _on_levels(self.bank.bands, sky.background(patches))
        for true, sky_counts, model in zip(sources, emission, models, strict=True):
            expected.append(true + sky_counts)
            own = (true / model.clamp(min=1e-9)).clamp(*RATIO)
            ratio.append(torch.where(model > FAINTEST, own, 1.0))
        return expected, ratio


def _on_levels(bands, images):
    """Images on the finest pixels summed on those of each band; bands below those of the images are zero."""
    below = len(bands) - images.shape[1]
    images = torch.as_tensor(np.pad(images, [(0, 0), (below, 0), (0, 0), (0, 0)])).float()
    return [
        F.avg_pool2d(images[:, band : band + 1], 2**level)[:, 0] * 4**level
        for band, level in enumerate(bands.levels)
    ]


def sky_candidates(detector, classifier, known, counts, background, response, patches):
    """Detect and classify.

    Parameters
    ----------
    detector, classifier : `~gammapy_asid.learning.trained.TrainedModel`
        Models.
    known : `KnownSources`
        True sources.
    counts, background : `~numpy.ndarray`
        Counts of the patches, and their given background or None; ``(n, 5, 64, 64)``.
    response : `~gammapy_asid.inputs.Response`
        Response in the bands of the models.
    patches : `~numpy.ndarray` of int
        Patches.

    Returns
    -------
    candidates : `SkyCandidates`
        Candidates with a score of at least `FAINTEST_SCORE`.
    """
    sky, tables, parts = known.sky, psf_tables(response).to(detector.device), []
    below = [(0, 0), (len(detector.bands) - counts.shape[1], 0), (0, 0), (0, 0)]
    counts = np.pad(counts, below)
    background = None if background is None else np.pad(background, below)
    for start in range(0, len(patches), BATCH):
        rows = range(start, min(start + BATCH, len(patches)))
        cubes = [
            cube_from_arrays(
                counts[i], sky.geom(patches[i]), response, None if background is None else background[i]
            )
            for i in rows
        ]
        parts.append(
            _of_batch(detector, classifier, known, field_batch(cubes), response, tables, patches[rows])
        )
    columns = {}
    for name in (f.name for f in fields(SkyCandidates)):
        values = [getattr(part, name) for part in parts]
        if isinstance(values[0], np.ndarray):
            columns[name] = np.concatenate(values)
        else:
            own = {key: np.concatenate([vars(v)[key] for v in values]) for key in vars(values[0])}
            columns[name] = type(values[0])(**own)
    return SkyCandidates(**columns)


def _of_batch(detector, classifier, known, batch, response, tables, patches):
    """Candidates of some patches."""
    sky = known.sky
    peaks = batch_peaks(detector, batch)
    peaks = peaks.select(peaks.score >= FAINTEST_SCORE)
    batch = batch.to(detector.device)
    place = peaks.field, peaks.x, peaks.y
    stamps = candidate_stamps(batch, response, *place, peaks.score, peaks.sigma, WholeTime(batch), tables)
    patch = patches[peaks.field]
    lon, lat = sky.pixel_to_sky(patch, peaks.x, peaks.y)
    table = {"patch": patch, "lon": lon, "lat": lat, "score": peaks.score}
    matches = match(sky, table)
    true = np.where(matches.is_matched, matches.true_index, -1)

    field, x, y = (torch.as_tensor(v).to(batch.device) for v in place)
    fit = fit_sources(batch, tables, field, x.float(), y.float())
    trace = ((fit.information[:, 0, 0] + fit.information[:, 1, 1]) / 2).cpu().numpy()
    real = true >= 0
    own = np.zeros((len(true), 2))
    own[real] = np.stack(sky.sky_to_pixel(patch[real], sky.lon[true[real]], sky.lat[true[real]]), axis=1)
    own_counts = np.where(real[:, None], known.counts[true], 0)
    own = [torch.as_tensor(v, dtype=torch.float32).to(batch.device) for v in (*own.T, own_counts)]
    expected = ([v.to(batch.device) for v in images] for images in known.expected(patches))
    n_bands = len(detector.bands)
    return SkyCandidates(
        **table,
        x=fit.x.cpu().numpy(),
        y=fit.y.cpu().numpy(),
        true=true,
        ts=fit_ts(stamps.scalars, n_bands),
        error=response.pixel_size / np.sqrt(trace + 0.25),
        numbers=torch.cat([stamps.scalars, stamps.deviances], 1).cpu().numpy(),
        logits=judged(classifier, stamps, (1,))[1],
        likelihoods=photon_likelihoods(batch, tables, *expected, field, (fit.x, fit.y), own),
    )
