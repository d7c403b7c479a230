# Licensed under a 3-clause BSD style license - see LICENSE
"""From the ground to JWST: sources of one epoch of Abell 2744 that the other confirms, beside other programs.

Two programmes saw the same sky; both images lie on one grid of pixels. A source of one epoch is confirmed if
the same program, with the same settings, finds one in the other epoch at the same place. A lower threshold
finds more and confirms fewer, so programs are compared at equal counts. Faults that both epochs share, as
parts of a galaxy that are no sources, count as confirmed for all programs alike.

``--train FOLDER`` writes images, a list and the point spread function of the left half of the field for
``gammapy-asid train``; the model that comes from it is given with ``--tuned`` and scored on the right half
beside the one it began with.
"""

import shutil
import time
from functools import cache, partial
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table
from matplotlib.figure import Figure
from scipy.interpolate import RectBivariateSpline

from gammapy_asid import OpticalSourceDetector
from gammapy_asid.evaluation.matching import match_optimal
from gammapy_asid.optical.batch import HALF, OVERSAMPLING
from gammapy_asid.optical.images import read_image

from ..common import Parts, arguments, data_folder, rows_to_markdown, write
from .peers import PEERS, peer_versions

NEEDS = "data, the other programs, five minutes"

#: Epochs: beginnings of the names of their files.
EPOCHS = (
    "jw01324001001-01324-o001_t001_nircam_clear-f200w_i2d_stamp",
    "jw02561001002-02561-o001_t003_nircam_clear-f200w_i2d_stamp",
)
#: Largest distance of a confirmation in pixels (the width of the point spread function is 2.4), and pixels
#: along the edges that are left out.
RADIUS, BORDER = 2.0, 16
#: Moves in pixels of the other epoch's list that tell how many are confirmed by chance.
MOVES = ((37, 0), (0, 37), (-37, 0), (0, -37))
#: Settings of the other programs to choose from, and their thresholds.
SETTINGS = {
    "sep": [
        {"area": 3, "contrast": 0.005, "smooth": "psf"},
        {"area": 5, "contrast": 0.005, "smooth": "psf"},
        {"area": 5, "contrast": 5e-4},
    ],
    "SExtractor": [{"area": 5, "contrast": 0.005}, {"area": 5, "contrast": 5e-4}],
}
THRESHOLDS = {
    "sep": (1.0, 1.5, 2.0, 3.0, 5.0),
    "SExtractor": (1.0, 1.5, 2.0, 3.0, 5.0),
}
#: Thresholds of the library's score.
SCORES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
#: Column from which on the field is not used for training.
MIDDLE = 450
OURS = "gammapy_asid"


@cache
def read_epoch(folder, name):
    """Image, noise (0 and NaN are bad pixels) and point spread function sampled as `sep_sources` takes it."""
    data, noise, psf = (
        fits.getdata(folder / f"{name}{end}.fits").astype(np.float32) for end in ("", ".noise", ".WebbPSF")
    )
    steps = np.arange(-HALF * OVERSAMPLING, HALF * OVERSAMPLING + 1) / OVERSAMPLING
    places = np.arange(len(psf)) - len(psf) // 2
    fine = RectBivariateSpline(places, places, psf)(steps, steps)
    return data, noise, fine * OVERSAMPLING**2 / fine.sum()


def background(data, mask):
    """Background of sep in meshes of 64 pixels."""
    import sep

    return sep.Background(np.where(mask, 0, data), mask=mask, bw=64, bh=64).back()


def run_peer(folder, epoch, name, settings):
    """Positions of another program in an epoch."""
    data, noise, psf = read_epoch(folder, EPOCHS[epoch])
    mask = ~np.isfinite(data) | ~(noise > 0)
    if name != "SExtractor":
        settings = settings | {"psf": psf}
    table = PEERS[name](data - background(data, mask), np.where(mask, 1, noise), mask, **settings)
    return np.array(table["x"]), np.array(table["y"])


