# Licensed under a 3-clause BSD style license - see LICENSE
"""Separation of neighbouring sources: the network beside Gammapy's TS map.

Run as ``python -m benchmarks.neighbours --output NAME``. Pairs of sources on high-latitude emission, each at
least 3 deg from the next pair. The fainter source of a pair has 30 expected counts in one band, and the 68 %
containment radius of that band is the unit of distance.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
import torch
from gammapy.datasets import MapDataset
from gammapy.irf import EDispKernelMap
from gammapy.maps import MapAxis, WcsGeom, WcsNDMap
from scipy.stats import norm

from gammapy_asid.evaluation.baseline import ts_map_candidates
from gammapy_asid.evaluation.metrics import binomial_interval
from gammapy_asid.inputs.bands import LAT_BANDS, Bands, cube_from_arrays
from gammapy_asid.inputs.batch import field_batch
from gammapy_asid.inputs.psf import psf_radius, psf_tables
from gammapy_asid.simulation.instruments import lat_response
from gammapy_asid.simulation.sky import ResponseBank, emission_counts, render_sources, source_counts
from gammapy_asid.simulation.variations import patch_grid, sample_emission
from gammapy_asid.tasks.detection.doubles import split_peaks
from gammapy_asid.tasks.detection.model import DetectionModel
from gammapy_asid.tasks.detection.peaks import FAINTEST_SCORE
from gammapy_asid.tasks.detection.simulator import emission_blur
from gammapy_asid.tasks.measurement.fitted_sources import fit_batch
from gammapy_asid.tasks.measurement.model import SourceEnsemble

from .open_skies import batch_peaks, load_bank
from .patches import psf_map, true_energy_axis
from .report import rows_to_markdown
from .sky235 import data_folder

__all__ = ["PairSimulator", "is_separated"]

#: Counts of the fainter source in the band that sets the unit of distance.
COUNTS = 30.0
INDEX = 2.2
#: Bands: 2-7, 7-20 and 20-1000 GeV.
BANDS = (3, 4, 5)
RATIOS = (1, 3, 10)
DISTANCES = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0)
#: Points of the TS map, which is slow: band, flux ratio, distance.
TS_MAP_POINTS = tuple(
    (band, ratio, distance)
    for band, ratio in ((4, 1), (4, 3), (4, 10), (3, 1), (5, 1))
    for distance in (0.75, 1.0, 1.5, 2.0, 3.0)
)
STYLES = {"network": "o-", "counts only": "^:", "TS map": "x:", "TS map from the band on": "s--"}
METHODS = (*STYLES, "photons")
N_PIX, PIXEL_SIZE = 64, 0.1
#: Places of the pairs in a field, in pixels.
PLACES = np.array([(15.5, 15.5), (47.5, 15.5), (15.5, 47.5), (47.5, 47.5)])
#: Largest offset of a candidate from its source in deg; half the distance where that is less.
RADIUS = 0.3
#: Lowest score, and lowest sqrt(TS) of a peak of the TS map.
THRESHOLD, MIN_SQRT_TS = 0.5, 5.0
#: Half width in pixels of the rendered sources: the low energies have wide tails.
HALF = 60


@dataclass
class Pairs:
    """Simulated fields with pairs of sources.

    Parameters
    ----------
    counts, background : `~numpy.ndarray`
        On the finest pixels, shape ``(n_fields, n_bands, 64, 64)``.
    x, y : `~numpy.ndarray`
        Positions of the sources in pixels, shape ``(n_fields, 4, 2)``; the brighter one first.
    """

    counts: np.ndarray
    background: np.ndarray
    x: np.ndarray
    y: np.ndarray


class PairSimulator:
    """Simulates pairs of sources seen by ten years of LAT.

    Parameters
    ----------
    bank : `~gammapy_asid.simulation.EmissionBank`
        Emission models, of which ``v07`` is used.
    folder : path
        Data folder.
    """

    def __init__(self, bank, folder):
        # All bands on the finest pixels: the TS map needs one geometry
        bands = Bands(LAT_BANDS.edges, (0,) * len(LAT_BANDS))
        caldb = folder / "lat" / "irfs"
        setup = {"irf": "P8R3_SOURCE_V2", "event_type": "FRONT+BACK", "livetime": 10.0, "caldb": caldb}
        self.fine = lat_response(bands=bands, pixel_size=PIXEL_SIZE, **setup)
        self.response = lat_response(pixel_size=PIXEL_SIZE, **setup)
        self.bank = ResponseBank([self.fine], half=HALF)
        v07 = bank.intensity[bank.names.index("v07")]
        blurred = type(bank)(("v07",), v07[None]).smooth(emission_blur([self.fine], [1.0]))
        self.emission = torch.from_numpy(blurred.intensity)
        self.radius = psf_radius(self.fine)
        self.geom = WcsGeom.create(
            skydir=(0, 0), npix=2 * (N_PIX,), binsz=PIXEL_SIZE, proj="TAN", frame="galactic"
        )
        self.spectrum = {
            "amplitude": 1.0,
            "reference": 1.0,
            "index": INDEX,
            "beta": 0,
            "lambda_": 0,
            "alpha": 1,
        }
        unit = {name: torch.tensor([float(v)]) for name, v in self.spectrum.items()}
        self.unit_counts = source_counts(self.bank, torch.zeros(1, dtype=torch.long), unit)[0]

    def amplitude(self, band):
        """Amplitude at 1 GeV that gives `COUNTS` in a band."""
        return COUNTS / float(self.unit_counts[band].sum())

    def flux(self, band):
        """1-100 GeV flux in cm-2 s-1 of that amplitude."""
        return self.amplitude(band) * (1 - 100 ** (1 - INDEX)) / (INDEX - 1)

    def images(self, field, x, y, amplitude, n_fields):
        """Expected counts of sources, shape ``(n_fields, n_bands, 64, 64)``."""
        field, zero = torch.as_tensor(field), torch.zeros(len(field), dtype=torch.long)
        x, y, amplitude = (torch.as_tensor(v, dtype=torch.float32) for v in (x, y, amplitude))
        counts = amplitude[:, None, None] * self.unit_counts
        return torch.stack(
            render_sources(self.bank, zero, field, x, y, counts, 2 * (N_PIX,), n_fields), 1
        ).numpy()

    def background(self, rng, n):
        """Expected counts of the emission at random places of abs(b) > 20 deg."""
        lat = np.arcsin(rng.uniform(np.sin(np.pi / 9), 1, n)) * rng.choice([-1, 1], n)
        centres = torch.tensor(np.column_stack([rng.uniform(-np.pi, np.pi, n), lat]), dtype=torch.float32)
        vectors = patch_grid(centres, torch.zeros(n), torch.full((n,), N_PIX * PIXEL_SIZE), N_PIX // 2)
        intensity = sample_emission(self.emission, vectors)[:, 0]
        planes = emission_counts(self.bank, torch.zeros(n, dtype=torch.long), intensity, 2 * (N_PIX,))
        return torch.stack(planes, 1).numpy()

    def draw(self, rng, n_fields, band, ratio, distance):
        """Simulate fields.

        Parameters
        ----------
        rng : `~numpy.random.Generator`
            Random numbers.
        n_fields : int
            Number of fields, four pairs in each.
        band : int
            Band of the unit of distance.
        ratio : float
            Flux of the brighter source over that of the fainter.
        distance : float
            Distance in units of the 68 % radius of the band.

        Returns
        -------
        pairs : `Pairs`
            Fields.
        """
        shape = n_fields, len(PLACES)
        centre = PLACES + rng.uniform(-0.5, 0.5, (*shape, 2))
        angle = rng.uniform(0, 2 * np.pi, shape)
        half = distance * self.radius[band] / PIXEL_SIZE / 2
        step = half * np.stack([np.cos(angle), np.sin(angle)], -1)
        x, y = (centre[..., None, i] + step[..., None, i] * np.array([1, -1]) for i in (0, 1))
        amplitude = self.amplitude(band) * np.broadcast_to([ratio, 1.0], x.shape)
        field = np.repeat(np.arange(n_fields), 2 * len(PLACES))
        background = self.background(rng, n_fields)
        expected = background + self.images(field, x.ravel(), y.ravel(), amplitude.ravel(), n_fields)
        return Pairs(rng.poisson(expected).astype(np.float32), background, x, y)

    def dataset(self, pairs, i):
        """Gammapy dataset of a field."""
        axis = MapAxis.from_energy_edges(np.array(LAT_BANDS.edges) * u.GeV)
        axis_true = true_energy_axis(self.fine)
        exposure = WcsNDMap(self.geom.to_cube([axis_true]), unit="cm2 s")
        exposure.data += self.fine.exposure.ravel()[:, None, None]
        return MapDataset(
            counts=WcsNDMap(self.geom.to_cube([axis]), pairs.counts[i]),
            background=WcsNDMap(self.geom.to_cube([axis]), pairs.background[i]),
            exposure=exposure,
            psf=psf_map(self.fine),
            edisp=EDispKernelMap.from_diagonal_response(axis, axis_true),
            name=f"pairs-{i}",
        )

    def two_or_one(self, band, ratio, distance):
        """Expected likelihood ratio of the true pair over the best single source of the same spectrum.

        On the mean emission, the pair in the middle of a field.
        """
        half = distance * self.radius[band] / PIXEL_SIZE / 2
        middle, amplitude = (N_PIX - 1) / 2, self.amplitude(band)
        places = middle + half * np.append([1, -1], np.linspace(-1, 1, 41))
        ones = np.ones(len(places))
        images = self.images(np.arange(len(places)), places, middle * ones, amplitude * ones, len(places))
        background = self.background(np.random.default_rng(0), 16).mean((0, 2, 3))[:, None, None]
        expected = background + ratio * images[0] + images[1]

        def deviance(single, level):
            model = background + level * single
            return 2 * np.sum(expected * np.log(expected / model) - expected + model)

        best = np.inf
        for single in images[2:]:
            level = ratio + 1.0
            for _ in range(20):
                model = background + level * single
                slope = np.sum(single * (expected / model - 1))
                step = slope / np.sum(single**2 * expected / model**2)
                level = max(level + step, level / 2)
            best = min(best, deviance(single, level))
        return best


def is_separated(x, y, field, pairs, radius):
    """Pairs of which each source has a candidate of its own.

    Parameters
    ----------
    x, y, field : array-like
        Positions in pixels and fields of the candidates.
    pairs : `Pairs`
        Fields.
    radius : float
        Largest offset in pixels; not more than half the distance, so that no candidate serves both.

    Returns
    -------
    separated : `~numpy.ndarray`
        Bool, shape ``(n_fields, 4)``.
    """
    near = np.hypot(x - pairs.x[field].T, y - pairs.y[field].T).T < radius
    found = np.zeros(pairs.x.shape, bool)
    np.logical_or.at(found, field, near)
    return found.all(-1)


@torch.inference_mode()
def network_candidates(model, ensemble, simulator, pairs, known=True, refine=True):
    """Positions in pixels, fields and scores of a network's candidates."""
    cubes = [
        cube_from_arrays(counts, simulator.geom, simulator.response, background if known else None)
        for counts, background in zip(pairs.counts, pairs.background, strict=True)
    ]
    batch = field_batch(cubes)
    peaks = batch_peaks(model, batch)
    if refine:
        tables = psf_tables(simulator.response)
        peaks, fit = split_peaks(peaks, batch, tables)
        near = peaks.score >= FAINTEST_SCORE
        rows = (getattr(peaks, name)[near] for name in ("field", "x", "y", "score", "sigma"))
        refined = ensemble.positions(fit_batch(batch, simulator.response, *rows, tables=tables, fit=fit))
        peaks.x[near], peaks.y[near] = refined.x, refined.y
    return peaks.x, peaks.y, peaks.field, peaks.score


