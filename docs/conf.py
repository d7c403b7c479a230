# Licensed under a 3-clause BSD style license - see LICENSE
"""Sphinx configuration."""

import warnings
from importlib.metadata import version as package_version

# Gammapy draws flux points and spectra on the same axes
warnings.filterwarnings("ignore", "This axis already has a converter set", UserWarning)

project = "gammapy-asid"
author = "gammapy_asid developers"
copyright = f"2026, {author}"
release = version = package_version("gammapy-asid")

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build"]
default_role = "py:obj"

autosummary_generate = True
# The class template lists the members that this package defines
numpydoc_show_class_members = False

myst_enable_extensions = ["colon_fence", "dollarmath"]
# Sections of other pages can be linked to
myst_heading_anchors = 3

sphinx_gallery_conf = {
    "examples_dirs": ["../tutorials"],
    "gallery_dirs": ["auto_tutorials"],
    "filename_pattern": r"\.py$",
    "abort_on_example_error": True,
    "min_reported_time": 1e9,
}

html_theme = "pydata_sphinx_theme"
html_title = f"gammapy-asid {release}"
html_show_sourcelink = False
