# Licensed under a 3-clause BSD style license - see LICENSE
"""Sources found again on another emission model, and how many of them chance alone would lose.

The sources are those of the simulated sky 235.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from astropy.table import Table, vstack
from matplotlib.patches import Patch

from gammapy_asid.evaluation import binomial_interval
from gammapy_asid.inputs import cube_from_arrays
from gammapy_asid.inputs.batch import field_batch
from gammapy_asid.tasks.detection.model import DetectionModel

from ..common import Parts, arguments, rows_to_markdown, write
from ..skies.open_skies import batch_peaks, load_unseen
from ..skies.sky235 import load_sky235
from ..skies.sky235_patches import emission, sky_response
from .scoring import found_sources, score_predictions

__all__ = ["detect_unrefined", "draw_counts"]

NEEDS = "data, an hour a seed"

BATCH = 32
#: Model that no training saw.
UNSEEN = "p6v11"
#: Share found again in the talk: 3157 of 3353.
PUBLISHED = 3157 / 3353
#: Photons that both observations share.
KEPT = {
    "common": "sources and diffuse, as far as both models have them",
    "sources": "sources only",
    "nothing": "none",
}
SHORT = {"common": "common photons kept", "sources": "diffuse photons redrawn", "nothing": "all redrawn"}


def draw_counts(sky, seed, true, other, kept):
    """Counts of a second observation of the sky.

    Parameters
    ----------
    sky : `~benchmarks.skies.sky235.Sky`
        The sky.
    seed : int
        Seed of the first observation, ``sky.counts(seed)``.
    true, other : `~numpy.ndarray`
        Expected counts of the emission of the first and the second observation,
        shape ``(n_patches, n_bands, 64, 64)``.
    kept : str
        Key of `KEPT`: which photons of the first observation the second shares.

    Returns
    -------
    counts : `~numpy.ndarray`
        Counts, shape as `true`.
    """
    if kept == "common":
        return sky.counts(seed, emission=other)
    sources, counts = sky.sources(), np.empty_like(true)
    for patch in range(sky.n_patches):
        # The first draw of the first observation's generator: its photons of the sources
        first, second = np.random.default_rng([seed, patch]), np.random.default_rng([seed + 1000, patch])
        counts[patch] = (first if kept == "sources" else second).poisson(sources[patch])
        counts[patch] += second.poisson(other[patch])
    return counts


def detect_unrefined(model, sky, counts, background, response):
    """Candidates at the positions of the detection network, which matches within 0.3 deg need no finer.

    Parameters
    ----------
    model : `~gammapy_asid.tasks.detection.model.DetectionModel`
        Model.
    sky : `~benchmarks.skies.sky235.Sky`
        The sky.
    counts, background : `~numpy.ndarray`
        In the bands of the sky, shape ``(n_patches, 5, 64, 64)``; None for no background.
    response : `~gammapy_asid.inputs.Response`
        Response in the bands of the model.

    Returns
    -------
    table : `~astropy.table.Table`
        Columns ``patch``, ``lon``, ``lat`` and ``score``.
    """
    # The model's bands below those of the sky are absent
    below = [(len(model.bands) - counts.shape[1], 0), (0, 0), (0, 0)]
    geom, found = sky.geom(0), []
    for start in range(0, sky.n_patches, BATCH):
        rows = range(start, min(start + BATCH, sky.n_patches))
        cubes = [
            cube_from_arrays(
                np.pad(counts[i], below),
                geom,
                response,
                None if background is None else np.pad(background[i], below),
            )
            for i in rows
        ]
        peaks = batch_peaks(model, field_batch(cubes))
        patch = start + peaks.field
        lon, lat = sky.pixel_to_sky(patch, peaks.x, peaks.y)
        found.append(Table({"patch": patch, "lon": lon, "lat": lat, "score": peaks.score}))
    return vstack(found)


def compare(sky, reference, table, threshold):
    """Numbers of sources found before, found again, lost and gained, and the purity at a threshold."""
    old, new = (found_sources(sky, t, threshold) for t in (reference, table))
    kept = table["score"] >= threshold
    return {
        "found": int(old.sum()),
        "again": int((old & new).sum()),
        "gained": int((new & ~old).sum()),
        "candidates": int(kept.sum()),
        "real": int(new.sum()),
    }


def one_seed(sky, model, response, other, seed, purity="0.95"):
    """All comparisons for one observation of the sky.

    Parameters
    ----------
    sky : `~benchmarks.skies.sky235.Sky`
        The sky.
    model : `~gammapy_asid.tasks.detection.model.DetectionModel`
        Model.
    response : `~gammapy_asid.inputs.Response`
        Response in the bands of the model.
    other : `~numpy.ndarray`
        Expected counts of the emission that no training saw.
    seed : int
        Seed of the observation.
    purity : str
        Purity of the first observation that sets the threshold.

    Returns
    -------
    result : dict
        By case and shared photons the numbers of `compare`, and those of the first
        observation under ``first``.
    """
    true = sky.background()
    counts, first, thresholds = sky.counts(seed), {}, {}
    result = {"first": {}}
    for known in ("true", "none"):
        first[known] = detect_unrefined(model, sky, counts, true if known == "true" else None, response)
        score = score_predictions(sky, first[known])[purity]
        thresholds[known] = score["threshold"]
        result["first"][known] = {name: score[name] for name in ("threshold", "purity", "recall")}
    for kept in KEPT:
        for makes in ("B1", "B2"):
            if makes == "B1" and kept == "common":
                # The very same counts
                continue
            counts = draw_counts(sky, seed, true, true if makes == "B1" else other, kept)
            for known in ("true", "none") if makes == "B1" else ("true", "none", "wrong"):
                given = {"true": true if makes == "B1" else other, "none": None, "wrong": true}[known]
                table = detect_unrefined(model, sky, counts, given, response)
                before = "none" if known == "none" else "true"
                result[f"{makes}, {known}, {kept}"] = compare(sky, first[before], table, thresholds[before])
    return result


def summarise(results):
    """Shares over all seeds by case, with binomial intervals.

    Parameters
    ----------
    results : list of dict
        Results of `one_seed`.

    Returns
    -------
    rows : dict of dict
        By case: ``found``, ``again`` (with its interval), ``lost``, ``gained`` as shares of the sources found
        before, and ``purity``.
    """
    rows = {}
    for name in results[0]:
        if name == "first":
            continue
        total = {key: sum(result[name][key] for result in results) for key in results[0][name]}
        share, low, high = (float(v[0]) for v in binomial_interval(total["again"], total["found"]))
        known = "none" if name.split(", ")[1] == "none" else "true"
        before = float(np.mean([result["first"][known]["purity"] for result in results]))
        rows[name] = {
            "found": total["found"],
            "again": share,
            "interval": (low, high),
            "gained": total["gained"] / total["found"],
            "purity change": total["real"] / total["candidates"] - before,
        }
    return rows


def to_markdown(rows):
    """Table of the cases."""
    header = ["counts", "given", "photons shared", "found before", "found again", "gained", "purity change"]
    lines = []
    for name, row in rows.items():
        makes, known, kept = name.split(", ")
        low, high = row["interval"]
        lines.append(
            [
                makes,
                known,
                KEPT[kept],
                str(row["found"]),
                f"{row['again']:.3f} ({low:.3f}-{high:.3f})",
                f"{row['gained']:.3f}",
                f"{row['purity change']:+.3f}",
            ]
        )
    return rows_to_markdown(header, lines)


def figure(rows):
    """Share of the sources lost and gained by case, beside what chance alone does."""
    fig, ax = plt.subplots(figsize=(8.5, 4.2), layout="constrained")
    cases = list(rows)
    place = np.arange(len(cases))[::-1]
    lost = np.array([1 - rows[case]["again"] for case in cases])
    low, high = 1 - np.array([rows[case]["interval"] for case in cases]).T[::-1]
    color = ["0.6" if case.startswith("B1") else "C0" for case in cases]
    ax.barh(place, lost, xerr=[lost - low, high - lost], color=color, height=0.6, capsize=2)
    ax.plot([rows[case]["gained"] for case in cases], place, "D", color="C1", ms=5, label="gained")
    labels = []
    for case in cases:
        makes, known, kept = case.split(", ")
        labels.append(f"{makes}, given {known}; {SHORT[kept]}")
    ax.set_yticks(place, labels)
    ax.axvline(0.02, color="k", lw=0.8, ls="--", label="target: 2 % lost")
    ax.axvline(1 - PUBLISHED, color="k", lw=0.8, ls=":", label="talk: 6 % lost")
    bars = [
        Patch(color="C0", label="lost, other emission"),
        Patch(color="0.6", label="lost, same emission: chance"),
    ]
    ax.set(xlabel="Share of the sources found before", xlim=(0, 0.16))
    ax.legend(handles=[*bars, *ax.get_legend_handles_labels()[0]], fontsize="small", loc="upper right")
    return fig


def parser():
    """Arguments."""
    return arguments(__doc__, "emission_models", data=True, model="lat", unseen=None, seeds=[0, 1, 2])


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    torch.set_num_threads(1)
    sky, model = load_sky235(args.data), DetectionModel.load(args.model)
    other = emission(sky, load_unseen(args.unseen, args.data)[UNSEEN], sky_response(args.data))
    response = sky_response(args.data, model.bands)
    parts = Parts(args.output, model=args.model)
    results = {s: parts(str(s), lambda s=s: one_seed(sky, model, response, other, s)) for s in args.seeds}
    rows = summarise(list(results.values()))
    write(args.output, results, to_markdown(rows), figure(rows))


if __name__ == "__main__":
    main()