def run_ours(folder, epoch, model, given):
    """Positions and scores of the library in an epoch."""
    path = folder / EPOCHS[epoch]
    psf = f"{path}.WebbPSF.fits" if given else None
    noise = fits.getdata(f"{path}.noise.fits").astype(float)
    # A few values are negative
    bad = ~(noise > 0)
    image = read_image(f"{path}.fits", mask=bad, error=np.where(bad, 1, noise), psf=psf)
    table = OpticalSourceDetector(model, threshold=min(SCORES)).run(image).table
    return tuple(np.array(table[name], dtype=float) for name in ("xcentroid", "ycentroid", "score"))


def confirmed(first, second, columns=(0, 900)):
    """Sources of each list with one of the other at their place, and the share of those that are by chance.

    Parameters
    ----------
    first, second : tuple of `~numpy.ndarray`
        Positions ``x, y`` of both epochs.
    columns : tuple of float
        Columns that count.

    Returns
    -------
    numbers : dict
        Mean ``count`` of the epochs, ``share`` of their sources that are confirmed and what is so ``by
        chance``.
    """
    count, hits, chance = 0, 0, 0.0
    for one, other in ((first, second), (second, first)):
        x, y = one
        inside = (x > max(columns[0], BORDER)) & (x < min(columns[1], 899 - BORDER))
        inside &= (y > BORDER) & (y < 899 - BORDER)
        count += int(inside.sum())
        hits += int(_matched(one, other)[inside].sum())
        moved = [_matched(one, (other[0] + dx, other[1] + dy))[inside].sum() for dx, dy in MOVES]
        chance += float(np.mean(moved))
    return {"count": count / 2, "share": hits / max(count, 1), "by chance": chance / max(count, 1)}


def _matched(one, other):
    # The library matches on the sphere: a pixel is an arcsecond at its equator
    places = (np.asarray(v, dtype=float) / 3600 for v in (*one, *other))
    return match_optimal(*places, radius=RADIUS / 3600).is_matched


def peer_curves(folder, name):
    """Counts and shares by threshold, for each of a program's settings, and its seconds an image."""
    curves, start = [], time.perf_counter()
    for settings in SETTINGS[name]:
        rows = []
        for threshold in THRESHOLDS[name]:
            chosen = settings | {"threshold": threshold}
            lists = [run_peer(folder, epoch, name, chosen) for epoch in (0, 1)]
            rows.append([{"threshold": threshold} | confirmed(*lists, part) for part in PARTS.values()])
        curves.append({"settings": settings} | {part: [r[i] for r in rows] for i, part in enumerate(PARTS)})
    images = 2 * len(SETTINGS[name]) * len(THRESHOLDS[name])
    return {"curves": curves, "seconds": (time.perf_counter() - start) / images}


#: Columns of the whole field and of its half that trains nothing.
PARTS = {"field": (0, 900), "right half": (MIDDLE, 900)}


def our_curve(folder, model, given):
    """The same of the library by score."""
    start = time.perf_counter()
    lists = [run_ours(folder, epoch, model, given) for epoch in (0, 1)]
    seconds = (time.perf_counter() - start) / 2
    curve = {}
    for part, columns in PARTS.items():
        cuts = ([(x[s >= cut], y[s >= cut]) for x, y, s in lists] for cut in SCORES)
        curve[part] = [
            {"threshold": cut} | confirmed(*c, columns) for cut, c in zip(SCORES, cuts, strict=True)
        ]
    return {"curves": [{"settings": {"psf": "given" if given else "measured"}} | curve], "seconds": seconds}


def best_at(curves, part, count):
    """Largest share at a count among a program's settings, between thresholds linear in the count."""
    best = {"share": np.nan}
    for curve in curves:
        rows = sorted(curve[part], key=lambda row: row["count"])
        counts = [row["count"] for row in rows]
        if not counts[0] <= count <= counts[-1]:
            continue
        share, chance = (
            float(np.interp(count, counts, [row[n] for row in rows])) for n in ("share", "by chance")
        )
        if not share <= best["share"]:
            best = {"share": share, "by chance": chance, "settings": curve["settings"]}
    return best


