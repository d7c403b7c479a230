# Licensed under a 3-clause BSD style license - see LICENSE
"""An ordinary field of SDSS: what is found, against the deeper co-add of the same sky."""

import time

import numpy as np
from astropy.io import fits
from astropy.table import Table
from scipy.ndimage import map_coordinates
from scipy.signal import fftconvolve
from scipy.spatial import cKDTree

from ..common import Parts, arguments, data_folder, rows_to_markdown, write
from .found import our_sources
from .peers import PEERS, peer_versions
from .sdss_frames import read_frame

__all__ = ["FIELD", "completeness", "inside", "match_nearest", "purity_cut", "read_coadd", "read_photo"]

NEEDS = "data, sep, SExtractor, crowdsource, ten minutes"

FIELD = "000094-1-0012"
#: Columns of the frame that the truth covers, and pixels along all borders that don't count.
COLUMNS, BORDER = 1024, 8
#: Largest distance of a match in pixels (0.8"), twice the spread of faint positions: a place at random has a
#: true source within it once in 280.
RADIUS = 2.0
#: Score down to which the library's own list goes before it is cut.
LOWEST = 0.02
#: Magnitudes whose completeness is asked for.
MAGNITUDES = ((18, 20), (20, 21), (21, 22), (22, 23))
#: Flag of photo: found in this band itself, not only in another one (BINNED1).
IN_BAND = 1 << 28
#: Number of the r band in photo's tables.
R_BAND = 2
#: Significance in g or i that confirms a source which the co-add's catalogue lacks.
CONFIRMED = 3.0
#: Usual settings of the peers, and the thresholds with which they are cut to a purity.
SETTINGS = {
    "sep": ({"threshold": 1.5}, (1.0, 1.2, 1.5, 1.8, 2.1, 2.5, 3.0, 3.5, 4.0)),
    "SExtractor": ({"threshold": 1.5, "pixel_scale": 0.396}, (0.8, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5, 1.7, 2.0)),
    "photutils segments": ({"threshold": 1.5}, (1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0)),
    "photutils iterative": ({"threshold": 4.0, "iterations": 1}, (3.0, 3.5, 4.0, 4.5, 5.0)),
    "crowdsource": ({"threshold": 5.0}, (4.5,)),
}


def read_coadd(folder, wcs):
    """The co-add's catalogue as truth.

    Parameters
    ----------
    folder : path
        Folder with SDSS's files.
    wcs : `~astropy.wcs.WCS`
        World coordinates of the frame.

    Returns
    -------
    truth : `~astropy.table.Table`
        ``x, y`` in pixels, ``mag`` (r: that of the point spread function for stars, of the composite model
        for galaxies) and ``star``.
    """
    table = Table.read(folder / "stripe82_coadd_columns_below_1024.fits", hdu=1)
    x, y = wcs.all_world2pix(table["ra"], table["dec"], 0)
    share = np.asarray(table["fracdev_r"], dtype=float)
    dev, exp = (10 ** (-0.4 * np.asarray(table[f"{name}mag_r"], dtype=float)) for name in ("dev", "exp"))
    star = np.asarray(table["probpsf"]) > 0.5
    composite = -2.5 * np.log10(share * dev + (1 - share) * exp)
    mag = np.where(star, np.asarray(table["psfmag_r"], dtype=float), composite)
    return Table({"x": x, "y": y, "mag": mag, "star": star})


def read_photo(folder, wcs, in_band=False):
    """What SDSS's own pipeline made of the single frames, without parents that it took apart.

    Parameters
    ----------
    folder : path
        Folder with SDSS's files.
    wcs : `~astropy.wcs.WCS`
        World coordinates of the frame.
    in_band : bool
        Only what it found in r itself; the others it found in another band.

    Returns
    -------
    sources : `~astropy.table.Table`
        ``x, y``, ``flux``, ``flux_err`` (of the point spread function in r, nanomaggies), ``star`` (photo's
        class in r) and ``concentration`` (magnitude of the point spread function less that of the composite
        model, in r: the larger, the more of a galaxy).
    """
    table = Table(fits.getdata(folder / f"photoObj-{FIELD}.fits", 1))
    table = table[table["NCHILD"] == 0]
    if in_band:
        table = table[(table["FLAGS"][:, R_BAND] & IN_BAND) != 0]
    x, y = wcs.all_world2pix(table["RA"], table["DEC"], 0)
    columns = {"flux": table["PSFFLUX"], "flux_err": 1 / np.sqrt(np.maximum(table["PSFFLUX_IVAR"], 1e-12))}
    columns |= {"star": table["TYPE"] == 6, "concentration": table["PSFMAG"] - table["CMODELMAG"]}
    return Table({"x": x, "y": y} | {name: np.asarray(column)[:, R_BAND] for name, column in columns.items()})


