# Licensed under a 3-clause BSD style license - see LICENSE
"""Generated fine emission against real emission in sectors of longitude that are kept out of training.

Structure is the logarithm of the fine over the coarse emission, in units of its expected strength. Real and
generated structure are of the same places; the peer is a log-normal field of equal power spectrum.
"""

import numpy as np
import torch
from scipy.stats import ks_2samp

from gammapy_asid.evaluation.random_fields import (
    SCALES,
    minkowski_functionals,
    power_spectrum,
    spectrum_ratio,
)
from gammapy_asid.simulation.diffuse import INTERVALS, EmissionBank
from gammapy_asid.simulation.missing_gas import REFERENCE_INTERVAL
from gammapy_asid.simulation.sky_grid import sky_grid
from gammapy_asid.tasks.generative.model import GenerativeModel
from gammapy_asid.tasks.generative.simulator import build_simulator
from gammapy_asid.tasks.generative.sky import PIXEL_SIZE, split_emission

from ..common import arguments, file_of, kept, rows_to_markdown, write
from .judges import nearest_ratio, real_or_generated
from .peer import gaussian_images

__all__ = ["energies", "figures"]

NEEDS = "the emission and the tracers of the training, and its model, half an hour"

#: Neither training nor calibration uses these seeds.
SEED = 2**42
#: Thresholds of the Minkowski functionals in units of the expected strength, and their names.
THRESHOLDS = tuple(np.arange(-2, 3.1, 0.5))
FUNCTIONALS = ("area", "boundary", "Euler number")
#: Latitude in deg that parts plane and sky.
PLANE = 10.0


def figures(made, real, latitude):
    """How generated images differ from real ones of the same places.

    Parameters
    ----------
    made, real : `~numpy.ndarray`
        Images, shape ``(n, size, size)``.
    latitude : `~numpy.ndarray`
        Galactic latitude of their centres in deg, shape ``(n,)``.

    Returns
    -------
    figures : dict
        Power over that of real images by scale, for all and by latitude; largest distance of the
        distributions of pixels; largest difference of the mean of each Minkowski functional over its scatter
        from patch to patch.
    """
    parts = {
        "all": np.abs(latitude) >= 0,
        "plane": np.abs(latitude) < PLANE,
        "sky": np.abs(latitude) >= PLANE,
    }
    result = {
        f"power, {name}": spectrum_ratio(made[own], real[own], PIXEL_SIZE).tolist()
        for name, own in parts.items()
    }
    # As if patches of one place had nothing in common
    power = [power_spectrum(images, PIXEL_SIZE) for images in (made, real)]
    errors = [values.std(0) / values.mean(0) / np.sqrt(len(values)) for values in power]
    result["power, standard error"] = np.hypot(*errors).tolist()
    result["histogram"] = float(ks_2samp(made.ravel(), real.ravel()).statistic)
    mine, theirs = (
        np.stack([minkowski_functionals(v, THRESHOLDS) for v in images]) for images in (made, real)
    )
    pull = (mine.mean(0) - theirs.mean(0)) / np.maximum(theirs.std(0), 1 / real[0].size)
    for name, values in zip(FUNCTIONALS, pull, strict=True):
        result[name] = float(np.abs(values).max())
    return result


def energies(bank, name):
    """Structure at all energies beside that at the energies of the training.

    Parameters
    ----------
    bank, name
        `~gammapy_asid.simulation.EmissionBank` and the name of its model.

    Returns
    -------
    rows : list of list of str
        Energies, and for plane and sky correlation and ratio of the strength.
    """
    structures = [split_emission(plane)[1] for plane in bank[name].intensity]
    plane = np.abs(sky_grid()[1]) < PLANE
    rows = []
    for low, high, structure in zip(INTERVALS[:-1], INTERVALS[1:], structures, strict=True):
        row = [f"{low:g}-{high:g}"]
        for own in (plane, ~plane):
            here, there = structure[own].ravel(), structures[REFERENCE_INTERVAL][own].ravel()
            row += [f"{np.corrcoef(here, there)[0, 1]:.3f}", f"{here.std() / there.std():.2f}"]
        rows.append(row)
    return rows


def parser():
    """Arguments."""
    own = arguments(__doc__, "generated_emission", model="runs/fine-emission.safetensors", bank=None)
    own.add_argument(
        "--patches", type=int, default=256, help="patches kept out of training, and half as many"
    )
    return own


def _patches(model, simulator, n, held):
    """Structure of real and of generated patches, and their latitude in deg."""
    real = simulator.real(np.random.default_rng((SEED, held)), n, held)
    made = model.structure(real, (SEED, held, 1)).cpu() / real.amplitude
    return {
        "real": real.normalised.numpy(),
        "made": made.numpy(),
        "latitude": torch.rad2deg(real.centres[:, 1]).numpy(),
    }


def _compared(held, known, simulator, n):
    """Figures of the generator and of its peer."""
    rng = np.random.default_rng(SEED)
    peer = [gaussian_images(known["real"], n, rng).astype(np.float32) for _ in range(2)]
    more = [simulator.real(np.random.default_rng((SEED, 2, kind)), n, bool(kind)) for kind in range(2)]
    more = [patches.normalised.numpy() for patches in more]
    results = {}
    for name, images, training in (("generated", held["made"], known["made"]), ("log-normal", *peer)):
        own = figures(images, held["real"], held["latitude"])
        own["classifier"] = real_or_generated((known["real"], training), (held["real"], images))
        own["nearest"] = nearest_ratio(images, *more)
        results[name] = own
    # A generator that knows places by heart comes nearer to the truth there
    errors = [((part["made"] - part["real"]) ** 2).mean() for part in (known, held)]
    results["generated"]["own place"] = float(np.sqrt(errors[0] / errors[1]))
    return results


def _save(arrays, path):
    with open(path, "wb") as file:
        np.savez(file, **arrays)


def _table(results):
    """Figures of the generator and of its peer side by side."""
    rows = []
    for name in results["generated"]:
        cells = [np.atleast_1d(own.get(name, [])) for own in results.values()]
        rows.append([name, *(" ".join(f"{value:.3f}" for value in cell) for cell in cells)])
    scales = ", ".join(f"{scale:.2f}" for scale in SCALES)
    return rows_to_markdown(["", *results], rows) + f"\nPower between the scales {scales} deg.\n"


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    model = GenerativeModel.load(args.model)
    recipe = model.recipe if args.bank is None else model.recipe.model_copy(update={"emission": args.bank})
    simulator = build_simulator(recipe)
    sets = [
        kept(
            file_of(args.output, f"_{name}.npz"),
            lambda held=held: _patches(model, simulator, args.patches, held),
            _save,
            lambda path: dict(np.load(path)),
        )
        for name, held in (("held_out", True), ("training", False))
    ]
    results = _compared(*sets, simulator, args.patches)
    text = _table(results)
    path = recipe.emission_path
    if path.suffix == ".safetensors":
        table = energies(EmissionBank.load(path), recipe.model)
        names = ["GeV", "correlation, plane", "strength", "correlation, sky", "strength"]
        text += "\n" + rows_to_markdown(names, table)
    write(args.output, results, text)


if __name__ == "__main__":
    main()
