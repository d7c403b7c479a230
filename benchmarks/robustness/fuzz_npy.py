# Licensed under a 3-clause BSD style license - see LICENSE
"""Read damaged and forged files .npy of fermipy: each is read, or refused with a ValueError.

The memory of the process is limited, so that a file that asks for more than a few times its size ends the
program, as would a crash.
"""

import io
import logging
import pickle
import resource
import tempfile
import time
from collections import Counter, OrderedDict
from pathlib import Path

import numpy as np

from gammapy_asid.likelihood import read_fermipy
from gammapy_asid.likelihood.fermipy.npy import load_results

from ..common import arguments

NEEDS = "minutes"

SEED = 1
#: Instructions of pickles, of which random ones are put in random places.
OPCODES = np.frombuffer(b"".join(bytes([code]) for code in range(256)), np.uint8)


def result(rng):
    """A dictionary with all kinds of values that fermipy writes."""
    source = {
        "name": "4FGL J0001.2-0747",
        "ra": 0.3151,
        "dec": np.float64(-7.7971),
        "ts": np.float32(31.4),
        "SpectrumType": "PowerLaw",
        "SpatialModel": b"PointSource",
        "spectral_pars": {
            "Prefactor": {"value": 1.2, "error": 0.1, "scale": 1e-12, "free": True},
            "Index": {"value": 2.1, "error": 0.2, "scale": -1.0, "free": True},
            "Scale": {"value": 1000.0, "error": np.nan, "scale": 1.0, "free": False},
        },
        "flux": 1e-9,
        "flux_err": 1e-10,
        "extension": None,
        "dloglike_scan": rng.normal(size=(3, 4)),
        "flags": np.arange(4, dtype="i4"),
        "names": np.array(["one", "two"]),
        "raw": np.array([b"a", b"bc"]),
        "assoc": OrderedDict([("a", "b"), ("n", 2**70)]),
        "pair": (1, 2, (3.0, False)),
        "set": {"x", "y"},
        "list": [np.bool_(True), np.str_("s"), 1 + 2j, bytes(5)],
    }
    other = source | {"name": "near", "ts": 5.0}
    return {
        "version": "1.4.3",
        "roi": {"energies": np.geomspace(1e3, 1e5, 9)},
        "config": {"binning": {"coordsys": "CEL"}},
        "sources": {"4FGL J0001.2-0747": source, "near": other},
    }


def content(value, protocol):
    """A file .npy of one object, in a protocol of pickle."""
    file = io.BytesIO()
    array = np.array(value, dtype=object)
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
    pickle.dump(array, file, protocol=protocol)
    return file.getvalue()


def mutated(rng, originals):
    """A file with bytes changed, removed, added, doubled, or joined with another."""
    data = bytearray(originals[rng.integers(len(originals))])
    for _ in range(rng.geometric(0.5)):
        kind, place = rng.integers(7), int(rng.integers(len(data)))
        end = min(place + int(rng.integers(1, 200)), len(data))
        if kind == 0:
            data[place] = rng.integers(256)
        elif kind == 1:
            data[place] ^= 1 << rng.integers(8)
        elif kind == 2:
            del data[place:end]
        elif kind == 3:
            data[place:place] = bytes(rng.choice(OPCODES, rng.integers(1, 5)))
        elif kind == 4:
            data[place:place] = data[place:end]
        elif kind == 5:
            other = originals[rng.integers(len(originals))]
            start = int(rng.integers(len(other)))
            data[place:] = other[start:]
        else:
            # Lengths and numbers of other sizes
            data[place : place + 4] = int(rng.choice([0, 1, 2**31 - 1, 2**32 - 1, 2**16])).to_bytes(
                4, "little"
            )
        if not data:
            data = bytearray(b"\x93")
    return bytes(data)


def parser():
    """Arguments."""
    own = arguments(__doc__)
    own.add_argument("--files", type=int, default=100_000, help="number of files")
    own.add_argument("--memory", type=float, default=1.0, help="GiB that the reading may add")
    return own


def main(args=None):
    """Measure and print."""
    args = parser().parse_args(args)
    logging.disable(logging.WARNING)
    rng = np.random.default_rng(SEED)
    originals = [content(result(rng), protocol) for protocol in (2, 3, 4, 5)]
    outcomes, slowest = Counter(), 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.npy"
        for original in originals:
            path.write_bytes(original)
            assert len(read_fermipy(path)) == 2
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        limit = used + int(args.memory * 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        for _ in range(args.files):
            path.write_bytes(mutated(rng, originals))
            start = time.perf_counter()
            try:
                load_results(path)
                outcomes["of plain values"] += 1
                read_fermipy(path)
                outcomes["read"] += 1
            except ValueError:
                outcomes["refused"] += 1
            slowest = max(slowest, time.perf_counter() - start)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{args.files} files: {outcomes['of plain values']} of plain values, {outcomes['read']} of them "
        f"results of fermipy, all others refused with a ValueError ({outcomes['refused']})"
    )
    print(f"slowest {slowest:.2f} s; memory grew by {(after - before) / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
