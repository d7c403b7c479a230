# Licensed under a 3-clause BSD style license - see LICENSE
"""Pixels of cosmic rays in real images beside astroscrappy, lacosmic, Cosmic-CoNN and deepCR.

Cosmic rays are put into the five DECam repeats and the two JWST epochs: real tracks, cut out of the repeats
and put into other repeats with other brightness and turns, and simulated ones (`cosmic_ray_frames`); neither
are the training's. Those really there are found by comparison of the repeats. A true pixel has a deposit
above 3 standard deviations of its noise; those between 1 and 3, and what is really there in an image into
which others were put, count neither as true nor as false. Each program has its best threshold and settings,
chosen by this very result. Intervals are 68 %, of the images drawn again.
"""

import time

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from ..common import Parts, arguments, data_folder, rows_to_markdown, write
from .cosmic_ray_frames import decam_frames, jwst_frames, put_in, real_tracks, simulated_track, with_real_rays
from .cosmic_ray_peers import LOGITS, PEERS, default_mask
from .network_maps import cosmic_ray_masks, source_positions
from .peers import sep_sources, sextractor_sources

NEEDS = "the optical data, the peers (deepCR on PYTHONPATH), half an hour"

#: Side of the JWST cut-outs in pixels; cosmic rays on 256 x 256 pixels.
SIDE, NUMBER = 300, 10
#: Pixels within which a source of the image without cosmic rays is the same.
SAME = 2.0


def parser():
    """Arguments."""
    own = arguments(__doc__, "cosmic_rays", data=True, model="optical", seed=16)
    own.add_argument("--draws", type=int, default=2, help="times that rays are put into each DECam repeat")
    own.add_argument("--without", nargs="*", default=[], help="programs to leave out")
    return own


def frames_of(folder, seed, draws):
    """Sets of frames with truth by name, and for each set the frames before rays were put in or None."""
    random = np.random.default_rng(seed)
    real, deposits = with_real_rays(decam_frames(folder))
    tracks = real_tracks(real, deposits)
    corners = [(150, 150), (450, 450)]
    quarters = [_cut(f, *corner) for f in jwst_frames(folder).values() for corner in corners]
    number = NUMBER * SIDE**2 // 256**2
    repeats = [f for _ in range(draws) for f in real.values()]
    sets = {"DECam, really there": (list(real.values()), None)}
    others = [[t for name, t in tracks if not f.name.endswith(name)] for f in repeats]
    everything = [t for _, t in tracks]
    sets["DECam, real tracks"] = (
        [put_in(f, random, o, NUMBER) for f, o in zip(repeats, others, strict=True)],
        repeats,
    )
    sets["DECam, simulated"] = ([put_in(f, random, simulated_track, NUMBER) for f in repeats], repeats)
    sets["JWST, real tracks"] = ([put_in(f, random, everything, number) for f in quarters], quarters)
    sets["JWST, simulated"] = ([put_in(f, random, simulated_track, number) for f in quarters], quarters)
    return sets


def _cut(frame, y, x):
    on = (slice(y, y + SIDE), slice(x, x + SIDE))
    return frame.changed(name=f"{frame.name} {y} {x}", data=frame.data[on], noise=frame.noise[on])


def counts(frames, masks_of):
    """True pixels found, false ones, at each threshold, and true ones of each frame, and seconds."""
    found, false, true, seconds = [], [], [], []
    for frame in frames:
        start = time.perf_counter()
        masks = masks_of(frame)
        seconds.append(time.perf_counter() - start)
        found.append(np.count_nonzero(masks & frame.true, axis=(1, 2)).tolist())
        false.append(np.count_nonzero(masks & ~frame.true & ~frame.neutral, axis=(1, 2)).tolist())
        true.append(int(frame.true.sum()))
    return {
        "found": found,
        "false": false,
        "true": true,
        "seconds": seconds,
        "judged": [int((~f.neutral).sum()) for f in frames],
    }


def best(found, false, true):
    """Greatest precision at a recall of 95 %, greatest recall at a precision of 95 %."""
    recall, precision = found / max(true, 1), found / np.maximum(found + false, 1)
    return precision[recall >= 0.95].max(initial=0), recall[precision >= 0.95].max(initial=0)


def summary(result, seed=0, draws=300):
    """Both numbers with intervals, and the area of false pixels at a recall of 95 %."""
    found, false, true = (np.array(result[name]) for name in ("found", "false", "true"))
    random = np.random.default_rng(seed)
    values = best(found.sum(0), false.sum(0), true.sum())
    again = []
    for _ in range(draws):
        i = random.integers(len(true), size=len(true))
        again.append(best(found[i].sum(0), false[i].sum(0), true[i].sum()))
    low, high = np.quantile(again, [0.16, 0.84], axis=0)
    reached = found.sum(0) >= 0.95 * true.sum()
    least = float(false.sum(0)[reached].min() / np.sum(result["judged"]) * 1e6) if reached.any() else None
    names = ("precision_at_95_recall", "recall_at_95_precision")
    numbers = {n: [float(v), float(a), float(b)] for n, v, a, b in zip(names, values, low, high, strict=True)}
    return numbers | {"false_in_a_million": least, "true_pixels": int(true.sum()), "images": len(true)}


