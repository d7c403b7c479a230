# Licensed under a 3-clause BSD style license - see LICENSE
"""Detector, fluxes, extension, simulators and training on an accelerator beside the processor."""

import traceback

import astropy.units as u
import numpy as np
import torch
from astropy.coordinates import SkyCoord
from gammapy.maps import MapAxis, WcsGeom
from gammapy.modeling.models import (
    GaussianSpatialModel,
    Models,
    PointSpatialModel,
    PowerLawSpectralModel,
    SkyModel,
)

from gammapy_asid import DLExtensionClassifier, DLFluxEstimator, DLSourceDetector
from gammapy_asid.estimators.domain import band_cube
from gammapy_asid.inputs.bands_of_dataset import bands_for_dataset
from gammapy_asid.inputs.convert import to_band_cube
from gammapy_asid.inputs.prepare import usable_datasets
from gammapy_asid.learning.recipe import read_recipe
from gammapy_asid.learning.registry import get_task
from gammapy_asid.simulation.dataset_patches import DatasetSimulator
from gammapy_asid.simulation.demo import demo_field, simulated_field
from gammapy_asid.simulation.plane_fields import draw_fields
from gammapy_asid.simulation.plane_patches import PlaneSimulator
from gammapy_asid.simulation.survey_dataset import survey_dataset
from gammapy_asid.tasks.extension.simulator import build_stamp_simulator
from gammapy_asid.tasks.measurement.fitted_sources import fit_field

from ..common import Parts, arguments, rows_to_markdown, write
from .timing import seconds_on, training_step
from .training import lat_simulator

__all__ = ["compare_field", "simulator_speed"]

NEEDS = "an accelerator (without one the processor beside itself), two minutes; the real field its data"

#: Lowest score of the candidates.
THRESHOLD = 0.1
#: Longitude, latitude, width and amplitude at 1 TeV of the sources in the field of the CTAO.
PLANE = ((9, 0.2, 0, 3e-12), (10, -0.3, 0.2, 8e-12), (11, 0.5, 0.08, 4e-12), (9.6, -0.6, 0, 1e-12))


def cta_field():
    """Simulated field of the CTAO with points and Gaussians."""
    energy = MapAxis.from_energy_bounds(0.1, 30, 6, unit="TeV", name="energy")
    geom = WcsGeom.create(skydir=(10, 0), width=(5, 3), binsz=0.03, frame="galactic", axes=[energy])
    true = MapAxis.from_energy_bounds(0.05, 100, 8, unit="TeV", per_decade=True, name="energy_true")
    pointings = SkyCoord([9, 11], [0, 0.3], unit="deg", frame="galactic")
    dataset = survey_dataset(geom, true, pointings, [20, 20] * u.h, "prod5-south", "cta")
    models = Models()
    for i, (lon, lat, sigma, amplitude) in enumerate(PLANE):
        spectrum = PowerLawSpectralModel(
            index=2.3, amplitude=amplitude * u.Unit("cm-2 s-1 TeV-1"), reference=1 * u.TeV
        )
        place = {"lon_0": lon * u.deg, "lat_0": lat * u.deg, "frame": "galactic"}
        shape = GaussianSpatialModel(**place, sigma=sigma * u.deg) if sigma else PointSpatialModel(**place)
        models.append(SkyModel(spectrum, shape, name=f"s{i}"))
    dataset.models = models
    dataset.fake(7)
    dataset.models = None
    return dataset


#: Dataset, model of the detector and of the classifier by field.
FIELDS = {
    "Galactic centre": (lambda: demo_field().dataset, "lat", None),
    "LAT, simulated": (lambda: simulated_field((75, 20), (12, 9), 10, 0.1, 3)[0].dataset, "lat", None),
    "CTAO, simulated": (cta_field, "cta-gps", "cta-extension"),
}


def run_field(dataset, model, classifier, device):
    """Lists of one field on a device, and the seconds of the parts."""
    seconds = {}
    detector = DLSourceDetector(model=model, threshold=THRESHOLD, device=device)
    estimator = DLFluxEstimator(model=model, device=device)
    cube = band_cube(usable_datasets(dataset), detector.card)
    seconds["band cube"], _ = seconds_on("cpu", lambda: band_cube(usable_datasets(dataset), detector.card))
    seconds["network"], _ = seconds_on(device, lambda: detector.trained.output(cube))
    seconds["detector"], candidates = seconds_on(device, lambda: detector.run(dataset))
    x, y = cube.geom.wcs.world_to_pixel(candidates.positions)
    seconds["fit of sources"], _ = seconds_on(device, lambda: fit_field(cube, x, y, device=device))
    seconds["fluxes"], fluxes = seconds_on(device, lambda: estimator.run(dataset, candidates))
    lists = {"candidates": candidates, "fluxes": fluxes}
    if classifier:
        extension = DLExtensionClassifier(model=classifier, device=device)
        seconds["extension"], lists["extension"] = seconds_on(
            device, lambda: extension.run(dataset, candidates)
        )
    return lists, seconds, cube.response.pixel_size


