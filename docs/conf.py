# Licensed under a 3-clause BSD style license - see LICENSE
"""Sphinx configuration."""

import os
import warnings
import zlib
from importlib.metadata import version as package_version
from pathlib import Path

HERE = Path(__file__).parent

# Gammapy draws flux points and spectra on the same axes
warnings.filterwarnings("ignore", "This axis already has a converter set", UserWarning)

project = "gammapy-asid"
author = "gammapy_asid developers"
copyright = f"2026, {author}"
ADDRESS = "https://gammapy-asid.readthedocs.io"
release = version = package_version("gammapy-asid")

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build"]
default_role = "py:obj"
# Methods stand in the list beside a page without the name of their class
toc_object_entries_show_parents = "hide"

autosummary_generate = True
# The class template lists the members that this package defines
numpydoc_show_class_members = False

myst_enable_extensions = ["attrs_block", "colon_fence", "dollarmath"]
# Sections of other pages can be linked to
myst_heading_anchors = 3

#: Documentation of the packages whose objects users meet here.
OTHERS = {
    "astropy": "https://docs.astropy.org/en/stable",
    "gammapy": "https://docs.gammapy.org/stable",
    "matplotlib": "https://matplotlib.org/stable",
    "numpy": "https://numpy.org/doc/stable",
    "photutils": "https://photutils.readthedocs.io/en/stable",
    "python": "https://docs.python.org/3",
    "regions": "https://astropy-regions.readthedocs.io/en/stable",
    "torch": "https://docs.pytorch.org/docs/stable",
}


def inventory(name):
    """Inventory of the names in ``other_names.txt``: links are the same where no network is.

    Parameters
    ----------
    name : str
        Key of `OTHERS`.

    Returns
    -------
    path : str
        Inventory file.
    """
    lines = [line.split(maxsplit=1)[1] for line in (HERE / "other_names.txt").read_text().splitlines()
             if line.startswith(f"{name} ")]  # fmt: skip
    path = HERE / "_build" / "inventories" / f"{name}.inv"
    path.parent.mkdir(parents=True, exist_ok=True)
    head = f"# Sphinx inventory version 2\n# Project: {name}\n# Version: \n"
    head += "# The remainder of this file is compressed using zlib.\n"
    path.write_bytes(head.encode() + zlib.compress("".join(f"{line}\n" for line in lines).encode()))
    return str(path)


intersphinx_mapping = {name: (url, (None, inventory(name))) for name, url in OTHERS.items()}
intersphinx_timeout = 5
copybutton_exclude = ".linenos, .gp, .go"

sphinx_gallery_conf = {
    "examples_dirs": ["../tutorials"],
    "gallery_dirs": ["auto_tutorials"],
    "filename_pattern": r"\.py$",
    "abort_on_example_error": True,
    "min_reported_time": 1e9,
    "doc_module": ("gammapy_asid",),
    "backreferences_dir": None,
    "image_scrapers": ("matplotlib",),
}

html_theme = "pydata_sphinx_theme"
html_title = f"gammapy-asid {release}"
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["page.css"]
html_theme_options = {
    "show_toc_level": 2,
    "header_links_before_dropdown": 5,
    "navigation_with_keys": False,
    "navbar_persistent": ["search-button"],
    # Other versions are listed by the latest documentation, which knows them all
    "switcher": {
        "json_url": f"{ADDRESS}/en/latest/_static/versions.json",
        "version_match": os.environ.get("READTHEDOCS_VERSION", "latest"),
    },
    "check_switcher": False,
    "navbar_end": ["version-switcher", "theme-switcher", "navbar-icon-links"],
}
# The front page takes the whole width
html_sidebars = {"index": []}
