# Licensed under a 3-clause BSD style license - see LICENSE
"""Extension of the same sources by the network and by Gammapy fits of a point and of a Gaussian.

Run as ``python -m benchmarks.extension_likelihood --model cta-extension --output NAME``; needs
``$GAMMAPY_DATA`` with the responses of the CTAO. Each source is a dataset of 1.44 deg and four bands with a
known background. The fits start from the candidate's position with position, flux, index and width free.
Times are processor times, of the network and of the fits alike.
"""

import argparse
import json
import time
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from gammapy.datasets import MapDataset
from gammapy.irf import EDispKernelMap, load_irf_dict_from_file
from gammapy.makers.utils import make_map_exposure_true_energy, make_psf_map
from gammapy.maps import Map, MapAxis, WcsGeom
from gammapy.modeling import Fit
from gammapy.modeling.models import (
    GaussianSpatialModel,
    PointSpatialModel,
    PowerLawSpectralModel,
    SkyModel,
)
from gammapy.utils.scripts import make_path
from sklearn.metrics import roc_auc_score

from gammapy_asid import DLExtensionClassifier
from gammapy_asid.evaluation.classification import balanced_accuracy, balanced_choice
from gammapy_asid.simulation.imaging import IRF_FILES, ImagingInstrument
from gammapy_asid.simulation.scenes import SimulatedStamps
from gammapy_asid.tasks.extension.calibrate import draw_stamps
from gammapy_asid.tasks.extension.truth import ExtensionTruth
from gammapy_asid.utils.files import new_file

from .extension import (
    HOURS,
    IRF,
    OFFSET,
    PUBLISHED,
    SEED,
    published_simulator,
    spread,
    two_classes,
)
from .report import rows_to_markdown

__all__ = ["fit_extension", "template"]

#: Bins of true energy of the fits.
N_TRUE = 16
CENTER = SkyCoord(0, 0, unit="deg", frame="galactic")
#: Reach of the fitted position, deg, and of the width.
REACH, WIDEST = 0.4, 2.5
#: Fewer gradients than by default: the fits agree with those of strategy 1 and take half the time.
FIT = Fit(optimize_opts={"strategy": 0, "tol": 1.0})
#: Samples of a bootstrap of differences.
N_BOOTSTRAP = 1000


def template(bands, size):
    """Dataset without counts, whose background is that of the simulation."""
    axis = MapAxis.from_energy_edges(bands.edges * u.GeV, name="energy")
    true = MapAxis.from_energy_bounds(*(bands.edges[i] * u.GeV for i in (0, -1)), N_TRUE, name="energy_true")
    geom = WcsGeom.create(
        skydir=CENTER, npix=(size, size), binsz=bands.pixel_size, frame="galactic", proj="TAN", axes=[axis]
    )
    pointing = SkyCoord(-OFFSET, 0, unit="deg", frame="galactic")
    irf = load_irf_dict_from_file(make_path(IRF_FILES[IRF]))
    exposure = make_map_exposure_true_energy(
        pointing, HOURS * u.h, irf["aeff"], geom.to_image().to_cube([true])
    )
    rad = MapAxis.from_bounds(0, 0.8, 200, unit="deg", name="rad")
    one = WcsGeom.create(skydir=CENTER, npix=(1, 1), binsz=2, frame="galactic", axes=[rad, true])
    one_exposure = make_map_exposure_true_energy(pointing, HOURS * u.h, irf["aeff"], one.squash("rad"))
    field = ImagingInstrument.from_irf(IRF, bands).field(geom, pointing.reshape(1), HOURS * u.h)
    return MapDataset(
        exposure=exposure,
        background=Map.from_geom(geom, data=field.background),
        psf=make_psf_map(irf["psf"], pointing, one, one_exposure),
        edisp=EDispKernelMap.from_diagonal_response(axis, true),
        counts=Map.from_geom(geom),
        name="stamp",
    )


def fit_extension(dataset):
    """Fit a point and a Gaussian at the centre of a dataset.

    Returns
    -------
    ts_ext, sigma : float
        Test statistic of extension, and the fitted width in deg.
    """
    stat = {}
    sigma = np.nan
    for extended in (False, True):
        spectrum = PowerLawSpectralModel(amplitude="1e-12 cm-2 s-1 TeV-1", reference="1 TeV", index=2.2)
        spectrum.amplitude.min, spectrum.index.min, spectrum.index.max = 0, 1, 4
        place = GaussianSpatialModel(sigma="0.1 deg") if extended else PointSpatialModel()
        place.frame = "galactic"
        for name in ("lon_0", "lat_0"):
            parameter = getattr(place, name)
            parameter.value, parameter.min, parameter.max = 0, -REACH, REACH
        if extended:
            place.sigma.min, place.sigma.max = 1e-3, WIDEST
        dataset.models = [SkyModel(spectrum, place, name="source")]
        stat[extended] = FIT.optimize([dataset]).total_stat
        sigma = place.sigma.value if extended else sigma
    dataset.models = None
    return stat[False] - stat[True], sigma


