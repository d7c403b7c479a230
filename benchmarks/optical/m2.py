# Licensed under a 3-clause BSD style license - see LICENSE
"""Stars in a crowd: the globular cluster M2 seen by SDSS, with stars of the Hubble telescope as truth."""

import time
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from scipy.ndimage import map_coordinates
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from gammapy_asid.optical.batch import HALF, OVERSAMPLING

from ..common import Parts, arguments, data_folder, rows_to_markdown, write
from .found import our_sources
from .peers import PEERS, peer_versions
from .sdss_frames import Frame, read_frame

__all__ = ["CUT", "Truth", "match_crowd", "read_truth", "scores", "simulated_twin"]

NEEDS = "data, sep, SExtractor, crowdsource, ten minutes"

#: Frame of the cluster.
FIELD = "002583-2-0136"
#: First row and column of the scored square, and its side in pixels.
CUT, SIDE = (630, 310), 100
#: Pixels around it that the peers see besides, which are told the sky, and those around that of a twin. The
#: library measures the sky itself, on the whole frame.
AROUND, FAR = 50, 400
#: Pixels along the border of the square that aren't scored.
BORDER = 5
#: Largest distance along each axis in pixels and largest difference in magnitudes of a match.
DISTANCE, MAGNITUDES = 0.5, 0.5
#: Scores of the literature: true positive rate, positive predictive value, F1 (Liu, McAuliffe, Regier 2021,
#: arXiv 2102.02409).
PUBLISHED = {
    "StarNet, wake-sleep on this image": (0.506, 0.601, 0.549),
    "StarNet, simulations only": (0.510, 0.469, 0.489),
    "PCAT": (0.559, 0.405, 0.469),
    "DAOPHOT": (0.200, 0.631, 0.303),
}
#: Scores from which the best is chosen on simulated twins.
THRESHOLDS = (0.3, 0.4, 0.5, 0.6)
#: File with the truth.
TRUTH = "true_hubble_m2_106px_1114.npz"
#: SExtractor's own background on a narrow mesh: above SDSS's sky all stars are one object.
MESH = {"BACK_TYPE": "AUTO", "BACK_SIZE": 16, "WEIGHT_TYPE": "NONE"}
#: Settings of the peers: the best on the very image counts, which is in their favour.
SETTINGS = {
    "sep": [
        {"threshold": t, "area": 2, "contrast": 1e-5, "smooth": s, "mesh": 16, "aperture": a}
        for t in (1.5, 3.0)
        for s in ("none", "default")
        for a in (1.5, 2.0)
    ],
    "SExtractor": [
        {"threshold": t, "area": 2, "contrast": c, "FILTER": f} | MESH
        for t in (1.0, 1.5)
        for c in (1e-4, 1e-5)
        for f in ("N", "Y")
    ],
    "photutils segments": [
        {"threshold": t, "area": 3, "contrast": c} for t in (1.5, 5.0) for c in (0.005, 1e-5)
    ],
    "photutils iterative": [{"threshold": t} for t in (4.0, 10.0)],
    "crowdsource": [{"threshold": t} for t in (5.0,)],
}


@dataclass(frozen=True)
class Truth:
    """Stars in a square of pixels.

    Parameters
    ----------
    x, y : `~numpy.ndarray`
        Positions in pixels, 0 at the centre of the first one of the square.
    flux : `~numpy.ndarray`
        Fluxes in nanomaggies.
    """

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray


def read_truth(path):
    """Stars of the Hubble telescope in the scored square.

    The positions of the file are shares of the side of the square from the edge of its first pixel: fitted to
    the image, side and edge come out as 100.00 and -0.44, -0.42 pixels.

    Parameters
    ----------
    path : path
        File.

    Returns
    -------
    truth : `Truth`
        Stars, in the r band.
    """
    with np.load(path) as file:
        y, x = file["true_locs"].T.astype(float) * SIDE - 0.5
        flux = file["true_fluxes"][:, 0] / float(file["nelec_per_nmgy"])
    return Truth(x, y, flux)


def _scored(x, y, side=SIDE):
    """Sources inside of the border, which is counted from the edges of the pixels."""
    return (np.minimum(x, y) + 0.5 > BORDER) & (np.maximum(x, y) + 0.5 < side - BORDER)


