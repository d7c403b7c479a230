# Licensed under a 3-clause BSD style license - see LICENSE
"""Extension of the same sources by the network and by Gammapy fits of a point and of a Gaussian.

Each source is a dataset of 1.44 deg and four bands with a known background. The fits start from the
candidate's position with position, flux, index and width free. Times are processor times, of the network and
of the fits alike.
"""

import time
from dataclasses import replace

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import vstack
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

from ..common import Parts, arguments, rows_to_markdown, spread68, write
from .classes import HOURS, IRF, OFFSET, PUBLISHED, SEED, published_simulator, two_classes

__all__ = ["fit_extension", "template"]

NEEDS = "the responses of the CTAO in GAMMAPY_DATA, half an hour"

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


def timed_fit(dataset):
    """Result of `fit_extension` and its processor time in s."""
    start = time.process_time()
    return [*map(float, fit_extension(dataset)), time.process_time() - start]


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


def comparison(truth, edges, table, ts_ext, sigma):
    """Rows of all figures, of all sources and of those with a test statistic above 25.

    Parameters
    ----------
    truth : `~gammapy_asid.tasks.extension.truth.ExtensionTruth`
        True sources.
    edges : sequence of float
        Edges of the classes in deg.
    table : `~astropy.table.QTable`
        Extensions of the network.
    ts_ext, sigma : `~numpy.ndarray`
        Results of `fit_extension`.
    """
    probability, extended = np.asarray(table["extension_prob"]), np.asarray(table["extended_prob"])
    own_sigma = table["ext_sigma"].to_value("deg")
    true, fitted, n = truth.classes(edges), np.digitize(sigma, edges), len(truth.size)
    is_extended, both = truth.size > 0, two_classes(probability)
    larger, share = both[:, 1], np.bincount(true, minlength=len(edges) + 1) / n
    called = balanced_choice(probability, share)
    called_larger = balanced_choice(both, two_classes(share[None])[0])

    def accuracy(what, guess):
        return balanced_accuracy(what, guess)[0]

    figures = {
        "C0 against C1, C2, balanced accuracy": (accuracy, true > 0, called_larger > 0, fitted > 0),
        "three classes, balanced accuracy": (accuracy, true, called, fitted),
        "C0 against C1, C2, area under curve": (roc_auc_score, true > 0, larger, sigma),
        "point or extended, area under curve": (roc_auc_score, is_extended, extended, ts_ext),
    }
    rows = []
    for label, sample in (("all", np.arange(n)), ("TS > 25", np.flatnonzero(truth.ts > 25))):
        for name, (function, what, *guesses) in figures.items():

            def values(rows, function=function, what=what[sample], guesses=guesses, sample=sample):
                return [function(what[rows], guess[sample][rows]) for guess in guesses]

            rows.append(compare(f"{label}: {name}", values, len(sample)))
        wide = sample[is_extended[sample]]
        scatter = [spread68(np.log(value[wide] / truth.size[wide])) for value in (own_sigma, sigma)]
        rows.append([f"{label}: scatter of ln size", *(f"{value:.3f}" for value in scatter), ""])
    return rows


def parser():
    """Arguments."""
    own = arguments(__doc__, "extension_likelihood", model="cta-extension")
    own.add_argument("--sources", type=int, default=300, help="number of sources")
    own.add_argument("--points", type=float, default=0.25, help="share of points")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    classifier = DLExtensionClassifier(args.model)
    edges, bands = classifier.card.edges, classifier.card.to_bands()
    size = classifier.card.architecture["size"]
    scene = replace(PUBLISHED, points=args.points)
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
    classifier.trained.predict(simulated.stamps)
    batch_time = time.process_time() - start
    parts = Parts(args.output, points=args.points, size=size)
    ts_ext, sigma, seconds = np.array([parts(d.name, lambda d=d: timed_fit(d)) for d in datasets]).T

    rows = comparison(truth, edges, vstack(tables, metadata_conflicts="silent"), ts_ext, sigma)
    n, rate = len(datasets), len(datasets) / network_time
    lines = [
        rows_to_markdown(["figure", "network", "fit", "difference"], rows),
        f"{n} sources, {(truth.ts > 25).sum()} with TS > 25. Fits of both models: {seconds.mean():.2f} s a "
        "source.",
        f"Network: {1e3 * network_time / n:.1f} ms a source with its dataset read in, "
        f"{seconds.mean() * rate:.0f} times as fast; {n / batch_time:.0f} sources a second in one batch.",
    ]
    write(args.output, {"rows": rows, "seconds": seconds.tolist()}, "\n".join(lines))


if __name__ == "__main__":
    main()
