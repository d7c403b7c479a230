# Licensed under a 3-clause BSD style license - see LICENSE
"""Doubles, two candidates on one true source, among the false positives on simulated skies of the LAT.

Skies of the instruments of the recipe ``lat``, and of that of sky 235 sampled from HEALPix pixels; with a
background that is wrong as in the training, and counts only; with blends split and not.
"""

import numpy as np
import torch

from gammapy_asid.evaluation import match_brightest, purity_recall
from gammapy_asid.evaluation.matching import near_pairs
from gammapy_asid.inputs import LAT_BANDS
from gammapy_asid.inputs.psf import psf_tables
from gammapy_asid.learning.peaks import FAINTEST_SCORE
from gammapy_asid.learning.recipe import read_recipe
from gammapy_asid.tasks.detection.doubles import join_peaks, split_peaks
from gammapy_asid.tasks.detection.model import DetectionModel
from gammapy_asid.tasks.detection.simulated_candidates import DETECTABLE, SOUTH, visible_sources
from gammapy_asid.tasks.detection.simulator import recipe_responses
from gammapy_asid.tasks.measurement.fitted_sources import fit_batch
from gammapy_asid.tasks.measurement.model import SourceEnsemble

from ..common import arguments, rows_to_markdown, write
from ..skies.healpix_skies import HealpixSkies
from ..skies.open_skies import batch_peaks, load_bank, open_skies
from ..skies.sky235_patches import sky_response

NEEDS = "data, an hour"

#: Patches of one instrument drawn at once.
BATCH = 16
#: Sides of a patch in pixels.
SIZE = 64
#: Match radius, and radius inside which a false positive is a double, in deg.
RADIUS = 0.3
#: Purities at which false positives are counted, and a score.
THRESHOLDS = ("P 0.95", "P 0.90", "score 0.5")
#: Skies: the instrument of sky 235, and those of the recipe but for that one.
SKIES = ("HEALPix", "LAT")
CASES = {"counts only": 0.0, "background": 1.0}
#: Share of the patches of HEALPix pixels on the plane, beyond their isotropic share.
PLANE_SHARE = 0.15


def simulator(name, share, bank, folder):
    """Simulator of a sky, a share of whose patches has a background."""
    if name == "LAT":
        responses, weights = recipe_responses(read_recipe("lat"))
        return open_skies(responses[1:], bank, share, weights[1:] / weights[1:].sum())
    response = sky_response(folder, LAT_BANDS)
    return open_skies([response], bank, share, skies=HealpixSkies, plane_share=PLANE_SHARE, folder=folder)


@torch.inference_mode()
def candidates(model, ensemble, patches, response, split):
    """Patch, refined position in deg and score of the candidates of patches of one instrument."""
    batch, size, fit = patches.batch, response.pixel_size, None
    native, tables = response.native / size, psf_tables(response)
    peaks = batch_peaks(model, batch)
    peaks = join_peaks(peaks.select(peaks.score >= FAINTEST_SCORE), native)
    if split:
        peaks, fit = split_peaks(peaks, batch, tables, native)
    rows = (getattr(peaks, name) for name in ("field", "x", "y", "score", "sigma"))
    refined = ensemble.positions(fit_batch(batch, response, *rows, tables=tables, fit=fit))
    return np.stack([peaks.field, refined.x * size, refined.y * size, peaks.score])


def observe(model, ensemble, sky, seed, n_patches):
    """Candidates with blends split and not, and the true sources.

    Returns
    -------
    found : dict of `~numpy.ndarray`
        Rows of patch, x and y in deg, score, and the width of the patch in deg, shape ``(5, n)``.
    truth : `~numpy.ndarray`
        The same with the flux in place of the score, for sources that the data could show.
    """
    found, truth, weights = {True: [], False: []}, [], np.asarray(sky.weights) / np.sum(sky.weights)
    for i in range(-(-n_patches // BATCH)):
        instrument = int(np.random.default_rng((seed, i, 7)).choice(len(weights), p=weights))
        patches, response = sky.draw(BATCH, (seed, i), instrument), sky.bank.responses[instrument]
        size, first = response.pixel_size, np.array([[i * BATCH], [0], [0], [0]])
        for split, rows in found.items():
            part = candidates(model, ensemble, patches, response, split) + first
            rows.append(np.vstack([part, np.full(part.shape[1], SIZE * size)]))
        true = visible_sources(patches, DETECTABLE).numpy()
        names = patches.patch, patches.x * size, patches.y * size, patches.flux
        part = np.stack([value.numpy()[true] for value in names]) + first
        truth.append(np.vstack([part, np.full(part.shape[1], SIZE * size)]))
    return {split: np.hstack(rows) for split, rows in found.items()}, np.hstack(truth)


def numbers(found, truth):
    """Recall, false positives and doubles among them at each of `THRESHOLDS`."""
    patch, x, y, score, width = found
    true_patch, true_x, true_y, flux, _ = truth
    matches = match_brightest(
        *(x, y + SOUTH, score, true_x, true_y + SOUTH, flux, RADIUS), pred_group=patch, true_group=true_patch
    )
    curve, result = purity_recall(score, matches.is_matched, matches.n_true), {}
    cuts = [curve.threshold_at_purity(purity) for purity in (0.95, 0.9)]
    for name, cut in zip(THRESHOLDS, [*cuts, 0.5], strict=True):
        kept = score >= cut
        false, claimed = kept & ~matches.is_matched, matches.true_score(score) >= cut
        here = true_x[claimed], true_y[claimed] + SOUTH, RADIUS, patch[false], true_patch[claimed]
        edge = width[false]
        places = [(x[false], y[false]), (edge - x[false], y[false]), (x[false], edge - y[false])]
        share = [
            len(np.unique(near_pairs(px, py + SOUTH, *here)[0])) / max(false.sum(), 1) for px, py in places
        ]
        purity, recall = curve.at_threshold(cut)
        result[name] = {"purity": purity, "recall": recall, "false": int(false.sum())}
        result[name] |= {"doubles": share[0], "by chance": float(np.mean(share[1:]))}
    return result


def to_markdown(rows):
    """Table with a row for each sky, case and threshold."""
    lines = []
    for row in rows:
        for name in THRESHOLDS:
            at = row[name]
            cells = [f"{at['recall']:.3f}", str(at["false"])]
            cells += [f"{100 * at[key]:.1f} %" for key in ("doubles", "by chance")]
            lines.append([row["sky"], row["given"], "split" if row["split"] else "one each", name, *cells])
    header = ["sky", "given", "blends", "at", "recall", "false positives", "doubles of them", "by chance"]
    return rows_to_markdown(header, lines)


def parser():
    """Arguments."""
    own = arguments(__doc__, "doubles", data=True, model="lat", bank=None, seed=901)
    own.add_argument("--patches", type=int, default=384, help="patches of each sky and case")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    torch.set_num_threads(1)
    model, ensemble = DetectionModel.load(args.model), SourceEnsemble.load(args.model, "position")
    bank, rows = load_bank(args.bank, args.data), []
    for name in SKIES:
        for case, share in CASES.items():
            sky = simulator(name, share, bank, args.data)
            found, truth = observe(model, ensemble, sky, args.seed + len(rows) // 2, args.patches)
            for split, table in found.items():
                rows.append({"sky": name, "given": case, "split": split, **numbers(table, truth)})
                print(to_markdown(rows[-1:]), flush=True)
    write(args.output, rows, to_markdown(rows))


if __name__ == "__main__":
    main()