def fits(datasets, folder):
    """Fit all; goes on where it was interrupted. Returns values of each, and the processor time in s."""
    path = Path(folder) / "fits.json"
    done = json.loads(path.read_text()) if path.exists() else []
    for dataset in datasets[len(done) :]:
        start = time.process_time()
        done.append([*map(float, fit_extension(dataset)), time.process_time() - start])
        with new_file(path, overwrite=True) as temporary:
            temporary.write_text(json.dumps(done))
    return np.array(done[: len(datasets)]).T


def bootstrap(function, n):
    """Standard deviation of a difference over samples with replacement."""
    rng = np.random.default_rng(0)
    return float(np.std([function(rng.integers(n, size=n)) for _ in range(N_BOOTSTRAP)]))


def compare(name, values, n):
    """Row of a figure of the network and of the fit, with the error of their difference."""
    everything = np.arange(n)
    network, fit = values(everything)
    error = bootstrap(lambda rows: np.subtract(*values(rows)), n)
    return [name, f"{network:.4f}", f"{fit:.4f}", f"{network - fit:+.4f} ± {error:.4f}"]


def main(args=None):
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="cta-extension")
    parser.add_argument("--sources", type=int, default=300)
    parser.add_argument("--points", type=float, default=0.25, help="share of points")
    parser.add_argument("--folder", default=".", help="folder of the fits, to go on or use again")
    parser.add_argument("--output", default="extension_likelihood")
    args = parser.parse_args(args)

    classifier = DLExtensionClassifier(args.model)
    edges, bands = classifier.card.edges, classifier.card.to_bands()
    size = classifier.card.architecture["size"]
    scene = PUBLISHED.__class__(**(vars(PUBLISHED) | {"points": args.points}))
    simulated = SimulatedStamps.cat(
        list(draw_stamps(published_simulator(size), args.sources, SEED + 100, scene))
    )
    truth = ExtensionTruth(simulated.size.numpy(), simulated.ts.numpy(), simulated.amplitude.numpy())
    blank = template(bands, size)
    datasets = []
    for i in range(len(simulated)):
        dataset = blank.copy(name=f"source-{i}")
        dataset.counts.data = simulated.stamps.counts[i].numpy()
        datasets.append(dataset)
    middle = blank.counts.geom.to_image().pix_to_coord((size // 2, size // 2))
    position = SkyCoord(*middle, frame="galactic")

    classifier.run(datasets[0], position)
    start = time.process_time()
    tables = [classifier.run(dataset, position).table for dataset in datasets]
    network_time = time.process_time() - start
    start = time.process_time()
    classifier._model.predict(simulated.stamps)
    batch_time = time.process_time() - start
    ts_ext, sigma, seconds = fits(datasets, args.folder)

    probability = np.concatenate([table["extension_prob"] for table in tables])
    extended = np.concatenate([table["extended_prob"] for table in tables])
    own_sigma = np.concatenate([table["ext_sigma"].to_value("deg") for table in tables])
    true, fitted, n = truth.classes(edges), np.digitize(sigma, edges), len(truth.size)
    is_extended, both = truth.size > 0, two_classes(probability)
    larger, share = both[:, 1], np.bincount(true, minlength=len(edges) + 1) / n
    called = balanced_choice(probability, share)
    called_larger = balanced_choice(both, two_classes(share[None])[0])
    bright = np.flatnonzero(truth.ts > 25)
    rows = []
    for label, sample in (("all", np.arange(n)), ("TS > 25", bright)):

        def of(function, predicted, rows, sample=sample):
            own = sample[rows]
            return [function(what[own], guess[own]) for what, guess in predicted]

        def accuracy(what, guess):
            return balanced_accuracy(what, guess)[0]

        k = len(sample)
        two = [(true > 0, called_larger > 0), (true > 0, fitted > 0)]
        three = [(true, called), (true, fitted)]
        curve = [(true > 0, larger), (true > 0, sigma)]
        point = [(is_extended, extended), (is_extended, ts_ext)]
        rows += [
            compare(f"{label}: C0 against C1, C2, balanced accuracy", lambda r, p=two: of(accuracy, p, r), k),
            compare(f"{label}: three classes, balanced accuracy", lambda r, p=three: of(accuracy, p, r), k),
            compare(
                f"{label}: C0 against C1, C2, area under curve", lambda r, p=curve: of(roc_auc_score, p, r), k
            ),
            compare(
                f"{label}: point or extended, area under curve", lambda r, p=point: of(roc_auc_score, p, r), k
            ),
        ]
        wide = sample[is_extended[sample]]
        scatter = [spread(np.log(value[wide] / truth.size[wide])) for value in (own_sigma, sigma)]
        rows.append([f"{label}: scatter of ln size", *(f"{value:.3f}" for value in scatter), ""])
    rate = len(datasets) / network_time
    lines = [
        rows_to_markdown(["figure", "network", "fit", "difference"], rows),
        "",
        f"{n} sources, {len(bright)} with TS > 25. Fits of both models: {seconds.mean():.2f} s a source.",
        f"Network: {1e3 * network_time / n:.1f} ms a source with its dataset read in, "
        f"{seconds.mean() * rate:.0f} times as fast; {n / batch_time:.0f} sources a second in one batch.",
    ]
    text = "\n".join(lines)
    Path(f"{args.output}.md").write_text(text)
    Path(f"{args.output}.json").write_text(json.dumps({"rows": rows, "seconds": seconds.tolist()}))
    print(text)


if __name__ == "__main__":
    main()
