# Licensed under a 3-clause BSD style license - see LICENSE
"""The first candidates of network, TS map and matched filter in every real field, against 4FGL-DR4."""

import torch
from astropy.coordinates import SkyCoord

from gammapy_asid import DLSourceDetector

from ..common import Parts, arguments, data_folder, write
from ..skies.catalogs import galactic_positions, load_catalog
from ..skies.league_fields import LEAGUE
from .league_lists import LOWEST_SCORE, SETTINGS, network_lists, peer_lists
from .league_matching import real_matches
from .league_tables import figure, numbers, to_markdown

NEEDS = "data, ten minutes, a minute with the lists of the classical methods kept"


def measure(name, detector, folder, peers):
    """Matches of all methods in a field.

    Parameters
    ----------
    name : str
        Field.
    detector : `~gammapy_asid.DLSourceDetector`
        Detector.
    folder : path
        Data folder.
    peers : `~benchmarks.common.Parts`
        Lists of the classical methods, made where they are not kept.

    Returns
    -------
    result : dict
        ``group`` and ``radius`` of the field, number of ``sources``, and by method ``matched`` and ``chance``
        of `real_matches`, the ``length`` of the list and ``seconds``.
    """
    field = LEAGUE[name]
    dataset = field.make(folder)
    catalog = load_catalog("4FGL-DR4", dataset, folder)
    sources = galactic_positions(catalog, "glon", "glat")
    # What a list depends on, beside the constants, which are the settings of all
    key = f"{name}, kernel {field.kernel}, bins {field.bins}"
    held = field.as_held(folder)
    (held,) = held if isinstance(held, list) else [held]
    lists = network_lists(detector, held) | peers(key, lambda: peer_lists(dataset, field))
    result = {"group": field.group, "radius": field.radius, "sources": len(catalog), "methods": {}}
    for method, found in lists.items():
        positions = SkyCoord(found["glon"], found["glat"], unit="deg", frame="galactic")
        image = dataset.counts.geom.to_image()
        matched, chance = real_matches(positions, image, sources, field.radius)
        entry = {"matched": matched, "chance": chance}
        result["methods"][method] = entry | {"length": len(positions), "seconds": found["seconds"]}
    return result


def parser():
    """Arguments."""
    own = arguments(__doc__, "real_league", data=True, model="lat")
    own.add_argument("--fields", nargs="+", choices=LEAGUE, default=list(LEAGUE), help="fields")
    own.add_argument("--peers", default="real_league_peers", help="beginning of the name of the kept lists")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    torch.set_num_threads(1)
    folder, peers = data_folder(args.data), Parts(args.peers, **SETTINGS)
    detector = DLSourceDetector(args.model, threshold=LOWEST_SCORE)
    fields = {name: measure(name, detector, folder, peers) for name in args.fields}
    write(args.output, numbers(fields), to_markdown(fields), figure(fields))


if __name__ == "__main__":
    main()
