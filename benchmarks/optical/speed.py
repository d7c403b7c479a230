# Licensed under a 3-clause BSD style license - see LICENSE
"""Time that each step takes on a frame of SDSS, with sep and SExtractor beside.

Seconds of the wall and of the processors: on a machine with other work the second tell more.
"""

import tempfile
import time
from pathlib import Path

import torch
from astropy.io import fits

from benchmarks.common import arguments, data_folder, rows_to_markdown, write
from benchmarks.optical.peers import sep_sources, sextractor_sources
from benchmarks.optical.sdss_frames import read_frame
from gammapy_asid import OpticalFluxEstimator, OpticalSourceClassifier, OpticalSourceDetector
from gammapy_asid.optical.images import prepare_image, read_image

__all__ = ["main", "parser"]

NEEDS = "data, sep, SExtractor, a minute"

#: Frame: 1489 x 2048 pixels, stars and galaxies.
FIELD = "000094-1-0012"


class _Clock:
    """Seconds of steps, of the wall and of the processors; the least of several runs."""

    def __init__(self):
        self.rows = {}

    def __call__(self, name, step):
        wall, processor = time.perf_counter(), time.process_time()
        result = step()
        took = time.perf_counter() - wall, time.process_time() - processor
        self.rows[name] = tuple(map(min, self.rows.get(name, took), took))
        return result


def _ours(clock, path, estimators):
    """All steps of the library on a file; the number of sources."""
    detector, classifier, fluxes = estimators
    image = clock("read", lambda: read_image(path))
    clock("sky, point spread function", lambda: prepare_image(image))
    prepared = prepare_image(image)
    sources = clock("detection, masks", lambda: detector.run(prepared))
    sources = clock("star or galaxy", lambda: classifier.run(prepared, sources))
    sources = clock("fluxes", lambda: fluxes.run(prepared, sources))
    return len(sources)


def parser():
    """Arguments of the program."""
    result = arguments(__doc__, output="optical_speed", data=True, model="optical")
    result.add_argument("--classes", default="optical-classes", help="model of the classes")
    result.add_argument("--fluxes", default="optical-flux", help="model of the fluxes")
    result.add_argument("--threads", type=int, default=2, help="threads of Torch")
    result.add_argument("--runs", type=int, default=3, help="runs, of which the least times are taken")
    return result


def main(arguments=None):
    """Measure and write."""
    args = parser().parse_args(arguments)
    torch.set_num_threads(args.threads)
    folder = data_folder(args.data) / "optical" / "sdss"
    frame = read_frame(folder, FIELD)
    ours, peers = _Clock(), _Clock()
    estimators = (
        OpticalSourceDetector(args.model),
        OpticalSourceClassifier(args.classes),
        OpticalFluxEstimator(args.fluxes),
    )
    numbers = {}
    with tempfile.TemporaryDirectory() as temporary:
        # Unpacked: no program reads .bz2 faster than that takes
        path = Path(temporary, "frame.fits")
        with fits.open(folder / f"frame-r-{FIELD}.fits.bz2") as hdus:
            hdus[0].writeto(path)
        for _ in range(args.runs):
            numbers["gammapy_asid"] = _ours(ours, path, estimators)
            settings = frame.data, frame.noise
            numbers["sep"] = len(peers("sep", lambda s=settings: sep_sources(*s)))
            numbers["SExtractor"] = len(
                peers("SExtractor", lambda s=settings: sextractor_sources(*s, fwhm=3.5))
            )
    total = tuple(map(sum, zip(*ours.rows.values(), strict=True)))
    rows = ours.rows | {"gammapy_asid, all of it": total} | peers.rows
    found = {"fluxes": numbers["gammapy_asid"], **numbers}
    text = rows_to_markdown(
        ["step", "wall (s)", "processors (s)", "sources"],
        [[name, f"{wall:.2f}", f"{cpu:.2f}", str(found.get(name, ""))] for name, (wall, cpu) in rows.items()],
    )
    ny, nx = frame.data.shape
    note = f"\n{ny} x {nx} pixels, {args.threads} threads, least of {args.runs} runs. "
    note += "The time of SExtractor on the processors is that of its own process and not counted.\n"
    write(args.output, results={"seconds": rows, "sources": numbers}, text=text + note)


if __name__ == "__main__":
    main()
