# Licensed under a 3-clause BSD style license - see LICENSE
"""Trails of satellites put into real and simulated images: their masks and the false sources on them.

A trail counts as masked if the mask covers half of its core or more, the pixels with more than half of the
brightness of its middle. Purity is the share of masked pixels that lie on a trail: within its full width at
half maximum and two pixels more, or where its light has a tenth of the noise. A false source of a trail lies
there, and the program did not find it in the image without the trail within two pixels. SExtractor and sep
mask no trails; acstools' median Radon transform (Stark et al. 2022) does, with its defaults, on some of the
trails. Intervals are 68 %.
"""

import contextlib
import io
import logging
import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
from astropy.io import fits
from astropy.stats import mad_std
from astropy.visualization import ZScaleInterval
from scipy.spatial import cKDTree

from gammapy_asid.evaluation import binomial_interval

from ..common import Parts, arguments, data_folder, rows_to_markdown, write
from .cosmic_ray_frames import Frame
from .network_maps import source_positions, trail_mask
from .peers import sep_sources, sextractor_sources
from .trail_frames import base_frames, put_in_trail, simulated_frame

NEEDS = "the optical data, sep, SExtractor, acstools, half an hour"

#: Groups of the brightness of a trail's middle in units of the noise.
BRIGHTNESS = (0.5, 1, 2, 5, 50)
#: Pixels within which a source of the image without the trail is the same.
SAME = 2.0
#: The real trail: its ends (x, y) and half of its width in pixels, by eye.
STREAK, STREAK_ENDS, STREAK_HALF = "optical/streak_512.fits", ((20, 338), (341, 309)), 8


def parser():
    """Arguments."""
    own = arguments(__doc__, "trails", data=True, model="optical", seed=17)
    own.add_argument("--simulated", type=int, default=40, help="number of simulated images")
    own.add_argument(
        "--every", type=int, default=6, help="acstools, which is slow, gets one of so many trails"
    )
    own.add_argument("--own", type=int, default=1, help="so does the library")
    own.add_argument("--without", nargs="*", default=[], help="programs to leave out")
    return own


