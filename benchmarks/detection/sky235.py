# Licensed under a 3-clause BSD style license - see LICENSE
"""Detection on the simulated sky of Panes et al. 2021 (A&A 656, A62)."""

from functools import partial

import numpy as np
import torch
from astropy.table import Table, vstack
from scipy.stats import norm

from gammapy_asid.evaluation import matched_filter_candidates, ts_map_candidates
from gammapy_asid.inputs import cube_from_arrays
from gammapy_asid.inputs.batch import field_batch
from gammapy_asid.inputs.psf import psf_tables
from gammapy_asid.learning.peaks import FAINTEST_SCORE, find_centres
from gammapy_asid.tasks.detection.doubles import join_peaks, split_peaks
from gammapy_asid.tasks.detection.model import DetectionModel
from gammapy_asid.tasks.detection.network import field_inputs
from gammapy_asid.tasks.measurement.fitted_sources import fit_batch
from gammapy_asid.tasks.measurement.model import SourceEnsemble

from ..common import arguments, processor_seconds, write
from ..skies.open_skies import load_bank, load_unseen
from ..skies.sky235 import N_PIX, PIXEL_SIZE, load_sky235, random_patches
from ..skies.sky235_patches import emission, patch_dataset, sky_response
from .scoring import found_sources, purity_at, score_predictions
from .scoring_tables import mean_of_seeds, to_markdown
from .sky235_figure import figure

__all__ = ["CLASSICAL", "detect_patches", "peak_patches"]

NEEDS = "data, five minutes a seed, a quarter of an hour for the classical methods"

BATCH = 32
#: Models that give the background of a sky they did not make.
OTHER_BACKGROUNDS = ("model-a", "p6v11")
#: Error of positions in pixels that the samples of HEALPix pixels make.
POSITION_FLOOR = 0.2
#: Model that makes the counts of the sky that no training saw.
UNSEEN = "p6v11"
#: Classical methods: functions of a dataset and a few arguments, those of both.
CLASSICAL = {
    "TS map": partial(ts_map_candidates, image=False),
    "matched filter": matched_filter_candidates,
}


@torch.inference_mode()
def detect_patches(model, ensemble, sky, counts, background, response, patches=slice(None)):
    """Predictions of a network in the patches.

    Parameters
    ----------
    model : `~gammapy_asid.tasks.detection.model.DetectionModel`
        Model.
    ensemble : `~gammapy_asid.tasks.measurement.model.SourceEnsemble`
        Its ensemble for positions.
    sky : `~benchmarks.skies.sky235.Sky`
        The sky.
    counts, background : `~numpy.ndarray`
        Counts and background in the bands of the sky, shape ``(n, 5, 64, 64)``; None
        for no background.
    response : `~gammapy_asid.inputs.bands.Response`
        Response in the bands of the model.
    patches : slice or array-like of int
        Patches that the arrays are of.

    Returns
    -------
    predictions : `~astropy.table.Table`
        Columns ``patch``, ``lon``, ``lat`` and ``score``.
    """
    index = np.arange(sky.n_patches)[patches]
    # The model's bands below those of the sky are absent
    below = [(0, 0), (len(model.bands) - counts.shape[1], 0), (0, 0), (0, 0)]
    counts = np.pad(counts, below)
    background = background if background is None else np.pad(background, below)
    valid = torch.ones(BATCH, *counts.shape[-2:])
    found, tables, native = [], psf_tables(response), response.native / PIXEL_SIZE
    for start in range(0, len(index), BATCH):
        rows = range(start, min(start + BATCH, len(index)))
        cubes = [
            cube_from_arrays(
                counts[i], sky.geom(index[i]), response, None if background is None else background[i]
            )
            for i in rows
        ]
        batch = field_batch(cubes).to(model.device)
        output = model.network(field_inputs(model.network, batch), batch.conditions).cpu()
        peaks = find_centres(output, PIXEL_SIZE, valid[: len(rows)])
        peaks.score = model.card.score(peaks.score, peaks.height, background is not None)
        peaks, fit = split_peaks(join_peaks(peaks, native), batch, tables, native)
        patch, near = index[start + peaks.field], peaks.score >= FAINTEST_SCORE
        rows = (getattr(peaks, name)[near] for name in ("field", "x", "y", "score", "sigma"))
        sources = fit_batch(batch, response, *rows, tables=tables, fit=fit)
        refined = ensemble.positions(sources)
        peaks.x[near], peaks.y[near] = refined.x, refined.y
        spread = np.stack([peaks.sigma, peaks.sigma])
        spread[:, near] = np.sqrt(np.diagonal(refined.covariance, axis1=1, axis2=2)).T
        peaks.score *= inside_probability(np.stack([peaks.x, peaks.y]), spread)
        lon, lat = sky.pixel_to_sky(patch, peaks.x, peaks.y)
        found.append(Table({"patch": patch, "lon": lon, "lat": lat, "score": peaks.score}))
    return vstack(found)


def inside_probability(place, spread):
    """Probability that sources are among those listed, which end at the centres of the outermost pixels.

    The scores of `find_centres` hold the probability to lie on the map already, which ends half a pixel
    further.

    Parameters
    ----------
    place, spread : `~numpy.ndarray`
        Columns and rows, and their errors in pixels, shape ``(2, n)``.
    """
    spread = np.hypot(spread, POSITION_FLOOR)
    inside = norm.cdf(place / spread) - norm.cdf((place - (N_PIX - 1)) / spread)
    return inside.prod(axis=0)