def inside(x, y, rows=1489):
    """Positions that the truth covers."""
    x, y = np.asarray(x), np.asarray(y)
    return (x >= BORDER) & (x < COLUMNS - BORDER) & (y >= BORDER) & (y < rows - BORDER)


def match_nearest(x, y, truth, radius=RADIUS):
    """Pairs of sources and true ones, nearest first, each in one pair at most.

    Parameters
    ----------
    x, y : array-like
        Sources in pixels.
    truth : `~astropy.table.Table`
        With ``x, y``, without any cut: what lies beyond a border may still be matched.
    radius : float
        Largest distance in pixels.

    Returns
    -------
    true : `~numpy.ndarray`
        Row of the truth for each source, -1 for none.
    """
    tree = cKDTree(np.c_[truth["x"], truth["y"]])
    near = cKDTree(np.c_[x, y]).sparse_distance_matrix(tree, radius, output_type="ndarray")
    true, taken = np.full(len(x), -1), np.zeros(len(truth), bool)
    for source, star in near[np.argsort(near["v"])][["i", "j"]]:
        if true[source] < 0 and not taken[star]:
            true[source], taken[star] = star, True
    return true


def completeness(sources, truth, significance):
    """Share of true sources found by magnitude, and of the sources that are true, inside of the borders.

    Parameters
    ----------
    sources, truth : `~astropy.table.Table`
        With ``x, y``, the truth with ``mag``.
    significance : callable
        See `confirmation`.

    Returns
    -------
    figures : dict
        Shares by interval of magnitude, ``purity`` (share of the sources that the co-add's catalogue has),
        ``confirmed`` (that or seen in g or i), and number of sources.
    """
    true = match_nearest(sources["x"], sources["y"], truth)
    own, counted = inside(sources["x"], sources["y"]), inside(truth["x"], truth["y"])
    found = np.zeros(len(truth), bool)
    found[true[true >= 0]] = True
    matched, x, y = true[own] >= 0, np.asarray(sources["x"])[own], np.asarray(sources["y"])[own]
    confirmed = matched | (significance(x, y) > CONFIRMED)
    figures = {"purity": _share(matched), "confirmed": _share(confirmed), "n_sources": len(matched)}
    for low, high in MAGNITUDES:
        part = counted & (truth["mag"] >= low) & (truth["mag"] < high)
        figures[f"{low}-{high}"] = _share(found[part])
    return figures


def _share(chosen):
    return float(np.mean(chosen)) if len(chosen) else 0.0


def confirmation(folder, frame):
    """Significances of places in the g and i frames, which are independent of r.

    Parameters
    ----------
    folder : path
        Folder with SDSS's files.
    frame : `~benchmarks.optical.sdss_frames.Frame`
        Frame in r.

    Returns
    -------
    significance : callable
        Of positions in pixels of the r frame the larger of both.
    """
    maps = []
    for band in "gi":
        other = read_frame(folder, FIELD, band)
        kernel = other.psf.kernel(COLUMNS / 2, other.data.shape[0] / 2)
        found = fftconvolve(other.data / other.sky_noise, kernel[::-1, ::-1], mode="same")
        found -= np.median(found)
        maps.append((other.wcs, found / (1.4826 * np.median(np.abs(found)))))

    def significance(x, y):
        sky = frame.wcs.all_pix2world(x, y, 0)
        places = [wcs.all_world2pix(*sky, 0)[::-1] for wcs, _ in maps]
        values = [map_coordinates(found, at, order=1) for at, (_, found) in zip(places, maps, strict=True)]
        return np.max(values, axis=0)

    return significance


def purity_cut(sources, truth, purity):
    """The deepest cut of a list by falling ``rank`` that is as pure as asked for."""
    sources = sources[np.argsort(-np.asarray(sources["rank"], dtype=float), kind="stable")]
    own = inside(sources["x"], sources["y"])
    true = match_nearest(sources["x"], sources["y"], truth) >= 0
    share = np.cumsum(true & own) / np.maximum(np.cumsum(own), 1)
    deep = np.flatnonzero(share >= purity)
    return sources[: deep[-1] + 1 if len(deep) else 0]


