# Licensed under a 3-clause BSD style license - see LICENSE
"""Results on one page: the sky with candidates to click, their rows, spectra and test statistics."""

import base64
import json
from dataclasses import asdict, replace
from html import escape
from importlib.metadata import version
from importlib.resources import files
from io import BytesIO

import numpy as np
from gammapy.maps import WcsGeom
from matplotlib.image import imsave

from ..catalog.columns import CandidateFlag
from ..display.field_image import field_image, own_counts_image, score_image
from ..display.numbers import fixed, rounded
from ..display.style import IMAGE_MAP
from ..display.tables import html_unit, shown_columns
from ..utils.files import new_file
from .graticule import graticule
from .spectra import drawn_spectrum

__all__ = ["view_page", "write_view"]

#: Degrees around sources of which there is no map.
MARGIN = 1.0


def write_view(candidates, filename, dataset=None, overwrite=False, read_from=()):
    """Write results as one HTML page that needs no network.

    Parameters
    ----------
    candidates : `~gammapy_asid.Candidates`
        Candidates, with their maps where they have some.
    filename : str or path
        File.
    dataset : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`, optional
        Data of the field; by default the counts that come with the candidates.
    overwrite : bool
        Replace an existing file.
    read_from : sequence of str
        Files that the page names as its origin.
    """
    page = view_page(candidates, dataset, read_from)
    with new_file(filename, overwrite) as temporary:
        temporary.write_text(page, encoding="utf-8")


def view_page(candidates, dataset=None, read_from=()):
    """Page of results.

    Parameters
    ----------
    candidates, dataset, read_from
        See `write_view`.

    Returns
    -------
    html : str
        Page.
    """
    images = _images(candidates, dataset)
    geom = images[0][1].image.geom if images else _empty_geom(candidates.positions)
    heads, sources = _sources(candidates, geom)
    ny, nx = (int(n) for n in geom.data_shape[-2:])
    data = {
        "sky": {"nx": nx, "ny": ny, "grid": graticule(geom)},
        "images": [_picture(name, shown) for name, shown in images],
        "heads": heads,
        "sources": sources,
    }
    lead = [candidates.summary]
    if "energy_range" in candidates.meta:
        lead.append("{:g}–{:g} GeV".format(*candidates.meta["energy_range"]))
    if candidates.meta.get("datasets"):
        lead.append(f"data: {', '.join(candidates.meta['datasets'])}")
    texts = {
        "TITLE": "Gamma-ray source candidates",
        "LEAD": ", ".join(lead),
        "FRAME": "Galactic" if geom.frame == "galactic" else "equatorial",
        "VERSION": version("gammapy-asid"),
        "FILES": ", ".join(read_from) or "candidates",
    }
    page = files(__package__).joinpath("view.html").read_text(encoding="utf-8")
    for key, text in texts.items():
        page = page.replace(f"@{key}@", escape(text))
    # Last, and without an end of the script: names of sources are the user's
    return page.replace("@DATA@", json.dumps(data, allow_nan=False).replace("<", "\\u003c"))


def _images(candidates, dataset):
    """Names and images of what can be shown, all on one geometry of pixels."""
    maps, shown = candidates.maps, []
    if dataset is not None:
        shown.append(field_image(dataset))
    elif "counts" in maps:
        shown.append(own_counts_image(candidates))
        if shown[0].kind == "significance":
            shown.append(own_counts_image(candidates, above_sky=False))
    if "score" in maps:
        shown.append(score_image(candidates))
    names = {"significance": "Significance", "counts": "Counts", "score": "Score map"}
    first = shown[0].image.geom if shown else None
    own = [one if one.image.geom == first else _on(one, first) for one in shown]
    return [(names[one.kind], one) for one in own]


def _on(shown, geom):
    """The same image on other pixels."""
    return replace(shown, image=shown.image.interp_to_geom(geom, fill_value=np.nan))


def _empty_geom(positions):
    """Pixels that hold all positions, for candidates without maps."""
    frame = positions.galactic
    centre = frame[0] if len(frame) else None
    radius = max(frame.separation(centre).deg.max(), MARGIN) if len(frame) else 90.0
    if radius > 60:
        return WcsGeom.create(npix=(360, 180), binsz=1.0, proj="CAR", frame="galactic")
    return WcsGeom.create(skydir=centre, width=2 * radius + 2 * MARGIN, binsz=radius / 100, frame="galactic")


def _picture(name, shown):
    low, high = shown.limits
    buffer = BytesIO()
    data = np.nan_to_num(shown.image.data, nan=low)
    imsave(buffer, data, vmin=low, vmax=high, cmap=IMAGE_MAP, origin="lower", format="png")
    label = shown.label
    if shown.energy_range is not None:
        label += ", {:g}–{:g} GeV".format(*shown.energy_range)
    png = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    return {"name": name, "label": label, "low": rounded(low), "high": rounded(high), "png": png}


def _sources(candidates, geom):
    """Heads of the table, and of each source its cells, marks and spectrum."""
    table = candidates.table
    columns = shown_columns(table)
    heads = [[head, html_unit(unit)] for head, (unit, _, _) in columns.items()] + [["flags", ""]]
    x, y = (np.asarray(own, float) for own in geom.to_image().coord_to_pix(candidates.positions))
    regions = _ellipses(candidates, geom)
    spectra = [drawn_spectrum(source) for source in candidates.to_catalog()]
    sources = []
    for i, row in enumerate(table):
        has_place = np.isfinite(x[i]) and np.isfinite(y[i])
        ts = row["ts"] if "ts" in table.colnames else np.nan
        sources.append(
            {
                "name": str(row["name"]),
                # Pixel centres are whole numbers, the picture begins at its edge
                "x": float(x[i]) + 0.5 if has_place else None,
                "y": float(y[i]) + 0.5 if has_place else None,
                "ellipse": regions[i] if has_place else None,
                "cells": [texts[i] for _, texts, _ in columns.values()] + [""],
                "sort": [_sortable(values[i]) for _, _, values in columns.values()] + [int(row["flags"])],
                "flags": [[bit.word, bit.meaning, bit.severe] for bit in CandidateFlag.bits(row["flags"])],
                "ts": fixed(ts, 1) if np.isfinite(ts) else None,
                "sqrt_ts": fixed(np.sqrt(max(ts, 0)), 1) if np.isfinite(ts) else None,
                "spectrum": None if spectra[i] is None else asdict(spectra[i]),
            }
        )
    return heads, sources


def _sortable(value):
    value = getattr(value, "value", value)
    if isinstance(value, str):
        return value
    return float(value) if np.isfinite(value) else None


def _ellipses(candidates, geom):
    """Semi-axes in pixels and anticlockwise angle in deg of the 95 % errors; None where unknown."""
    shapes = [region.to_pixel(geom.wcs) for region in candidates.to_regions()]
    return [
        [shape.width / 2, shape.height / 2, shape.angle.to_value("deg")] if hasattr(shape, "width") else None
        for shape in shapes
    ]