def table(results, part, counts):
    """Shares at equal counts in Markdown."""
    rows = []
    for name, found in results.items():
        cells = []
        for count in counts:
            best = best_at(found["curves"], part, count)
            cells.append("" if np.isnan(best["share"]) else f"{best['share']:.3f} ({best['by chance']:.3f})")
        rows.append([name, *cells, f"{found['seconds']:.1f}"])
    header = ["program", *(f"{count:.0f} sources" for count in counts), "seconds"]
    return f"\n{part}: confirmed (by chance)\n\n" + rows_to_markdown(header, rows)


def figure(results):
    """Share confirmed against the count."""
    figure = Figure(figsize=(5.5, 4), layout="constrained")
    axes = figure.subplots()
    for i, (name, found) in enumerate(results.items()):
        for j, curve in enumerate(found["curves"]):
            x, y = ([row[key] for row in curve["field"]] for key in ("count", "share"))
            width = 2.5 if name.startswith(OURS) else 0.8
            axes.plot(x, y, ".-", color=f"C{i}", lw=width, label=None if j else name)
    axes.set(xlabel="Sources of an epoch", ylabel="Share confirmed by the other", xlim=(0, 800))
    axes.legend(fontsize=8)
    return figure


def write_training(folder, output):
    """Left halves of both epochs with their errors, and a list from their mean, as a user would have them."""
    output.mkdir(parents=True, exist_ok=True)
    images = [read_epoch(folder, name) for name in EPOCHS]
    data = np.mean([image[0][:, :MIDDLE] for image in images], axis=0)
    noise = np.sqrt(np.sum([image[1][:, :MIDDLE] ** 2 for image in images], axis=0)) / 2
    # A few values of the noise are negative
    mask = ~np.isfinite(data) | ~np.all([image[1][:, :MIDDLE] > 0 for image in images], axis=0)
    settings = {"psf": images[0][2], "threshold": 1.5, "area": 5, "contrast": 5e-4, "smooth": "psf"}
    found = PEERS["sep"](data - background(data, mask), np.where(mask, 1, noise), mask, **settings)
    listed = Table({"xcentroid": found["x"], "ycentroid": found["y"]})
    for i, (image, error, _) in enumerate(images):
        image, error = np.where(mask, np.nan, image[:, :MIDDLE]), np.where(mask, 1, error[:, :MIDDLE])
        maps = [fits.ImageHDU(image, name="SCI"), fits.ImageHDU(error, name="ERR")]
        hdus = fits.HDUList([fits.PrimaryHDU(), *maps])
        hdus.writeto(output / f"epoch{i + 1}.fits", overwrite=True)
    listed.write(output / "list.fits", overwrite=True)
    shutil.copy(folder / f"{EPOCHS[0]}.WebbPSF.fits", output / "psf.fits")
    print(f"{len(listed)} sources of both epochs together in {output}/list.fits")


def main(arguments=None):
    """Measure."""
    args = parser().parse_args(arguments)
    folder = data_folder(args.data) / "optical" / "jwst"
    if args.train:
        return write_training(folder, args.train)
    parts = Parts(args.output, settings=SETTINGS)
    results = {name: parts(name, partial(peer_curves, folder, name)) for name in SETTINGS}
    if not args.without:
        for row, given in ((OURS, True), (f"{OURS}, PSF measured", False)):
            results[row] = parts(f"{row} {args.model}", partial(our_curve, folder, args.model, given))
    if args.tuned:
        row = f"{OURS}, fine-tuned"
        results[row] = parts(f"{row} {args.tuned}", partial(our_curve, folder, args.tuned, True))
    text = table(results, "field", (100, 150, 200, 250, 300, 400))
    text += table(results, "right half", (50, 75, 100, 125, 150, 200))
    write(args.output, {"versions": peer_versions(), "results": results}, text, figure(results))


def parser():
    """Arguments."""
    parser = arguments(__doc__, output="jwst", data=True, model="optical")
    parser.add_argument("--tuned", help="path of a model that went on with the left half of the field")
    parser.add_argument("--train", type=Path, help="folder for what that training needs; nothing is measured")
    parser.add_argument("--without", action="store_true", help="the other programs only")
    return parser


if __name__ == "__main__":
    main()
