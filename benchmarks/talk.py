# Licensed under a 3-clause BSD style license - see LICENSE
"""All plots of the talk at EuCAIFCon 2024, each by the program of its experiment.

Run as ``python -m benchmarks.talk --output FOLDER``. What is already in the folder is kept: a run that was
interrupted goes on.
"""

import argparse
from pathlib import Path

from gammapy_asid.simulation.diffuse import EmissionBank
from gammapy_asid.simulation.lat_bank import build_heldout_models, build_lat_bank

from . import emission_models, faint_sources, found_sources, front, mask_radius, neighbours
from .sky235 import data_folder

__all__ = ["main"]

#: Programs, whether they take a model, the file of emission models they take, and arguments of a small check.
PARTS = {
    "found_sources": (found_sources, True, None, []),
    "front": (front, True, "bank", ["--patches", "64"]),
    "emission_models": (emission_models, True, "unseen", ["--seeds", "0"]),
    "neighbours": (neighbours, True, "bank", ["--fields", "2", "--ts-map-fields", "1"]),
    "faint_sources": (faint_sources, True, None, ["--ts-map-patches", "2"]),
    "mask_radius": (mask_radius, False, "bank", ["--batches", "20", "--patches", "64"]),
}


def main(args=None):
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="data folder, by default GAMMAPY_ASID_DATA")
    parser.add_argument("--model", default="lat")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--quick", action="store_true", help="a small check: too few sources for numbers")
    parser.add_argument("--output", default="talk", help="folder of tables and plots")
    args = parser.parse_args(args)

    output, data = Path(args.output), data_folder(args.data)
    output.mkdir(parents=True, exist_ok=True)
    banks = {name: output / f"{name}.safetensors" for name in ("bank", "unseen")}
    if not banks["bank"].exists():
        build_lat_bank(data).save(banks["bank"])
    if not banks["unseen"].exists():
        EmissionBank.from_models(build_heldout_models(data)).save(banks["unseen"])
    for name in args.parts:
        program, has_model, bank, quick = PARTS[name]
        folder = output / name if program is mask_radius else output
        if (folder / f"{name}.png").exists():
            continue
        options = ["--data", str(data), "--output", str(output / name)]
        options += ["--model", args.model] if has_model else []
        options += [f"--{bank}", str(banks[bank])] if bank else []
        program.main(options + (quick if args.quick else []))


if __name__ == "__main__":
    main()