def measure_peer(name, frame, measure, purity):
    """Figures of a peer with its usual settings, and with the threshold that finds most at a purity.

    Parameters
    ----------
    name : str
        Peer.
    frame : `~benchmarks.optical.sdss_frames.Frame`
        Frame.
    measure : callable
        Figures of a list.
    purity : float
        Least purity.

    Returns
    -------
    figures : dict of dict
        ``usual`` and ``as pure`` (absent if no threshold is).
    """
    settings, thresholds = SETTINGS[name]
    psf = None if name == "SExtractor" else frame.psf.at(COLUMNS / 2, frame.data.shape[0] / 2)
    noise = frame.noise if name == "crowdsource" else frame.sky_noise

    def figures(threshold):
        start = time.perf_counter()
        table = PEERS[name](
            frame.data, noise, frame.saturated, psf=psf, **settings | {"threshold": threshold}
        )
        seconds = time.perf_counter() - start
        return measure(table) | {"threshold": threshold, "seconds": seconds}

    usual = figures(settings["threshold"])
    tried = [figures(threshold) for threshold in thresholds]
    pure = [one for one in [*tried, usual] if one["purity"] >= purity]
    return {"usual": usual} | ({"as pure": max(pure, key=lambda one: one["22-23"])} if pure else {})


def measure_own(frame, truth, measure, purity, **models):
    """Figures of the library at a score of one half and at a purity, with SDSS's or its own PSF."""
    results = {}
    for name, own in (("gammapy_asid, SDSS's PSF", False), ("gammapy_asid, PSF measured", True)):
        found = our_sources(frame, threshold=LOWEST, own_psf=own, **models)
        usual, pure = found[found["rank"] >= 0.5], purity_cut(found, truth, purity)
        seconds = found.meta["seconds"]
        results[name] = {"usual": measure(usual) | {"threshold": 0.5, "seconds": seconds}}
        results[name]["as pure"] = measure(pure) | {"threshold": float(min(pure["rank"], default=1))}
    return results


def to_markdown(results):
    """Table of results."""
    names = [f"{low}-{high}" for low, high in MAGNITUDES]
    header = ["method", "cut", "purity", "confirmed", *names, "sources", "threshold", "seconds"]
    rows = []
    for name, cuts in results["lists"].items():
        for cut, r in cuts.items():
            cells = [f"{r[key]:.3f}" for key in ("purity", "confirmed", *names)]
            more = [f"{r[key]:.3g}" if key in r else "" for key in ("threshold", "seconds")]
            rows.append([name, cut, *cells, str(r["n_sources"]), *more])
    return rows_to_markdown(header, rows)


def parser():
    """Arguments of the program."""
    result = arguments(__doc__, output="sdss", data=True, model="optical")
    result.add_argument(
        "--flux-model", default="joint", help="model of the fluxes, 'joint' for the fit alone"
    )
    result.add_argument("--peers", nargs="*", default=list(SETTINGS), choices=list(SETTINGS), help="peers")
    return result


def main(arguments=None):
    """Measure and write."""
    args = parser().parse_args(arguments)
    folder = data_folder(args.data) / "optical" / "sdss"
    frame = read_frame(folder, FIELD)
    truth, significance = read_coadd(folder, frame.wcs), confirmation(folder, frame)

    def measure(table):
        return completeness(table, truth, significance)

    lists = {
        "SDSS photo, ugriz": {"its list": measure(read_photo(folder, frame.wcs))},
        "SDSS photo, r alone": {"its list": measure(read_photo(folder, frame.wcs, in_band=True))},
    }
    purity = lists["SDSS photo, ugriz"]["its list"]["purity"]
    lists |= measure_own(frame, truth, measure, purity, model=args.model, flux_model=args.flux_model)
    # Peers see the part of the frame with truth, and a little more
    part = frame.cut(slice(0, frame.data.shape[0]), slice(0, COLUMNS + 40))
    parts = Parts(args.output, purity=purity)
    for name in args.peers:
        lists[name] = parts(name, lambda name=name: measure_peer(name, part, measure, purity))
    x, y = np.random.default_rng(0).uniform(BORDER, COLUMNS - BORDER, (2, 10000))
    chance = float((significance(x, y) > CONFIRMED).mean())
    counted = truth[inside(truth["x"], truth["y"])]["mag"]
    numbers = {f"{a}-{b}": int(((counted >= a) & (counted < b)).sum()) for a, b in MAGNITUDES}
    results = {"lists": lists, "chance": chance, "true": numbers, "peers": peer_versions()}
    write(args.output, results, to_markdown(results))


if __name__ == "__main__":
    main()