def match_crowd(x, y, flux, truth, flux_counts=True):
    """Matches as in the literature: several sources may match the same star, and the other way round.

    Parameters
    ----------
    x, y, flux : `~numpy.ndarray`
        Sources, in pixels of the square and nanomaggies.
    truth : `Truth`
        Stars.
    flux_counts : bool
        Whether the magnitudes have to agree.

    Returns
    -------
    pairs : `~numpy.ndarray`
        Whether they match, shape ``(n_sources, n_stars)``.
    """
    flux = np.maximum(flux, 1e-9)
    near = (np.abs(x[:, None] - truth.x) < DISTANCE) & (np.abs(y[:, None] - truth.y) < DISTANCE)
    difference = 2.5 * np.log10(flux[:, None] / truth.flux)
    return near & ((np.abs(difference) < MAGNITUDES) | (not flux_counts))


def scores(x, y, flux, truth, side=SIDE, **settings):
    """Figures of a list of sources.

    Parameters
    ----------
    x, y, flux : array-like
        Sources, in pixels of the square and nanomaggies.
    truth : `Truth`
        Stars.
    side : int
        Of the square in pixels.
    settings : dict
        Of `match_crowd`.

    Returns
    -------
    figures : dict
        Shares of true stars (``tpr``) and of sources (``ppv``) with a match, their ``f1``, the same with each
        star and source in one pair at most (``f1_single``), and the numbers of sources and stars.
    """
    x, y, flux = (np.asarray(column, dtype=float) for column in (x, y, flux))
    keep, counted = _scored(x, y, side) & (flux > 0), _scored(truth.x, truth.y, side)
    truth = Truth(truth.x[counted], truth.y[counted], truth.flux[counted])
    pairs = match_crowd(x[keep], y[keep], flux[keep], truth, **settings)
    single = _largest_matching(pairs)
    n_sources, n_stars = pairs.shape
    tpr, ppv = pairs.any(0).mean(), pairs.any(1).mean() if n_sources else 0.0
    return {
        "tpr": float(tpr),
        "ppv": float(ppv),
        "f1": float(2 * tpr * ppv / max(tpr + ppv, 1e-12)),
        "f1_single": 2 * single / (n_sources + n_stars),
        "n_sources": n_sources,
        "n_stars": n_stars,
    }


def _largest_matching(pairs):
    """Most pairs in which each source and each star is once at most."""
    return int((maximum_bipartite_matching(csr_array(pairs)) >= 0).sum()) if pairs.size else 0


def simulated_twin(frame, seed, density=0.1):
    """A crowd like that of a globular cluster, at random positions, in the middle of a field.

    Stars above 1000 electrons have the given density within 100 pixels of the middle of the square; it falls
    outwards as a power law. Their number by flux is a broken power law as of any globular cluster: giants
    above 12 times that flux, the main sequence below, which goes on to a twentieth of it.

    Parameters
    ----------
    frame : `~benchmarks.optical.sdss_frames.Frame`
        Frame with gain, sky noise and point spread function.
    seed : int
        Seed.
    density : float
        Stars a pixel.

    Returns
    -------
    frame : `~benchmarks.optical.sdss_frames.Frame`
        Image with `FAR` pixels around the square.
    truth : `Truth`
        Stars above 1000 electrons, in pixels of the square.
    """
    rng = np.random.default_rng(seed)
    side, limit = SIDE + 2 * FAR, 1000 / frame.gain
    log_flux = np.linspace(np.log(limit / 20), np.log(700 * limit), 2000)
    knee = np.log(12 * limit)
    number = np.exp(-0.35 * (log_flux - knee)) * np.where(
        log_flux > knee, 0.2 * np.exp(-0.35 * (log_flux - knee)), 1
    )
    n = rng.poisson(density * side**2 * number.sum() / number[log_flux > np.log(limit)].sum())
    flux = np.exp(np.interp(rng.random(n), np.cumsum(number) / number.sum(), log_flux))
    x, y = rng.uniform(-0.5, side - 0.5, (2, n))
    distance = np.hypot(x - side / 2, y - side / 2) / 100
    kept = rng.random(n) < np.maximum(distance, 1) ** -2.5
    x, y, flux = x[kept], y[kept], flux[kept]
    light = render(frame.psf.at(0, 0), x, y, flux, (side, side))
    noise = float(np.median(frame.sky_noise))
    sky = noise**2 * frame.gain
    data = (rng.poisson((light + sky) * frame.gain) / frame.gain - sky).astype(np.float32)
    bright = flux > limit
    twin = Frame(
        data=data,
        gain=frame.gain,
        sky_noise=np.full(data.shape, noise, np.float32),
        saturated=np.zeros(data.shape, bool),
        psf=frame.psf,
        wcs=frame.wcs,
    )
    return twin, Truth(x[bright] - FAR, y[bright] - FAR, flux[bright])