def frames_of(folder, seed, simulated):
    """Frames by kind, each with its full width at half maximum."""
    kinds = base_frames(folder)
    # As many trails on each camera
    kinds = {kind: frames * -(-24 // len(frames)) for kind, frames in kinds.items()}
    random = np.random.default_rng((seed, 1))
    return kinds | {"simulated": [simulated_frame(random) for _ in range(simulated)]}


def radon_masks(frame):
    """Mask of acstools' median Radon transform, with the brightest pixels of sources left out."""
    from acstools.findsat_mrt import TrailFinder

    logging.getLogger("acstools").setLevel(logging.ERROR)
    data = frame.data / frame.sky_noise
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        finder = TrailFinder(data, processes=1, save_catalog=False, save_diagnostic=False, plot=False)
        finder.run_mrt()
        finder.find_mrt_sources()
        finder.filter_sources()
        finder.make_mask()
    return np.asarray(finder.mask, bool)


def masks_of(kinds, make, seed, every=1):
    """Cover of each trail's core and masked pixels on and off it; of some trails."""
    rows = []
    for number, (kind, frames) in enumerate(kinds.items()):
        for i, (frame, fwhm) in enumerate(frames):
            if i % every:
                continue
            trailed, trail = put_in_trail(frame, fwhm, np.random.default_rng((seed, number, i)))
            start = time.perf_counter()
            mask = make(trailed)
            rows.append(
                {
                    "kind": kind,
                    "peak": trail.peak,
                    "width": trail.width,
                    "seconds": time.perf_counter() - start,
                    "cover": float((mask & trail.core).sum() / trail.core.sum()),
                    "on": int((mask & trail.region).sum()),
                    "off": int((mask & ~trail.region).sum()),
                }
            )
    return rows


def sources_of(kinds, find, seed, every=1):
    """Number of false sources of each trail, or of some."""
    rows = []
    for number, (kind, frames) in enumerate(kinds.items()):
        before = {}
        for i, (frame, fwhm) in enumerate(frames):
            if i % every:
                continue
            trailed, trail = put_in_trail(frame, fwhm, np.random.default_rng((seed, number, i)))
            if id(frame) not in before:
                before[id(frame)] = np.transpose(find(frame))
            new = _on(np.transpose(find(trailed)), trail.region)
            old = before[id(frame)]
            if len(old) and len(new):
                new = new[cKDTree(old).query(new)[0] > SAME]
            rows.append({"kind": kind, "peak": trail.peak, "false": len(new)})
    return rows


def _on(places, region):
    """Those of the positions, shape ``(n, 2)``, that lie in a region."""
    if not len(places):
        return places
    rows, columns = (
        np.clip(np.rint(places[:, 1 - i]).astype(int), 0, n - 1) for i, n in enumerate(region.shape)
    )
    return places[region[rows, columns]]


def mask_numbers(rows):
    """Share of trails masked with its interval, purity of pixels, false pixels of a million."""
    covered = np.array([r["cover"] >= 0.5 for r in rows])
    on, off = (np.array([r[name] for r in rows]) for name in ("on", "off"))
    share = [float(v[0]) for v in binomial_interval(covered.sum(), len(covered))]
    purity = float(on.sum() / max((on + off).sum(), 1))
    # The mean over trails counts a bright, wide one no more than a faint one
    mean = float(np.mean((on / np.maximum(on + off, 1))[on + off > 0])) if (on + off).any() else None
    return {
        "trails": len(rows),
        "masked": share,
        "purity": purity,
        "mean_purity": mean,
        "off": float(off.mean()),
    }


def groups(rows):
    """Trails by kind and by brightness, with names."""
    yield "all", rows
    yield "all of 1 or more", [r for r in rows if r["peak"] >= 1]
    for kind in dict.fromkeys(r["kind"] for r in rows):
        yield f"{kind}, of 1 or more", [r for r in rows if r["kind"] == kind and r["peak"] >= 1]
    for low, high in zip(BRIGHTNESS[:-1], BRIGHTNESS[1:], strict=True):
        yield f"{low} to {high}", [r for r in rows if low <= r["peak"] < high]


def _places(table):
    return np.asarray(table["x"]), np.asarray(table["y"])


FINDERS = {
    "sep": lambda frame: _places(sep_sources(frame.data, frame.noise)),
    "SExtractor": lambda frame: _places(sextractor_sources(frame.data, frame.noise)),
}


def streak(folder, model):
    """The real trail: share of its line masked, and sources on it of each program; picture."""
    data = fits.getdata(folder / STREAK).astype(float)
    data -= np.median(data)
    noise = float(mad_std(data))
    frame = Frame("streak", data, noise, np.full(data.shape, noise), None)
    # The noise alone: no camera is named in the file
    mask = trail_mask(frame.changed(noise=np.full(data.shape, noise)), model)
    (x0, y0), (x1, y1) = STREAK_ENDS
    y, x = np.mgrid[: data.shape[0], : data.shape[1]]
    length = np.hypot(x1 - x0, y1 - y0)
    along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length
    across = ((y - y0) * (x1 - x0) - (x - x0) * (y1 - y0)) / length
    region = (np.abs(across) < STREAK_HALF) & (along > -5) & (along < length + 5)
    columns = np.arange(x0, x1)
    hit = [mask[:, c][region[:, c]].any() for c in columns]
    finders = {"ours": lambda f: source_positions(f, model)} | FINDERS
    places = {name: np.transpose(find(frame)) for name, find in finders.items()}
    numbers = {name: len(_on(p, region)) for name, p in places.items()}
    figure, axes = plt.subplots(1, 3, figsize=(18, 6.3), layout="constrained")
    limits = ZScaleInterval().get_limits(data)
    for ax, name in zip(axes, places, strict=True):
        ax.imshow(data, origin="lower", cmap="gray", vmin=limits[0], vmax=limits[1])
        ax.plot(*places[name].T, "o", mfc="none", mec="tab:orange", ms=7)
        ax.set_title(f"{name}: {len(places[name])} sources, {numbers[name]} on the trail")
    axes[0].contour(mask, [0.5], colors="tab:cyan", linewidths=0.8)
    off = int((mask & ~region).sum())
    return {"length_masked": float(np.mean(hit)), "pixels_off": off, "sources_on_it": numbers}, figure


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    folder = data_folder(args.data)
    kinds = frames_of(folder, args.seed, args.simulated)
    part = Parts(args.output, model=args.model, seed=args.seed, simulated=args.simulated)
    maskers = {"ours": lambda frame: trail_mask(frame, args.model), "acstools": radon_masks}
    finders = {"ours": lambda frame: source_positions(frame, args.model)} | FINDERS
    results = {"masks": {}, "sources": {}}
    for name, make in maskers.items():
        if name not in args.without:
            every = {"acstools": args.every, "ours": args.own}.get(name, 1)
            rows = part(f"masks/{name}", lambda make=make, n=every: masks_of(kinds, make, args.seed, n))
            results["masks"][name] = {k: mask_numbers(r) for k, r in groups(rows) if r}
    for name, find in finders.items():
        if name not in args.without:
            every = args.own if name == "ours" else 1
            rows = part(f"sources/{name}", lambda find=find, n=every: sources_of(kinds, find, args.seed, n))
            results["sources"][name] = {
                k: {"mean": float(np.mean([v["false"] for v in r])), "most": max(v["false"] for v in r)}
                for k, r in groups(rows)
                if r
            }
    figure = None
    if "ours" not in args.without:
        results["streak"], figure = streak(folder, args.model)
    write(args.output, results, tables(results), figure)


def tables(results):
    """Markdown table of trails by kind and brightness."""
    names = list(dict.fromkeys(k for part in ("masks", "sources") for v in results[part].values() for k in v))
    header = ["Trails", "Number"]
    header += [f"Masked by {n} (purity)" for n in results["masks"]]
    header += [f"False sources a trail, {n}" for n in results["sources"]]
    rows = []
    for name in names:
        row = [name, " / ".join(str(v[name]["trails"]) for v in results["masks"].values() if name in v)]
        for value in results["masks"].values():
            v = value.get(name)
            if v is None:
                row.append("-")
                continue
            row.append("{:.3f} ({:.3f}-{:.3f})".format(*v["masked"]) + f", {v['purity']:.3f}")
        row += [f"{v[name]['mean']:.2f}" for v in results["sources"].values()]
        rows.append(row)
    text = rows_to_markdown(header, rows)
    if "streak" in results:
        s = results["streak"]
        on_it = ", ".join(f"{n} {k}" for k, n in s["sources_on_it"].items())
        text += f"\nReal trail: {s['length_masked']:.1%} of its length masked, {s['pixels_off']} pixels "
        text += f"off it; sources on it: {on_it}.\n"
    return text


if __name__ == "__main__":
    main()
