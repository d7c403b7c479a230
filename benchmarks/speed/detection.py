# Licensed under a 3-clause BSD style license - see LICENSE
"""Time of detection and simulation beside Gammapy's, and peak memory."""

import subprocess
import sys
import time

import numpy as np
import torch
from astropy.coordinates import SkyCoord
from gammapy.datasets import MapDataset
from gammapy.irf import EDispKernelMap
from gammapy.maps import MapAxis, WcsGeom, WcsNDMap

from gammapy_asid import DLSourceDetector
from gammapy_asid.evaluation import matched_filter_candidates, ts_map_candidates
from gammapy_asid.simulation import (
    EmissionModel,
    ResponseBank,
    draw_sky,
    emission_counts,
    render_sources,
    source_counts,
)

from ..common import arguments, processor_seconds, write
from ..skies.real_fields import load_field
from ..skies.response_maps import psf_map
from ..skies.sky235 import N_PIX, load_sky235
from ..skies.sky235_patches import patch_dataset, sky_response

__all__ = ["detection_times", "peak_memory", "simulation_times"]

NEEDS = "data, minutes"

ISOTROPIC = "lat/iem/iso/iso_P8R3_ULTRACLEANVETO_V3_FRONT_v1.txt"
#: Distance from a patch centre in deg within which all its sources lie.
REACH = 7.1
#: Classical methods that the detector is compared with.
PEERS = (
    "matched filter",
    "matched filter, energies summed",
    "TS map, energies summed",
    "TS map, energy bins fitted",
)


def _seconds(function, repeat=1, clock=time.perf_counter):
    """Shortest time of some calls, by the clock on the wall or another one."""
    times = []
    for _ in range(repeat):
        start = clock()
        function()
        times.append(clock() - start)
    return min(times)


def detection_times(model, folder, jobs=2, clock=time.perf_counter):
    """Seconds from the Galactic-centre dataset in memory to candidates, by method.

    Parameters
    ----------
    model : str or path
        Model of the detector.
    folder : path
        Data folder.
    jobs : int
        Processes of the TS map; the matched filter has one with one thread.
    clock : callable
        Time in s.

    Returns
    -------
    seconds : dict of float
        By method.
    """
    dataset = load_field("Galactic centre", folder)
    detector = DLSourceDetector(model=model)
    methods = {
        "detector, first call": (lambda: detector.run(dataset), 1),
        "detector": (lambda: detector.run(dataset), 5),
        "matched filter": (lambda: matched_filter_candidates(dataset), 5),
        "matched filter, energies summed": (lambda: matched_filter_candidates(dataset, image=True), 5),
        "TS map, energies summed": (lambda: ts_map_candidates(dataset, n_jobs=jobs), 1),
        "TS map, energy bins fitted": (lambda: ts_map_candidates(dataset, image=False, n_jobs=jobs), 1),
    }
    return {method: _seconds(run, repeat, clock) for method, (run, repeat) in methods.items()}


