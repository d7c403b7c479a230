# Licensed under a 3-clause BSD style license - see LICENSE
"""How results show themselves: numbers, flags and tables, in a terminal, a notebook and a picture."""