def ts_map_peaks(simulator, pairs, first=0):
    """Positions in pixels, fields and sqrt(TS) of the peaks of Gammapy's TS map, from a band on."""
    parts = []
    for i in range(len(pairs.counts)):
        dataset = simulator.dataset(pairs, i)
        peaks = ts_map_candidates(
            dataset.slice_by_energy(energy_min=LAT_BANDS.edges[first] * u.GeV) if first else dataset,
            kernel_width="3 deg",
            threshold=MIN_SQRT_TS,
            min_distance="0.1 deg",
            image=False,
            index=INDEX,
        )
        x, y = simulator.geom.coord_to_pix({"lon": peaks["glon"], "lat": peaks["glat"]})
        parts.append((x, y, np.full(len(peaks), i), np.asarray(peaks["score"])))
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def figure(results, simulator):
    """Share of separated pairs against the distance."""
    fig, axes = plt.subplots(1, len(BANDS), figsize=(14, 4.4), layout="constrained", sharey=True)
    for ax, band in zip(axes, BANDS, strict=True):
        for color, ratio in zip(("C0", "C1", "C2"), RATIOS, strict=True):
            for method, style in STYLES.items():
                rows = [r for r in results if (r["band"], r["ratio"], r["method"]) == (band, ratio, method)]
                if not rows or (method in ("counts only", "TS map") and ratio != 1):
                    continue
                number = [[r[key] for r in rows] for key in ("separated", "pairs")]
                share, low, high = binomial_interval(*number)
                ax.errorbar(
                    [r["distance"] for r in rows],
                    share,
                    yerr=np.maximum([share - low, high - share], 0),
                    fmt=style,
                    color=color,
                    markersize=4,
                    capsize=2,
                    label=f"{method}, 1:{ratio}",
                    markerfacecolor="none" if method != "network" else color,
                )
        rows = [r for r in results if (r["band"], r["ratio"], r["method"]) == (band, 1, "photons")]
        ax.plot([r["distance"] for r in rows], [r["share"] for r in rows], "k-.", lw=1, label="photons, 1:1")
        edges = LAT_BANDS.edges[band : band + 2]
        ax.set_title(
            f"{edges[0]:g}-{edges[1]:g} GeV: unit {simulator.radius[band]:.3f} deg", fontsize="medium"
        )
        ax.set(xlabel="Distance in 68 % radii of the band", ylim=(-0.03, 1.03), xlim=(0.3, 4.2))
        ax.axhline(0.5, color="0.7", lw=0.8)
        ax.axvline(1.0, color="0.7", lw=0.8)
    axes[0].set_ylabel("Share of pairs separated")
    # The first panel has room, the second all the methods
    axes[0].legend(*axes[1].get_legend_handles_labels(), fontsize="small", loc="lower right")
    return fig