def compare_field(name, devices):
    """Largest differences of the lists of a field on two devices, and the seconds on both.

    Fluxes and classes of both are those at the candidates of the first.
    """
    make, model, classifier = FIELDS[name]
    dataset = make()
    runs = [run_field(dataset, model, classifier, device) for device in devices]
    (one, _, pixel), (other, _, _) = runs
    first, second = one["candidates"], other["candidates"]
    index, separation, _ = first.positions.match_to_catalog_sky(second.positions)
    score = np.abs(first.table["score"] - second.table["score"][index])
    same = len(first) == len(second) and len(set(index)) == len(index)
    result = {
        "candidates": [len(first), len(second)],
        "lists agree": bool(same and score.max() < 1e-4 and (separation.deg / pixel).max() < 0.01),
        "score": float(score.max()),
        "position in pixels": float((separation.deg / pixel).max()),
        "same order": bool(same and (index == np.arange(len(index))).all()),
        "same flags": bool((first.table["flags"] == second.table["flags"][index]).all()),
    }
    flux, again = one["fluxes"].table, other["fluxes"].table[index]
    result["flux in sigma"] = float(np.nanmax(np.abs((flux["flux"] - again["flux"]) / flux["flux_err"])))
    if classifier:
        table, again = one["extension"].table, other["extension"].table[index]
        difference = np.abs(table["extension_prob"] - again["extension_prob"])
        result["class probability"] = float(np.nanmax(difference))
    result["seconds"] = {device: run[1] for device, run in zip(devices, runs, strict=True)}
    return result


def _dataset_simulator():
    dataset = usable_datasets(simulated_field((75, 20), (12, 9), 10, 0.1, 3)[0].dataset)
    return DatasetSimulator(to_band_cube(dataset, bands_for_dataset(dataset)))


def _stamp_simulator():
    recipe = read_recipe("cta-extension")
    fewer = {"places": 8, "others": None, "scenes": recipe.scenes[:2], "shares": (0.5, 0.5)}
    return build_stamp_simulator(recipe.model_copy(update=fewer))


#: Simulators by name, and the size of a batch.
SIMULATORS = {
    "LAT": (lat_simulator, 64),
    "Galactic plane": (lambda: PlaneSimulator(draw_fields((1, 2), 2, (0.03, 0.05))), 64),
    "dataset": (_dataset_simulator, 64),
    "stamps": (_stamp_simulator, 256),
}


def simulator_speed(name, devices):
    """Patches or stamps per second on both devices, and the seconds of a training step with them."""
    make, n = SIMULATORS[name]
    simulator, result = make(), {"patches per second": {}, "seconds of a training step": {}}
    for device in devices:
        there = simulator.to(device)
        seconds, _ = seconds_on(device, lambda there=there: there.draw(n, 5))
        result["patches per second"][device] = n / seconds
        recipe = read_recipe("cta-extension" if name == "stamps" else "lat")
        batch = get_task(recipe.task).batch(there.draw(n, 3))
        step = training_step(recipe, there.bands, device)
        result["seconds of a training step"][device], _ = seconds_on(
            device, lambda step=step, batch=batch: step(batch)
        )
    return result


def _or_error(function, *args):
    """What a function returns, or what went wrong: the other parts go on."""
    try:
        return function(*args)
    except Exception:
        return {"error": traceback.format_exc()}


def tables(results, devices):
    """Results as Markdown."""
    fields, speeds = [], []
    for name in FIELDS:
        part = results[name]
        if "error" in part:
            fields.append([name, part["error"].splitlines()[-1], *[""] * 5])
            continue
        keys = ("score", "position in pixels", "flux in sigma", "class probability")
        numbers = [f"{part[key]:.1e}" if key in part else "" for key in keys]
        fields.append([name, str(part["candidates"]), "yes" if part["lists agree"] else "no", *numbers])
        for what, seconds in part["seconds"][devices[0]].items():
            both = seconds, part["seconds"][devices[1]][what]
            speeds.append([f"{name}: {what}, s", *(f"{v:.3f}" for v in both), f"{both[0] / both[1]:.1f}"])
    for name in SIMULATORS:
        part = results[f"simulator: {name}"]
        for what, values in part.items():
            if what == "error":
                speeds.append([f"{name}: {values.splitlines()[-1]}", "", "", ""])
                continue
            one, other = (values[device] for device in devices)
            gain = other / one if "per second" in what else one / other
            speeds.append([f"{name}: {what}", f"{one:.4g}", f"{other:.4g}", f"{gain:.1f}"])
    header = ["field", "candidates", "agree", "score", "position, pixels", "flux, sigma", "class"]
    return (
        rows_to_markdown(header, fields)
        + "\n"
        + rows_to_markdown(["", devices[0], devices[1], "factor"], speeds)
    )


def parser():
    """Arguments of the program."""
    parser = arguments(__doc__, "devices")
    accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=accelerator, help="device beside the processor")
    return parser


def main(args=None):
    """Compare all fields and simulators."""
    args = parser().parse_args(args)
    devices = ["cpu", args.device]
    card = torch.cuda.get_device_name(args.device) if args.device.startswith("cuda") else "processor"
    parts = Parts(
        args.output, devices=devices, card=card, threads=torch.get_num_threads(), torch=torch.__version__
    )
    results = {name: parts(name, lambda n=name: _or_error(compare_field, n, devices)) for name in FIELDS}
    for name in SIMULATORS:
        key = f"simulator: {name}"
        results[key] = parts(key, lambda n=name: _or_error(simulator_speed, n, devices))
    settings = parts.content["settings"]
    text = f"{settings['card']}, torch {settings['torch']}, {settings['threads']} threads\n\n"
    write(args.output, settings | results, text + tables(results, devices))


if __name__ == "__main__":
    main()
