# Licensed under a 3-clause BSD style license - see LICENSE
"""Hand-off of candidates to fermipy, and its results.

Nothing here needs fermipy or the Fermitools; the script that is written does.
"""

from .config import CONFIG, fermipy_config
from .handoff import write_fermipy
from .results import read_fermipy
from .sources import source_dicts, source_xml

__all__ = ["CONFIG", "fermipy_config", "read_fermipy", "source_dicts", "source_xml", "write_fermipy"]