def on_rays(frames, before, find):
    """Cosmic rays with a source on them, sources on cosmic rays, numbers of both.

    A source counts whose centre lies on a true pixel or beside it, and that the program did not find within
    two pixels in the image without the cosmic rays (where there is one).
    """
    hit = tracks = sources = wrong = 0
    for i, frame in enumerate(frames):
        x, y = find(frame)
        reach = ndimage.grey_dilation(frame.tracks, (3, 3))
        rows, columns = (
            np.clip(np.rint(v).astype(int), 0, n - 1) for v, n in zip((y, x), reach.shape, strict=True)
        )
        label = reach[rows, columns]
        if before is not None and len(x):
            old = np.transpose(find(before[i]))
            far = cKDTree(old).query(np.transpose([x, y]))[0] > SAME if len(old) else np.ones(len(x), bool)
            label = np.where(far, label, 0)
        numbers = np.setdiff1d(np.unique(frame.tracks), 0)
        hit += len(np.intersect1d(label, numbers))
        tracks += len(numbers)
        sources += len(x)
        wrong += int((label > 0).sum())
    return {"rays": tracks, "rays_with_source": hit, "sources": sources, "sources_on_rays": wrong}


def finders(model):
    """Programs that find sources, by name."""

    def masked(frame, name):
        return _places(sep_sources(frame.data, frame.noise, default_mask(frame, name)))

    return {
        "ours": lambda frame: source_positions(frame, model),
        "sep": lambda frame: _places(sep_sources(frame.data, frame.noise)),
        "sep, pixels of astroscrappy masked": lambda frame: masked(frame, "astroscrappy"),
        "sep, pixels of Cosmic-CoNN masked": lambda frame: masked(frame, "Cosmic-CoNN"),
        "SExtractor": lambda frame: _places(sextractor_sources(frame.data, frame.noise)),
    }


def _places(table):
    return np.asarray(table["x"]), np.asarray(table["y"])


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    sets = frames_of(data_folder(args.data), args.seed, args.draws)
    part = Parts(args.output, model=args.model, seed=args.seed, draws=args.draws)
    programs = {"ours": {"": lambda frame: cosmic_ray_masks(frame, args.model, LOGITS)}} | PEERS
    results = {"pixels": {}, "sources": {}}
    for name, forms in programs.items():
        if name in args.without:
            continue
        for kind, (frames, _) in sets.items():
            tried = {
                f: part(f"{name}/{f}/{kind}", lambda m=m, frames=frames: counts(frames, m))
                for f, m in forms.items()
            }
            numbers = {f: summary(result) for f, result in tried.items()}
            form = max(numbers, key=lambda f: numbers[f]["precision_at_95_recall"][0])
            speed = float(np.median(tried[form]["seconds"]))
            results["pixels"].setdefault(kind, {})[name] = numbers[form] | {"form": form, "seconds": speed}
    for name, find in finders(args.model).items():
        if name in args.without:
            continue
        for kind, (frames, before) in sets.items():
            value = part(f"sources/{name}/{kind}", lambda f=find, a=frames, b=before: on_rays(a, b, f))
            results["sources"].setdefault(kind, {})[name] = value
    write(args.output, results, tables(results))


def tables(results):
    """Markdown tables of both parts."""
    header = [
        "Cosmic rays",
        "Program",
        "Precision at 95 % recall",
        "Recall at 95 % precision",
        "False of a million",
    ]
    rows = []
    for kind, programs in results["pixels"].items():
        for name, value in programs.items():
            cells = [
                f"{v[0]:.3f} ({v[1]:.3f}-{v[2]:.3f})" if v[0] else "not reached"
                for v in (value["precision_at_95_recall"], value["recall_at_95_precision"])
            ]
            false = value["false_in_a_million"]
            first = f"{kind}: {value['true_pixels']} pixels on {value['images']} images"
            rows.append([first, name, *cells, "-" if false is None else f"{false:.0f}"])
    text = rows_to_markdown(header, rows)
    rows = []
    for kind, programs in results["sources"].items():
        for name, v in programs.items():
            shares = [
                f"{a} of {b} ({a / max(b, 1):.1%})"
                for a, b in ((v["rays_with_source"], v["rays"]), (v["sources_on_rays"], v["sources"]))
            ]
            rows.append([kind, name, *shares])
    header = ["Cosmic rays", "Program", "Rays with a source on them", "Sources on rays"]
    return text + "\n" + rows_to_markdown(header, rows)


if __name__ == "__main__":
    main()