def render(psf, x, y, flux, shape):
    """Light of stars in pixels."""
    half, step = HALF, OVERSAMPLING
    offsets = np.arange(-half, half + 1)
    image = np.zeros((shape[0] + 2 * half + 2, shape[1] + 2 * half + 2))
    column, row = np.rint(x).astype(int), np.rint(y).astype(int)
    for part in np.array_split(np.arange(len(x)), max(1, len(x) // 500)):
        rows = (offsets - (y - row)[part, None] + half) * step
        columns = (offsets - (x - column)[part, None] + half) * step
        at = np.broadcast_arrays(rows[:, :, None], columns[:, None, :])
        stamps = map_coordinates(psf, at, order=3, mode="constant") * flux[part, None, None]
        ys = row[part, None, None] + offsets[:, None] + half + 1
        xs = column[part, None, None] + offsets + half + 1
        np.add.at(image, np.broadcast_arrays(ys, xs), stamps)
    return image[half + 1 : -half - 1, half + 1 : -half - 1]


def surroundings(frame):
    """The scored square of a frame with `AROUND` pixels on each side."""
    return frame.cut(*(slice(start - AROUND, start + SIDE + AROUND) for start in CUT))


def _figures(table, truth):
    columns = [np.asarray(table[name], dtype=float) for name in ("x", "y", "flux")]
    return scores(*columns, truth) | {"f1_positions": scores(*columns, truth, flux_counts=False)["f1"]}


def peer_sources(name, frame, **settings):
    """Sources of a peer in a frame with `AROUND` pixels around the square, in pixels of the square."""
    noise = frame.noise if name == "crowdsource" else frame.sky_noise
    # SExtractor's own fits take ten times longer and are no better here
    psf = None if name == "SExtractor" else frame.psf.at(*[(n - 1) / 2 for n in frame.data.shape[::-1]])
    table = PEERS[name](frame.data, noise, frame.saturated, psf=psf, **settings)
    table["x"] -= AROUND
    table["y"] -= AROUND
    return table


def measure_peer(name, frame, truth):
    """Figures of a peer with the best of its settings on this very image."""
    tried = []
    for settings in SETTINGS[name]:
        start = time.perf_counter()
        table = peer_sources(name, frame, **settings)
        seconds = time.perf_counter() - start
        tried.append(_figures(table, truth) | {"seconds": seconds, "settings": settings})
    return max(tried, key=lambda figures: figures["f1"])


def found_in(frame, corner, **settings):
    """Sources of the library in a frame, in pixels of the square whose first row and column are given."""
    table = our_sources(frame, **settings)
    table["y"] -= corner[0]
    table["x"] -= corner[1]
    return table


def chosen_threshold(frame, seeds, **models):
    """Threshold with the best mean F1 on simulated twins.

    Parameters
    ----------
    frame : `~benchmarks.optical.sdss_frames.Frame`
        Frame whose camera the twins have.
    seeds : list of int
        Seeds of the twins.
    models : dict
        Models of `our_sources`.

    Returns
    -------
    result : dict
        ``threshold``, and the mean ``f1`` at every one that was tried.
    """
    curve = dict.fromkeys(THRESHOLDS, 0.0)
    for seed in seeds:
        twin, truth = simulated_twin(frame, seed)
        for threshold in THRESHOLDS:
            found = found_in(twin, (FAR, FAR), threshold=threshold, **models)
            curve[threshold] += _figures(found, truth)["f1"] / len(seeds)
    best = max(curve, key=curve.get)
    return {"threshold": best, "f1": {str(threshold): value for threshold, value in curve.items()}}


def picture(image, truth, lists):
    """The square with the true stars, and with those found by each list.

    Parameters
    ----------
    image : `~numpy.ndarray`
        Square.
    truth : `Truth`
        Stars.
    lists : dict of `~astropy.table.Table`
        Sources by name.

    Returns
    -------
    figure : `~matplotlib.figure.Figure`
        Picture.
    """
    figure = Figure(figsize=(5.2 * (1 + len(lists)), 5.6), layout="constrained")
    axes = figure.subplots(1, 1 + len(lists), sharex=True, sharey=True)
    brightness = np.arcsinh(image / np.median(image))
    for ax in axes:
        ax.imshow(brightness, cmap="gray_r", origin="lower", vmax=np.quantile(brightness, 0.995))
        ax.set(
            xlim=(BORDER - 0.5, SIDE - BORDER - 0.5),
            ylim=(BORDER - 0.5, SIDE - BORDER - 0.5),
            xlabel="x [pixel]",
        )
    size = 4 + 14 * np.log10(truth.flux / truth.flux.min())
    axes[0].scatter(truth.x, truth.y, size, facecolors="none", edgecolors="tab:blue", linewidths=0.7)
    axes[0].set(title=f"Hubble: {_scored(truth.x, truth.y).sum()} stars", ylabel="y [pixel]")
    for ax, (name, table) in zip(axes[1:], lists.items(), strict=True):
        x, y, flux = (np.asarray(table[column], dtype=float) for column in ("x", "y", "flux"))
        keep = _scored(x, y)
        good = match_crowd(x[keep], y[keep], flux[keep], truth).any(1)
        for part, colour, label in ((good, "tab:green", "a match"), (~good, "tab:red", "no match")):
            ax.plot(
                x[keep][part], y[keep][part], "+", color=colour, ms=5, mew=1, label=f"{part.sum()} {label}"
            )
        ax.set_title(name)
        ax.legend(loc="lower right", fontsize="small", framealpha=0.9)
    return figure


def to_markdown(results):
    """Table of results."""
    header = ["method", "TPR", "PPV", "F1", "F1, one to one", "F1 of positions", "sources", "seconds"]
    rows = []
    for name, r in results["found"].items():
        numbers = (r["tpr"], r["ppv"], r["f1"], r["f1_single"], r["f1_positions"])
        cells = [*(f"{value:.3f}" for value in numbers), str(r["n_sources"])]
        rows.append([name, *cells, f"{r['seconds']:.1f}"])
    rows += [[name, *(f"{v:.3f}" for v in values), "", "", "", ""] for name, values in PUBLISHED.items()]
    return rows_to_markdown(header, rows)


def parser():
    """Arguments of the program."""
    result = arguments(__doc__, output="m2", data=True, model="optical")
    result.add_argument(
        "--flux-model", default="optical-flux", help="model of the fluxes, 'joint' for the fit alone"
    )
    result.add_argument("--rounds", type=int, default=4, help="rounds of the search for hidden stars")
    result.add_argument("--twins", type=int, nargs="+", default=[1, 2], help="seeds of the simulated twins")
    result.add_argument("--peers", nargs="*", default=list(SETTINGS), choices=list(SETTINGS), help="peers")
    return result


def main(arguments=None):
    """Measure and write."""
    args = parser().parse_args(arguments)
    folder = data_folder(args.data) / "optical" / "sdss"
    frame = read_frame(folder, FIELD)
    near, truth = surroundings(frame), read_truth(folder / TRUTH)
    parts = Parts(args.output)
    models = {"model": args.model, "flux_model": args.flux_model, "rounds": args.rounds}
    chosen = chosen_threshold(frame, args.twins, **models)
    models["threshold"] = chosen["threshold"]
    found, lists = {}, {}
    for name, own in (("gammapy_asid, SDSS's PSF", False), ("gammapy_asid, PSF measured", True)):
        lists[name] = found_in(frame, CUT, own_psf=own, **models)
        found[name] = _figures(lists[name], truth) | {"seconds": lists[name].meta["seconds"]}
    for name in args.peers:
        found[name] = parts(name, lambda name=name: measure_peer(name, near, truth))
    results = {"found": found, "twins": chosen, "peers": peer_versions()}
    image = near.data[AROUND:-AROUND, AROUND:-AROUND]
    write(args.output, results, to_markdown(results), picture(image, truth, lists))


if __name__ == "__main__":
    main()
