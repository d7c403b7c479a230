# Licensed under a 3-clause BSD style license - see LICENSE
"""Files, tables, angles, arguments and processes: what every other part stands on."""
