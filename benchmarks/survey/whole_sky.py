# Licensed under a 3-clause BSD style license - see LICENSE
"""The whole sky: time and memory of a simulated one, the real one as coarse HEALPix map, and a killed run."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from astropy.coordinates import SkyCoord
from gammapy.datasets import Datasets, MapDataset
from gammapy.maps import WcsGeom

from gammapy_asid import Candidates, DLFluxEstimator, DLSkySurvey, DLSourceDetector
from gammapy_asid.evaluation import match_brightest, matched_filter_candidates, ts_map_candidates
from gammapy_asid.inputs import to_band_cube
from gammapy_asid.inputs.square_pixels import on_square_pixels
from gammapy_asid.simulation import analytic_emission, draw_sky
from gammapy_asid.simulation.all_sky import simulate_sky
from gammapy_asid.survey import SkyTiles, TileCutter

from ..common import arguments, data_folder, file_of, processor_seconds, write
from ..skies.catalogs import galactic_positions, read_catalog
from ..skies.real_fields import sky_3fhl

NEEDS = "data (for healpix), an hour"

#: Bands of the simulated sky in GeV.
EDGES = (0.3, 0.5, 1.0, 2.0, 7.0, 20.0, 1000.0)
PIXEL = 0.1
#: Fluxes 1-100 GeV in cm-2 s-1 from which completeness is stated.
LIMITS = (1e-10, 2e-10, 4.5e-10, 1e-9)
N_JOBS = 2
#: Radius in deg of the discs for the classical methods, and area of the sky in deg2.
DISC, WHOLE_SKY = 5.0, 41252.96


class Memory:
    """Largest memory in GB of this process and its children together, pages that they share counted once."""

    def __init__(self):
        self.peak, self._stop = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._stop.set()
        self._thread.join()

    def _watch(self):
        while not self._stop.wait(0.5):
            children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            self.peak = max(self.peak, sum(map(self._share, ["self", *children])))

    @staticmethod
    def _share(process):
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:  # it has ended
            return 0.0
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1e6


def _sky(seed):
    """Sources and dataset of a simulated sky, with another emission as background than made the counts."""
    rng = np.random.default_rng(seed)
    catalog, emission = draw_sky(rng), analytic_emission(seed)
    known = analytic_emission(seed + 1)
    image = WcsGeom.create(binsz=PIXEL, proj="CAR", frame="galactic")
    return catalog, simulate_sky(image, catalog, emission, known, energy_edges=EDGES, rng=rng)


def simulated(args):
    """Detection and characterisation of a simulated sky."""
    catalog, dataset = _sky(args.seed)
    detector = DLSourceDetector(args.model, threshold=0.5)
    start = time.perf_counter()
    with Memory() as memory:
        candidates = DLSkySurvey(detector, n_jobs=N_JOBS).run(dataset)
    result = {"seconds": time.perf_counter() - start, "peak memory": memory.peak}
    result["counts"] = float(dataset.counts.data.sum())
    flux = catalog.flux(1, 100)
    matches = match_brightest(
        candidates.table["glon"].value,
        candidates.table["glat"].value,
        np.asarray(candidates.table["score"]),
        *(catalog.lon, catalog.lat, flux),
    )
    found = matches.pred_index >= 0
    result |= {
        "candidates": len(candidates),
        "purity": float(matches.is_matched.mean()),
        "completeness": {f"{limit:g}": float(found[flux > limit].mean()) for limit in LIMITS},
        "sources": {f"{limit:g}": int((flux > limit).sum()) for limit in LIMITS},
    }
    result["parts"] = _parts(dataset, detector, 6, args.seed)
    return result


def _parts(dataset, detector, number, seed):
    """Seconds of each part on random tiles, one process, scaled to the whole sky."""
    tiles, cutter, fluxes = SkyTiles(), TileCutter(dataset), DLFluxEstimator(detector.model)
    parts = dict.fromkeys(("cut", "band cube", "detection and positions", "fluxes"), 0.0)
    chosen = np.random.default_rng(seed).choice(len(tiles), number, replace=False)
    for tile in chosen.tolist():
        marks = [time.perf_counter()]
        field = cutter.cut(tiles.centre(tile), tiles.radius(tile))
        marks.append(time.perf_counter())
        cube = to_band_cube(Datasets(field), detector.bands)
        marks.append(time.perf_counter())
        candidates = detector.run(cube)
        marks.append(time.perf_counter())
        fluxes.run(cube, candidates)
        marks.append(time.perf_counter())
        for name, seconds in zip(parts, np.diff(marks), strict=True):
            parts[name] += seconds
    return {name: seconds * len(tiles) / number for name, seconds in parts.items()}


def classical(args):
    """Processor time of the detector and of classical methods on random discs, scaled to the whole sky."""
    detector = DLSourceDetector(args.model, threshold=0.5)
    # The kernel holds most photons above 1 GeV; energies of the TS map are summed, as is fastest
    methods = {
        "detector": detector.run,
        "TS map": lambda disc: ts_map_candidates(disc, kernel_width="4 deg"),
        "matched filter": lambda disc: matched_filter_candidates(disc, kernel_width="4 deg"),
    }
    cutter, rng, area = TileCutter(_sky(args.seed)[1]), np.random.default_rng(args.seed), 0.0
    seconds = dict.fromkeys(methods, 0.0)
    for _ in range(args.discs):
        lon, lat = rng.uniform(0, 360), np.degrees(np.arcsin(rng.uniform(-1, 1)))
        disc = cutter.cut(SkyCoord(lon, lat, unit="deg", frame="galactic"), DISC)
        regular = on_square_pixels(disc)
        for method, find in methods.items():
            start = processor_seconds()
            find(regular)
            seconds[method] += processor_seconds() - start
        area += np.pi * DISC**2
    return {"discs": args.discs} | {method: value * WHOLE_SKY / area for method, value in seconds.items()}


def healpix(args):
    """3FHL counts above 10 GeV in pixels of 0.9 deg, as they are."""
    folder = data_folder(args.data)
    dataset, catalog = sky_3fhl(folder), read_catalog("3FHL", folder)
    start = time.perf_counter()
    candidates = DLSkySurvey(DLSourceDetector(args.model, threshold=0.5), n_jobs=N_JOBS).run(dataset)
    seconds = time.perf_counter() - start
    sources = galactic_positions(catalog)
    _, distance, _ = sources.match_to_catalog_sky(candidates.positions)
    _, back, _ = candidates.positions.match_to_catalog_sky(sources)
    signif = np.asarray(catalog["Signif_Avg"], float)
    result = {"seconds": seconds, "counts": float(dataset.counts.data.sum()), "candidates": len(candidates)}
    result["3FHL within one pixel of a candidate"] = {
        f"{limit} sigma": f"{(distance.deg < 0.92)[signif > limit].sum()}/{(signif > limit).sum()}"
        for limit in (5, 10, 20, 50)
    }
    result["candidates within one pixel of 3FHL"] = int((back.deg < 0.92).sum())
    missed = (signif > 20) & (distance.deg >= 0.92)
    result["missed above 20 sigma"] = [
        f"{row['Source_Name'].strip()} ({row['ASSOC1'].strip()}, {row['Signif_Avg']:.0f} sigma)"
        for row in catalog[missed]
    ]
    return result


def killed(args):
    """The catalogue of a run that is killed ten times against that of a run in one go."""
    rng = np.random.default_rng(args.seed)
    image = WcsGeom.create(skydir=(60, 20), binsz=0.2, width=(100, 60), proj="CAR", frame="galactic")
    dataset = simulate_sky(
        image, draw_sky(rng), analytic_emission(args.seed), energy_edges=EDGES[2:], rng=rng
    )
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        dataset.write(folder / "sky.fits.gz")
        command = [sys.executable, "-m", "benchmarks.survey.whole_sky", "survey", "--model", args.model]
        subprocess.run([*command, "--files", folder], check=True, stdout=subprocess.DEVNULL)
        whole = Candidates.read(folder / "candidates.fits")
        (folder / "candidates.fits").unlink()
        for tile in (folder / "tiles").glob("*"):
            tile.unlink()
        kills, tiles = 0, []
        while kills < 10:
            process = subprocess.Popen([*command, "--files", folder], stdout=subprocess.DEVNULL)
            try:
                process.wait(rng.uniform(4, 25))
                break
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
                tiles.append(len(list((folder / "tiles").glob("tile_*.fits"))))
        subprocess.run([*command, "--files", folder], check=True, stdout=subprocess.DEVNULL)
        again = Candidates.read(folder / "candidates.fits")
    same = len(whole) == len(again) and all(
        np.array_equal(whole.table[name], again.table[name], equal_nan=whole.table[name].dtype.kind == "f")
        for name in whole.table.colnames
    )
    return {"kills": kills, "tiles after each": tiles, "candidates": len(whole), "same catalogue": bool(same)}


def survey(args):
    """A survey of a file, what `killed` kills."""
    dataset = MapDataset.read(args.files / "sky.fits.gz", name="sky")
    detector = DLSourceDetector(args.model, threshold=0.5)
    DLSkySurvey(detector, folder=args.files / "tiles").run(dataset).write(args.files / "candidates.fits")
    return {}


PARTS = {
    "simulated": simulated,
    "classical": classical,
    "healpix": healpix,
    "killed": killed,
    "survey": survey,
}


def parser():
    """Arguments."""
    own = arguments(__doc__, "whole_sky", data=False, model="lat", seed=7)
    own.add_argument("parts", nargs="+", choices=PARTS, help="what is measured")
    own.add_argument("--discs", type=int, default=20, help="discs for the classical methods")
    own.add_argument("--files", type=Path, help="folder of the part survey")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    for part in args.parts:
        result = PARTS[part](args)
        if part != "survey":
            write(file_of(args.output, f"_{part}"), result)


if __name__ == "__main__":
    main()
