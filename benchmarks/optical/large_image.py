# Licensed under a 3-clause BSD style license - see LICENSE
"""Peak memory and time of images of 20 000 x 20 000 pixels, in single precision, scaled integers and tiles.

Each kind of file is written row by row and read in a process of its own: preparation with a point spread
function that is given, then all tiles as the networks see them.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.modeling.models import Moffat2D

from gammapy_asid.optical.images import prepare_image, read_image

from ..common import arguments, rows_to_markdown, write

NEEDS = "four gigabytes of disk, ten minutes"

#: Rows written at once.
ROWS = 500
#: Level and noise of the sky in the unit of the image.
LEVEL, NOISE = 1000.0, 12.0


def parser():
    """Arguments."""
    own = arguments(__doc__, "large_image", seed=1)
    own.add_argument("--side", type=int, default=20000, help="pixels along a side")
    own.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS), help="kinds of files")
    own.add_argument("--tile", type=int, default=1120, help="side of the tiles")
    own.add_argument("--every", type=int, default=1, help="one of so many tiles is cut")
    own.add_argument("--file", type=Path, help="one file, measured in this process")
    return own


def _rows(side, seed):
    """Sky with a slope and two stars on a thousand pixels: some rows of it, moved along, again and again."""
    random = np.random.default_rng(seed)
    count = min(ROWS, side)
    part = NOISE * random.standard_normal((count, side), dtype=np.float32)
    offsets = np.arange(-12, 13) ** 2
    star = (1 + (offsets + offsets[:, None]) / 2.94**2) ** -3.0
    n = 2 * count * side // 1000
    y, x = random.integers(0, [[count - 25], [side - 25]], (2, n))
    peaks = 200 / (random.random(n, dtype=np.float32) + 0.01)
    for dy, row in enumerate(star):
        for dx, share in enumerate(row):
            np.add.at(part, (y + dy, x + dx), share * peaks)
    for start in range(0, side, count):
        rows = part[: min(count, side - start)]
        yield LEVEL + np.float32(0.01) * start + np.roll(rows, random.integers(side), axis=1)


def _header(side, **keywords):
    keywords = {"NAXIS": 2, "NAXIS1": side, "NAXIS2": side, "GAIN": 4.0, **keywords}
    return fits.Header({"SIMPLE": True, **keywords})


def write_float(path, side, seed):
    """An image in single precision."""
    stream = fits.StreamingHDU(path, _header(side, BITPIX=-32))
    for part in _rows(side, seed):
        stream.write(part.astype(">f4"))
    stream.close()


def write_integers(path, side, seed):
    """An image in scaled integers of 16 bits, whose values are no integers and beyond their range."""
    stream = fits.StreamingHDU(path, _header(side, BITPIX=16, BSCALE=2.5, BZERO=60000.0, BLANK=-32768))
    for part in _rows(side, seed):
        stream.write(np.clip(np.round((part - 60000) / 2.5), -32767, 32767).astype(">i2"))
    stream.close()


def write_tiles(path, side, seed):
    """An image in single precision, compressed in tiles; it is made from one that is not."""
    plain = path.with_suffix(".plain.fits")
    write_float(plain, side, seed)
    with fits.open(plain) as hdus:
        hdu = fits.CompImageHDU(hdus[0].data, hdus[0].header, compression_type="RICE_1", tile_shape=(1, side))
        hdu.writeto(path)
    plain.unlink()


KINDS = {"float32": write_float, "int16": write_integers, "tile-compressed": write_tiles}


def measure(path, tile, every):
    """Time and memory of one file in this process, and what was found of its sky."""
    start = time.perf_counter()
    image = read_image(path)
    prepared = prepare_image(image, Moffat2D(gamma=2.94, alpha=3))
    prepared_after = time.perf_counter() - start
    signal = valid = 0
    for part in list(prepared.tiles(tile))[::every]:
        batch = prepared.batch(part.ys, part.xs)
        signal, valid = signal + float(batch.signal.sum()), valid + int(batch.valid.sum())
    return {
        "prepared after s": prepared_after,
        "tiles after s": time.perf_counter() - start,
        "peak GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
        "noise": float(np.median(prepared.sky.noise.values)),
        "mean signal": signal / valid,
    }


def main(args=None):
    """Write the files and measure each."""
    args = parser().parse_args(args)
    if args.file:
        write(args.output, measure(args.file, args.tile, args.every))
        return
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in args.kinds:
            path = Path(folder) / f"{kind}.fits"
            # Elsewhere: a process begins with the peak of the memory of the one that starts it
            with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                pool.submit(KINDS[kind], path, args.side, args.seed).result()
            results[kind] = _in_process(path, args)
            path.unlink()
    names = list(next(iter(results.values())))
    rows = [[kind, *(f"{result[name]:.3g}" for name in names)] for kind, result in results.items()]
    write(args.output, results, rows_to_markdown(["file", *names], rows))


def _in_process(path, args):
    """Results of a process of its own, whose memory is only that of this file."""
    output = path.with_suffix("")
    command = [sys.executable, "-m", "benchmarks.optical.large_image", "--file", str(path)]
    options = ["--tile", str(args.tile), "--every", str(args.every), "--output", str(output)]
    subprocess.run([*command, *options], check=True)
    return json.loads(path.with_suffix(".json").read_text())


if __name__ == "__main__":
    main()
