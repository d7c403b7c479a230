# Licensed under a 3-clause BSD style license - see LICENSE
"""The page of an evaluation as HTML."""

import base64
from html import escape
from importlib.metadata import version
from string import Template

from ..display.style import COLOURS
from .figures import FIGURES

__all__ = ["NUMBERS", "render_page"]

#: File of the numbers, beside the page.
NUMBERS = "metrics.json"

TEMPLATE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { --ink: #1d2733; --soft: #5b6673; --line: #dfe4ea; --paper: #ffffff; --back: #f5f7f9; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink); line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 2.2rem 1.4rem 3rem; }
h1 { font-size: 1.75rem; margin: 0 0 .3rem; letter-spacing: -.01em; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .8rem; padding-bottom: .3rem; border-bottom: 2px solid var(--line); }
h3 { font-size: 1rem; margin: 0 0 .2rem; }
p { margin: 0 0 .7rem; }
.lead { color: var(--soft); max-width: 50rem; }
.soft { color: var(--soft); font-size: .86rem; }
.cards { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; align-items: start; }
figure { margin: 0; padding: 1rem 1.1rem .8rem; background: var(--paper); border: 1px solid var(--line);
  border-radius: 8px; }
figure.wide { grid-column: 1 / -1; }
figure img { display: block; width: 100%; height: auto; margin: .4rem auto .2rem; }
figcaption { color: var(--soft); font-size: .86rem; }
.missing { color: var(--soft); font-style: italic; margin: .2rem 0; }
.scroll { overflow-x: auto; background: var(--paper); border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .42rem .8rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
tr:last-child th, tr:last-child td { border-bottom: 0; }
thead th { border-bottom: 2px solid var(--line); vertical-align: bottom; }
tbody th { text-align: left; font-weight: 500; white-space: normal; }
thead th:first-child { text-align: left; }
tr.group th { text-align: left; font-weight: 650; background: var(--back); font-size: .82rem;
  color: var(--soft); text-transform: uppercase; letter-spacing: .04em; }
td .soft { font-size: .8rem; }
.swatch { display: inline-block; width: .7rem; height: .7rem; border-radius: 2px; margin-right: .4rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.2rem; margin: 0;
  padding: 1rem 1.1rem; background: var(--paper); border: 1px solid var(--line); border-radius: 8px;
  font-size: .92rem; }
dt { color: var(--soft); } dd { margin: 0; }
footer { margin-top: 2.5rem; color: var(--soft); font-size: .82rem; }
@media (max-width: 760px) { .cards { grid-template-columns: 1fr; } dl { grid-template-columns: 1fr; } }
@media print { body { background: white; } figure { break-inside: avoid; } }
</style>
</head>
<body>
<main>
<h1>$title</h1>
<p class="lead">$lead</p>
$body
<footer>Made by gammapy-asid $version. All numbers are in $numbers.</footer>
</main>
</body>
</html>
""")


def render_page(metrics, figures, title):
    """HTML of the page.

    Parameters
    ----------
    metrics : dict
        Result of `Evaluation.metrics`.
    figures : dict of str to bytes
        PNG files by the names of `FIGURES`.
    title : str
        Title.

    Returns
    -------
    html : str
        The page.
    """
    lists = metrics["lists"]
    names = ", ".join(lists)
    lead = f"{names} judged against {metrics['sample']['n_true']} true sources."
    body = [_sample(metrics), "<h2>Summary</h2>", _summary(lists), *_notes(metrics)]
    for section in dict.fromkeys(spec.section for spec in FIGURES.values()):
        cards = [_card(name, spec, figures) for name, spec in FIGURES.items() if spec.section == section]
        body += [f"<h2>{section}</h2>", '<div class="cards">', *cards, "</div>"]
    return TEMPLATE.substitute(
        title=escape(title),
        lead=escape(lead),
        body="\n".join(body),
        version=version("gammapy-asid"),
        numbers=NUMBERS,
    )


def _card(name, spec, figures):
    wide = ' class="wide"' if spec.wide else ""
    if name not in figures:
        inside = f'<p class="missing">Not drawn. {escape(spec.missing)}</p>'
    else:
        data = base64.b64encode(figures[name]).decode()
        inside = (
            f'<img alt="{escape(spec.title)}" src="data:image/png;base64,{data}">'
            f"<figcaption>{escape(spec.caption)}</figcaption>"
        )
    return f"<figure{wide}><h3>{escape(spec.title)}</h3>{inside}</figure>"


def _sample(metrics):
    """What was judged, and how."""
    sample, settings = metrics["sample"], metrics["settings"]
    low, high = settings["energy_range"]
    lon, lat = sample["center"]
    parts = [f"{sample['n_true']} of {sample['n_given']} in the truth"]
    if sample["n_outside"]:
        parts.append(f"{sample['n_outside']} outside the region")
    if sample["n_too_faint"]:
        parts.append(f"{sample['n_too_faint']} fainter than the smallest flux")
    area = "" if sample["area_deg2"] is None else f", {sample['area_deg2']:.0f} deg²"
    fields = "" if sample["fields"] is None else f", {sample['fields']} fields, each matched by itself"
    region = {"valid data": "Valid data of the dataset"}.get(
        sample["region"], "All of the tables, no dataset given"
    )
    region += f"{area}{fields}; centre of the sources at l = {lon:.1f}°, b = {lat:.1f}°"
    if settings["latitude"] != [0, 90]:
        region += "; {:g}° < |b| < {:g}°".format(*settings["latitude"])
    purity = settings["purity"]
    working = (
        f"The lowest score of each list at which its purity is {purity:g} or more"
        if purity > 0
        else "None: whole lists"
    )
    rows = {
        "True sources": "; ".join(parts),
        "Flux": f"{_power(sample['flux_range'][0])} to {_power(sample['flux_range'][1])} cm⁻² s⁻¹, "
        f"{low:g}-{high:g} GeV",
        "Region": region,
        "Matching radius": f"{settings['radius_deg']:g}°",
        "Working threshold": working,
    }
    items = "".join(f"<dt>{key}</dt><dd>{escape(value)}</dd>" for key, value in rows.items())
    return f"<h2>Sample</h2><dl>{items}</dl>"


def _summary(lists):
    """Table of all lists: one column each."""
    head = "".join(
        f'<th><span class="swatch" style="background:{COLOURS[i % len(COLOURS)]}"></span>{escape(label)}</th>'
        for i, label in enumerate(lists)
    )
    rows = []
    for group, entries in SUMMARY.items():
        rows.append(f'<tr class="group"><th colspan="{1 + len(lists)}">{group}</th></tr>')
        for name, write in entries.items():
            cells = "".join(f"<td>{write(own)}</td>" for own in lists.values())
            rows.append(f"<tr><th>{name}</th>{cells}</tr>")
    return (
        f'<div class="scroll"><table><thead><tr><th></th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _notes(metrics):
    """What the reader must know of single lists."""
    purity = metrics["settings"]["purity"]
    notes = []
    for label, own in metrics["lists"].items():
        if own["candidates"] == 0:
            notes.append(f"{label} has no candidate in the region.")
        elif not own["working_threshold"]["reaches_purity"]:
            notes.append(f"{label} reaches a purity of {purity:g} at no threshold: the whole list is judged.")
        if own["working_threshold"]["fakes_near_faint_sources"]:
            number = own["working_threshold"]["fakes_near_faint_sources"]
            notes.append(f"{label}: {number} of its fakes lie near a true source too faint to count.")
    notes.append(
        "Intervals are binomial, 68 %. Chance: share of random positions around the candidates that have a "
        "true source within the matching radius. Left out: candidates outside the region, or real by a "
        "source beyond its edge."
    )
    return [f'<p class="soft" style="margin-top:.7rem">{escape(" ".join(notes))}</p>']


def _number(value, digits=3):
    return "–" if value is None else f"{value:.{digits}f}"


def _power(value):
    """A flux in powers of ten."""
    mantissa, exponent = f"{value:.2e}".split("e")
    digits = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa}·10{digits}"


def _interval(values, name):
    if values is None or values[name] is None:
        return "–"
    low, high = values[f"{name}_low"], values[f"{name}_high"]
    return f'{values[name]:.3f} <span class="soft">{low:.3f}–{high:.3f}</span>'


def _part(own, key, part, digits=3):
    return _number(None if own[key] is None else own[key][part], digits)


def _count(own, key):
    return "–" if own is None else str(own[key])


def _in(key, name):
    return lambda own: _interval(own[key], name)


def _value(key, part, digits=3):
    return lambda own: _part(own, key, part, digits)


#: Rows of the summary by group: name, and how the cell of a list is written.
SUMMARY = {
    "Whole list": {
        "Candidates": lambda own: str(own["candidates"]),
        "Left out": lambda own: str(own["left_out"]),
        "Purity": _in("whole_list", "purity"),
        "Completeness": _in("whole_list", "completeness"),
        "Average precision, published matching": lambda own: _number(own["average_precision"]),
        "Average precision, optimal matching": lambda own: _number(own["average_precision_optimal"]),
        "Calibration error of the score": lambda own: _number(own["calibration_error"]),
        "Chance": lambda own: _number(own["chance"]),
    },
    "At the working threshold": {
        "Threshold": lambda own: (
            "–"
            if own["working_threshold"]["threshold"] is None
            else f"{own['working_threshold']['threshold']:.4g}"
        ),
        "Candidates": lambda own: str(own["working_threshold"]["candidates"]),
        "Purity": _in("working_threshold", "purity"),
        "Completeness": _in("working_threshold", "completeness"),
        "Purity, optimal matching": _value("working_threshold", "optimal_purity"),
        "Completeness, optimal matching": _value("working_threshold", "optimal_completeness"),
        "Faint sources gained": lambda own: f"{own['faint']['gained']} of {own['faint']['true']}",
        "Fakes": lambda own: str(own["faint"]["fakes"]),
    },
    "Positions": {
        "Offset, median (deg)": _value("working_threshold", "offset_50"),
        "Offset, 68 % (deg)": _value("working_threshold", "offset_68"),
        "Offset, 95 % (deg)": _value("working_threshold", "offset_95"),
        "True positions inside the 68 % ellipse": _in("positions", "inside_68"),
        "True positions inside the 95 % ellipse": _in("positions", "inside_95"),
    },
    "Fluxes": {
        "Real candidates with a flux": lambda own: _count(own["fluxes"], "number"),
        "Measured / true, median": _value("fluxes", "median_ratio"),
        "Scatter of ln(measured / true), 68 %": _value("fluxes", "log_scatter_68"),
        "True fluxes inside the 68 % interval": _value("fluxes", "inside_68"),
    },
}
