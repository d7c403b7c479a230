# Licensed under a 3-clause BSD style license - see LICENSE
"""Classes of the sources of a catalogue from its own columns."""

from .classify import TableClassifier, classify_table

__all__ = ["TableClassifier", "classify_table"]