def peak_patches(method, sky, counts, background, response, patches):
    """Peaks of one of `CLASSICAL` in some patches; other parameters and result as of `detect_patches`."""
    found = []
    for i, patch in enumerate(patches):
        dataset = patch_dataset(sky, patch, counts[i], background[i], response)
        peaks = CLASSICAL[method](dataset, kernel_width="3 deg", threshold=2, min_distance="0.35 deg")
        lon, lat = peaks["glon"].value, peaks["glat"].value
        columns = {"patch": np.full(len(peaks), patch), "lon": lon, "lat": lat, "score": peaks["score"]}
        found.append(Table(columns))
    return vstack(found)


class Run:
    """Predictions and their numbers for one observation of the sky."""

    def __init__(self, sky, model, ensemble, response):
        self.sky, self.model, self.ensemble, self.response = sky, model, ensemble, response
        self.predictions, self.results = {}, {}

    def add(self, name, counts, background):
        """Detect and score."""
        table = detect_patches(self.model, self.ensemble, self.sky, counts, background, self.response)
        self.predictions[name] = table
        self.results[name] = score_predictions(self.sky, table)

    def compare(self, name, reference, purity="0.95"):
        """Sources of another case that are found again, at the threshold where its purity is reached."""
        threshold = self.results[reference][purity]["threshold"]
        old, new = (found_sources(self.sky, self.predictions[n], threshold) for n in (reference, name))
        kept = purity_at(self.results[name], threshold) - purity_at(self.results[reference], threshold)
        self.results[name] |= {"found again": float(new[old].mean()), "purity change": kept}

    def subset(self, name, patches):
        """Numbers of a case in some patches."""
        table = self.predictions[name]
        table = table[np.isin(table["patch"], patches)]
        return score_predictions(self.sky, table, patches=patches)


def off_edge(sky, table):
    """Predictions without those in the outermost pixels, most of which are sources beyond the list."""
    x, y = sky.sky_to_pixel(*(np.asarray(table[name]) for name in ("patch", "lon", "lat")))
    return table[np.minimum.reduce([x, y, N_PIX - 1 - x, N_PIX - 1 - y]) > 0.5]


def classical_rows(sky, counts, backgrounds, response, some):
    """Numbers of the classical methods: some patches for both, the whole sky for the matched filter.

    Parameters
    ----------
    sky : `~benchmarks.skies.sky235.Sky`
        The sky.
    counts : `~numpy.ndarray`
        Counts.
    backgrounds : dict of `~numpy.ndarray`
        Backgrounds by name.
    response : `~gammapy_asid.inputs.bands.Response`
        Response in the bands of the sky.
    some : `~numpy.ndarray`
        Patches of both.

    Returns
    -------
    results : dict of dict
        Numbers of `score_predictions` by case.
    """
    everywhere = np.arange(sky.n_patches)
    cases = {f"{method}, some patches": (method, "true", some) for method in CLASSICAL}
    for name in ("true", *OTHER_BACKGROUNDS):
        cases[f"matched filter, background {name}"] = "matched filter", name, everywhere
    results = {}
    for case, (method, name, patches) in cases.items():
        start = processor_seconds()
        table = peak_patches(method, sky, counts[patches], backgrounds[name][patches], response, patches)
        seconds = (processor_seconds() - start) / len(patches)
        results[case] = score_predictions(sky, table, patches=patches) | {"seconds a patch": seconds}
        results[f"{case}, none at the edge"] = score_predictions(sky, off_edge(sky, table), patches=patches)
    return results


def parser():
    """Arguments."""
    own = arguments(__doc__, "panes2021", data=True, model="lat", bank=None, unseen=None, seeds=[0, 1, 2])
    own.add_argument("--ts-map-patches", type=int, default=48, help="random patches for the TS map")
    own.add_argument("--classical", action="store_true", help="measure the classical methods alone")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    sky = load_sky235(args.data)
    model, ensemble = DetectionModel.load(args.model), SourceEnsemble.load(args.model, "position")
    banks = load_bank(args.bank, args.data), load_unseen(args.unseen, args.data)
    models = {name: bank[name] for bank in banks for name in bank.names}
    response, model_response = sky_response(args.data), sky_response(args.data, model.bands)
    true = sky.background()
    other = {name: emission(sky, models[name], response) for name in {*OTHER_BACKGROUNDS, UNSEEN}}
    backgrounds = {"true": true, "none": None} | {name: other[name] for name in OTHER_BACKGROUNDS}
    some = random_patches(sky, args.ts_map_patches)

    counts = sky.counts(args.seeds[0])
    results = {"published network": [score_predictions(sky, sky.published)]}
    for name, row in classical_rows(sky, counts, backgrounds, response, some).items():
        results[name] = [row]
    picture = None
    for seed in [] if args.classical else args.seeds:
        counts = sky.counts(seed)
        run = Run(sky, model, ensemble, model_response)
        for name, background in backgrounds.items():
            run.add(f"background {name}", counts, background)
        unseen = sky.counts(seed, emission=other[UNSEEN])
        for name in ("true", "none"):
            case = f"counts {UNSEEN}, background {name}"
            run.add(case, unseen, backgrounds[name])
            run.compare(case, f"background {name}")
        for name, result in run.results.items():
            results.setdefault(name, []).append(result)
        if seed == args.seeds[0]:
            results["background true, the same patches"] = [run.subset("background true", some)]
            picture = figure(sky, {"published network": sky.published} | run.predictions, "background true")
    summary = {name: mean_of_seeds(rows) for name, rows in results.items()}
    write(args.output, {"summary": summary, "seeds": results}, to_markdown(summary), picture)


if __name__ == "__main__":
    main()