def to_markdown(results, simulator):
    """Table: a row for each band, flux ratio and method, a column for each distance."""
    lines = []
    for band in BANDS:
        edges = LAT_BANDS.edges[band : band + 2]
        unit = f"{edges[0]:g}-{edges[1]:g} GeV, {simulator.radius[band]:.3f}"
        for ratio in RATIOS:
            for method in METHODS:
                rows = [r for r in results if (r["band"], r["ratio"], r["method"]) == (band, ratio, method)]
                if not rows:
                    continue
                share = {r["distance"]: r["share"] for r in rows}
                cells = [f"{share[d]:.2f}" if d in share else "-" for d in DISTANCES]
                number = str(rows[0]["pairs"]) if method != "photons" else "-"
                flux = f"{simulator.flux(band):.1e}"
                lines.append([unit, flux, f"1:{ratio}", method, number, *cells])
    header = ["band, its 68 % radius (deg)", "S1 of the fainter", "fluxes", "method", "pairs a point"]
    return rows_to_markdown([*header, *(f"{d:g}" for d in DISTANCES)], lines)


def main(args=None):
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="data folder, by default GAMMAPY_ASID_DATA")
    parser.add_argument("--model", default="lat")
    parser.add_argument("--bank", help="emission models, built from the data if not given")
    parser.add_argument("--fields", type=int, default=32, help="fields of four pairs at each point")
    parser.add_argument("--ts-map-fields", type=int, default=8, help="how many of them for the TS map")
    parser.add_argument("--output", default="neighbours", help="name of the JSON, Markdown and PNG files")
    args = parser.parse_args(args)

    torch.set_num_threads(1)
    simulator = PairSimulator(load_bank(args.bank, args.data), data_folder(args.data))
    model, ensemble = DetectionModel.load(args.model), SourceEnsemble.load(args.model, "position")
    output = Path(args.output)
    path = output.with_suffix(".json")
    # A run that was interrupted goes on
    results = json.loads(path.read_text()) if path.exists() else []
    done = {(r["band"], r["ratio"], r["distance"]) for r in results}
    points = [(band, ratio, distance) for band in BANDS for ratio in RATIOS for distance in DISTANCES]
    for point in points:
        if point in done:
            continue
        band, ratio, distance = point
        row = {"band": band, "ratio": ratio, "distance": distance}
        pairs = simulator.draw(np.random.default_rng([band, ratio, int(100 * distance)]), args.fields, *point)
        radius = min(RADIUS / PIXEL_SIZE, distance * simulator.radius[band] / PIXEL_SIZE / 2)
        methods = {
            "network": lambda p=pairs: network_candidates(model, ensemble, simulator, p),
            "counts only": lambda p=pairs: network_candidates(model, ensemble, simulator, p, known=False),
        }
        if point in TS_MAP_POINTS:
            n = args.ts_map_fields
            some = Pairs(pairs.counts[:n], pairs.background[:n], pairs.x[:n], pairs.y[:n])
            methods["TS map"] = lambda p=some: ts_map_peaks(simulator, p)
            # Without the low energies, whose wide point spread function hides what the band can separate
            methods["TS map from the band on"] = lambda p=some, b=band: ts_map_peaks(simulator, p, b)
        for method, find in methods.items():
            used = some if method.startswith("TS map") else pairs
            x, y, field, score = find()
            kept = score >= (MIN_SQRT_TS if method.startswith("TS map") else THRESHOLD)
            found = is_separated(x[kept], y[kept], field[kept], used, radius)
            numbers = {"separated": int(found.sum()), "pairs": found.size, "share": float(found.mean())}
            results.append(row | {"method": method} | numbers)
        # Observed roots of likelihood ratios scatter by one around the expected one
        expected = float(np.sqrt(simulator.two_or_one(*point)))
        results.append(
            row | {"method": "photons", "share": float(norm.cdf(expected - 4)), "sqrt_ts": expected}
        )
        path.write_text(json.dumps(results, indent=0))
    text = to_markdown(results, simulator)
    output.with_suffix(".md").write_text(text)
    figure(results, simulator).savefig(output.with_suffix(".png"), dpi=100)
    print(text)


if __name__ == "__main__":
    main()
