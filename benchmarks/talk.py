# Licensed under a 3-clause BSD style license - see LICENSE
"""All plots of the talk at EuCAIFCon 2024, each by the program of its experiment.

What is already in the folder is kept: a run that was interrupted goes on.
"""

from pathlib import Path

from gammapy_asid.simulation import EmissionBank

from .common import arguments, file_of, kept
from .detection import emission_models, faint_sources, found_sources, front, mask_radius, neighbours
from .skies.open_skies import load_bank, load_unseen

NEEDS = "data, a day"

#: Programs, whether they take a model, the file of emission models they take, and arguments of a small check.
PARTS = {
    "found_sources": (found_sources, True, None, []),
    "front": (front, True, "bank", ["--patches", "64"]),
    "emission_models": (emission_models, True, "unseen", ["--seeds", "0"]),
    "neighbours": (neighbours, True, "bank", ["--fields", "2", "--ts-map-fields", "1"]),
    "faint_sources": (faint_sources, True, None, ["--ts-map-patches", "2"]),
    "mask_radius": (mask_radius, False, "bank", ["--batches", "20", "--patches", "64"]),
}


def parser():
    """Arguments."""
    own = arguments(__doc__, "talk", data=True, model="lat")
    own.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="what is drawn")
    own.add_argument("--quick", action="store_true", help="a small check: too few sources for numbers")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    output = Path(args.output)
    output.mkdir(parents=True, exist_ok=True)
    banks = {name: output / f"{name}.safetensors" for name in ("bank", "unseen")}
    for name, load in (("bank", load_bank), ("unseen", load_unseen)):
        kept(banks[name], lambda load=load: load(None, args.data), EmissionBank.save, EmissionBank.load)
    for name in args.parts:
        program, has_model, bank, quick = PARTS[name]
        if file_of(output / name, ".png").exists():
            continue
        options = ["--data", str(args.data), "--output", str(output / name)]
        options += ["--model", args.model] if has_model else []
        options += [f"--{bank}", str(banks[bank])] if bank else []
        program.main(options + (quick if args.quick else []))


if __name__ == "__main__":
    main()
