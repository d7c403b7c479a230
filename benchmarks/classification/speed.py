# Licensed under a 3-clause BSD style license - see LICENSE
"""Time of classes of many candidates and of a catalogue, beside detection and Gammapy's estimators."""

import time

import astropy.units as u
import numpy as np
import torch
from astropy.coordinates import SkyCoord, concatenate
from astropy.table import Table
from gammapy.datasets import Datasets
from gammapy.estimators import FluxPointsEstimator, LightCurveEstimator
from gammapy.modeling.models import PointSpatialModel, PowerLawSpectralModel, SkyModel

from gammapy_asid import DLSourceClassifier, DLSourceDetector, classify_table
from gammapy_asid.inputs.datasets import with_models
from gammapy_asid.simulation import draw_sky
from gammapy_asid.simulation.diffuse import analytic_emission
from gammapy_asid.simulation.lat_time_bins import simulate_time_bins
from gammapy_asid.tasks.classification.tables import TableClassifier

from ..common import arguments, rows_to_markdown, write

NEEDS = "a classifier; for tables a 4FGL-like catalogue; ten minutes"

#: Centre in Galactic coordinates and size of the field in deg, and its candidates.
CENTRE, SIZE, CANDIDATES = (30.0, 12.0), (20.0, 16.0), 400
#: Side in deg of the region in which Gammapy fits one source.
REGION = 3
#: Repetitions, of which the shortest counts.
REPEAT = 3


def seconds(function, repeat=REPEAT):
    """Shortest wall time and shortest time of the processor of some calls."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter(), time.process_time()
        function()
        times.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    return np.min(times, axis=0)


def simulated(rng):
    """Field in ten bins of time, and candidates: the brightest sources and random places."""
    centre = SkyCoord(*CENTRE, unit="deg", frame="galactic")
    field = simulate_time_bins(centre, SIZE * u.deg, draw_sky(rng), analytic_emission(0), rng=rng)
    sources = field.catalog.positions[np.argsort(-field.catalog.flux(1, 100))][:CANDIDATES].galactic
    half = np.array(SIZE)[:, None] / 2 - 1
    lon, lat = np.array(CENTRE)[:, None] + half * rng.uniform(-1, 1, (2, CANDIDATES - len(sources)))
    return field.datasets, concatenate([sources, SkyCoord(lon, lat, unit="deg", frame="galactic")])


def without_time(datasets):
    """The same data as one dataset."""
    names = ("counts", "background", "exposure")
    parts = {k: sum((getattr(d, k) for d in datasets[1:]), getattr(datasets[0], k)) for k in names}
    return with_models(datasets[0], None, "whole", gti=None, **parts)


def gammapy_times(whole, datasets, position):
    """Seconds of Gammapy's flux points and light curve of one source, its position fixed."""
    whole, *datasets = (d.cutout(position, REGION * u.deg, name=d.name) for d in (whole, *datasets))
    law = PowerLawSpectralModel(index=2.2, amplitude="1e-9 cm-2 s-1 GeV-1", reference="1 GeV")
    source = SkyModel(law, PointSpatialModel.from_position(position), name="source")
    source.spatial_model.freeze()
    cut, whole = Datasets(datasets), Datasets([whole])
    cut.models = whole.models = [source]
    edges = whole[0].counts.geom.axes["energy"].edges
    points = FluxPointsEstimator(energy_edges=edges, source="source", selection_optional=None)
    curve = LightCurveEstimator(energy_edges=edges[[0, -1]], source="source", selection_optional=None)
    return {
        "Gammapy FluxPointsEstimator, one source": seconds(lambda: points.run(whole), 1),
        "Gammapy LightCurveEstimator, one source": seconds(lambda: curve.run(cut), 1),
    }


def parser():
    """Arguments."""
    own = arguments(__doc__, "classes_speed", model="lat-classes", seed=0)
    own.add_argument("--catalog", help="4FGL-like catalogue, which is classified if given")
    own.add_argument("--threads", type=int, default=2, help="threads of torch")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    torch.set_num_threads(args.threads)
    datasets, positions = simulated(np.random.default_rng(args.seed))
    whole, classifier = without_time(datasets), DLSourceClassifier(args.model)
    times = {}
    for name, data in (("one dataset", whole), ("ten bins of time", datasets)):
        all_of_them = seconds(lambda data=data: classifier.run(data, positions))
        one = seconds(lambda data=data: classifier.run(data, positions[:1]))
        times |= {f"{CANDIDATES} candidates, {name}": all_of_them, f"one candidate, {name}": one}
    detector = DLSourceDetector()
    times["detection, one dataset"] = seconds(lambda: detector.run(whole))
    times |= gammapy_times(whole, datasets, positions[0])
    if args.catalog:
        table = Table.read(args.catalog, hdu=1)
        times["classify_table, with its training"] = seconds(lambda: classify_table(table), 1)
        trained = TableClassifier(table)
        trained.classify(table)
        times[f"{len(table)} rows, trained before"] = seconds(lambda: trained.classify(table))
    rows = []
    for name, (wall, cpu) in times.items():
        many = name.startswith(f"{CANDIDATES} ")
        rows.append([name, f"{wall:.2f}", f"{cpu:.2f}", f"{CANDIDATES / cpu:.0f}" if many else "-"])
    text = rows_to_markdown(["what", "s", "s of processor", "candidates per s of processor"], rows)
    write(args.output, {name: list(map(float, value)) for name, value in times.items()}, text)


if __name__ == "__main__":
    main()