def simulation_times(folder, n_patches=64, n_gammapy=2, seed=0):
    """Patches per second of the simulator and of a loop over `MapDataset.fake`.

    Equal patches, sources, response and emission; both end with Poisson counts. The
    mean of the expected counts of both is given too, to show that they agree.
    """
    sky, response = load_sky235(folder), sky_response(folder)
    catalog = draw_sky(np.random.default_rng(seed))
    bank = ResponseBank([response])
    isotropic = EmissionModel.isotropic(folder / ISOTROPIC)
    intensity = torch.from_numpy(isotropic.intensity[:, :2, :2].copy()).expand(n_patches, -1, -1, -1)
    patches = np.random.default_rng(seed).choice(sky.n_patches, n_patches, replace=False)
    center = SkyCoord(sky.center_lon[patches], sky.center_lat[patches], unit="deg", frame="galactic")
    position = catalog.positions
    instrument = torch.zeros(n_patches, dtype=torch.long)

    def simulate():
        near = np.flatnonzero((center[:, None].separation(position).deg < REACH).ravel())
        patch, source = np.divmod(near, len(position))
        x, y = sky.sky_to_pixel(patches[patch], catalog.lon[source], catalog.lat[source])
        inside = (np.maximum(x, y) < N_PIX - 0.5) & (np.minimum(x, y) > -0.5)
        patch, source, x, y = patch[inside], source[inside], x[inside], y[inside]
        patch, x, y = torch.from_numpy(patch), torch.from_numpy(x).float(), torch.from_numpy(y).float()
        names = "amplitude", "reference", "index", "beta", "lambda_", "alpha"
        spectra = {name: torch.from_numpy(getattr(catalog, name)[source]).float() for name in names}
        counts = source_counts(bank, instrument[patch], spectra)
        images = render_sources(bank, instrument[patch], patch, x, y, counts, (N_PIX, N_PIX), n_patches)
        emission = emission_counts(bank, instrument, intensity, (N_PIX, N_PIX))
        expected = torch.stack([a + b for a, b in zip(images, emission, strict=True)], dim=1)
        torch.poisson(expected)
        return expected, torch.stack(emission, dim=1)

    expected, emission = simulate()
    seconds = _seconds(simulate, repeat=3) / n_patches

    zero = np.zeros((len(response.bands), N_PIX, N_PIX), dtype=np.float32)
    predicted = []

    def fake(i):
        dataset = patch_dataset(sky, patches[i], zero, emission[i].numpy(), response)
        dataset.models = catalog.select(sky.geom(patches[i]).contains(position)).to_models()
        dataset.fake(random_state=seed)
        predicted.append(dataset.npred().data.sum())

    loop = _seconds(lambda: [fake(i) for i in range(n_gammapy)]) / n_gammapy
    return {
        "simulator, patches per second": 1 / seconds,
        "MapDataset.fake, patches per second": 1 / loop,
        "ratio": loop / seconds,
        "expected counts, simulator over Gammapy": float(expected[:n_gammapy].sum() / np.sum(predicted)),
    }


def large_field(folder):
    """Field of 40 deg x 40 deg at 0.1 deg with counts of a uniform sky, 0.5 GeV to 1 TeV."""
    response = sky_response(folder)
    axis = MapAxis.from_energy_bounds("0.5 GeV", "1000 GeV", nbin=13)
    psf = psf_map(response)
    image = WcsGeom.create(npix=400, binsz=0.1, skydir=(0, 0), frame="galactic", proj="TAN")
    true_axis = psf.psf_map.geom.axes["energy_true"]
    exposure = WcsNDMap(image.to_cube([true_axis]), unit="cm2 s")
    exposure.data += response.exposure.ravel()[:, None, None]
    background = WcsNDMap(image.to_cube([axis]))
    background.data += 3 * (axis.center.to_value("GeV") / 0.5)[:, None, None] ** -1.4
    counts = background.copy(data=np.random.default_rng(0).poisson(background.data).astype(np.float32))
    edisp = EDispKernelMap.from_diagonal_response(axis, true_axis)
    return MapDataset(
        counts=counts, background=background, exposure=exposure, psf=psf, edisp=edisp, name="large"
    )


def peak_memory(model, folder):
    """Peak memory in GB of a process that makes the large field and detects its sources."""
    code = (
        "import resource; from pathlib import Path;"
        "from benchmarks.speed.detection import large_field, DLSourceDetector;"
        f"DLSourceDetector(model={str(model)!r}).run(large_field(Path({str(folder)!r})));"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def parser():
    """Arguments."""
    own = arguments(__doc__, "speed", data=True, model="lat")
    own.add_argument(
        "--threads", type=int, default=2, help="threads of detector and simulator, processes of the TS map"
    )
    own.add_argument("--processor", action="store_true", help="detection alone, in processor time")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    torch.set_num_threads(args.threads)
    clock = processor_seconds if args.processor else time.perf_counter
    detection = detection_times(args.model, args.data, args.threads, clock)
    ratios = {
        method: {peer: detection[peer] / detection[method] for peer in PEERS if peer != method}
        for method in ("detector", "matched filter")
    }
    result = {"seconds on the Galactic centre": detection, "times faster": ratios}
    if not args.processor:
        result["simulation"] = simulation_times(args.data)
        result["peak memory of a 40 deg field, GB"] = peak_memory(args.model, args.data)
    write(args.output, result)


if __name__ == "__main__":
    main()
