# Licensed under a 3-clause BSD style license - see LICENSE
"""Classes of candidates in real fields of the Fermi-LAT, against those of 4FGL-DR4."""

import logging

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from sklearn.metrics import roc_auc_score

from gammapy_asid import DLSourceClassifier, DLSourceDetector
from gammapy_asid.catalog.columns import CLASSES, CandidateFlag
from gammapy_asid.evaluation import match_brightest
from gammapy_asid.evaluation.intervals import bootstrap_intervals, bootstrap_weights, share_intervals, short
from gammapy_asid.inputs import split_in_time
from gammapy_asid.tasks.classification.prior import SkyPrior

from ..common import Parts, arguments, data_folder, rows_to_markdown, write
from ..skies.catalogs import galactic_positions, load_catalog, read_catalog
from ..skies.real_fields import EVENTS_2FHL, field_2fhl, load_field
from .prior import MEMBERS

NEEDS = "data and a classifier, half an hour"

#: Events of the Galactic centre.
EVENTS_GC = "gammapy-data/fermi-3fhl-gc/fermi-3fhl-gc-events.fits.gz"
#: Field: largest separation of a match in deg, which leaves few of chance; events, if they have times; centre
#: in Galactic coordinates of fields that are cut out of the events.
FIELDS = {
    "Galactic centre": (0.12, EVENTS_GC, None),
    "3C 279": (0.25, None, None),
    "Vela": (0.15, None, None),
    "Galactic plane": (0.12, None, None),
    "SMC": (0.15, EVENTS_2FHL, (302.8, -44.3)),
    "Mrk 421": (0.15, EVENTS_2FHL, (179.8, 65.0)),
    "PKS 2155-304": (0.15, EVENTS_2FHL, (17.7, -52.2)),
    "Crab": (0.15, EVENTS_2FHL, (184.6, -5.8)),
    "centre above 50 GeV": (0.15, EVENTS_2FHL, (0.0, 0.0)),
}
#: Bins of time, about a year each.
N_BINS = 7
#: Moves of the catalogue that leave matches of chance alone: deg, direction in deg.
SHIFTS = ((3.0, 90.0), (3.0, 270.0), (4.0, 90.0), (4.0, 270.0))
#: Score from which candidates have their classes judged; fainter ones serve the area of real against fake.
SCORE = 0.5
#: Resamples of the bootstrap.
RESAMPLES = 300
COLUMNS = ("name", "glon", "glat", "score", "real_prob", "prob_agn", "prob_psr", "prob_pwn_snr", "prob_fsrq")


def sky_class(name):
    """Class here of a class of 4FGL, "other" for one that is none of them, "" without an association."""
    name = name.strip().lower()
    found = [own for own, members in MEMBERS.items() if name in members]
    return found[0] if found else "other" if name not in ("", "unk") else ""


def load(field, folder):
    """Datasets of a field, in years where there are times, and the dataset without time."""
    _, events, centre = FIELDS[field]
    whole = load_field(field, folder) if centre is None else field_2fhl(folder, *centre)
    return whole if events is None else split_in_time(whole, folder / events, N_BINS), whole


def measure(field, detector, classifier, folder):
    """Candidates of a field with classes, their matches in 4FGL-DR4, and the matches by chance."""
    datasets, whole = load(field, folder)
    candidates = detector.run(datasets)
    table = candidates.table
    catalog = load_catalog("4FGL-DR4", whole, folder)
    full = read_catalog("4FGL-DR4", folder)
    names, kinds = (np.char.strip(np.ma.filled(full[c], "").astype(str)) for c in ("Source_Name", "CLASS1"))
    kinds = dict(zip(names, kinds.tolist(), strict=True))
    lon, lat = (np.array(table[name].value) for name in ("glon", "glat"))

    def matched(positions):
        place = positions.l.deg, positions.b.deg
        return match_brightest(lon, lat, np.array(table["score"]), *place, catalog["signif_range"], radius)

    radius = FIELDS[field][0]
    sources = galactic_positions(catalog, "glon", "glat")
    own = matched(sources)
    moved = [matched(sources.directional_offset_by(angle * u.deg, d * u.deg)) for d, angle in SHIFTS]
    good = np.array(table["score"]) >= SCORE
    columns = [np.array(getattr(table[name], "value", table[name])).tolist() for name in COLUMNS]
    rows = [dict(zip(COLUMNS, values, strict=True)) for values in zip(*columns, strict=True)]
    for i, row in enumerate(rows):
        j = own.true_index[i]
        row["flags"] = int(table["flags"][i])
        row["source"] = str(catalog["name"][j]) if j >= 0 else ""
        row["association"] = str(catalog["assoc"][j]) if j >= 0 else ""
        row["class"] = kinds.get(row["source"], "")
    time_bins = candidates.meta["classes"]["time_bins"]
    result = {"time_bins": time_bins, "sources": len(catalog), "candidates": rows}
    result["chance"] = float(np.mean([(m.is_matched & good).sum() for m in moved]))
    result["outside_training"] = candidates.meta["classes"]["outside_training"]
    if time_bins:
        steady = classifier.run(whole, candidates).table
        result["without_time"] = [[float(row[name]) for name in COLUMNS[4:]] for row in steady]
    return result


def called(rows, shares=None):
    """Most probable class of candidates (index), by default at the stated prior, else at equal shares."""
    probability = np.array([[row[name] for name in COLUMNS[5:8]] for row in rows]).reshape(-1, 3)
    return np.argmax(probability if shares is None else probability / shares, axis=1)


def prior_of(rows):
    """Shares of the classes in the sky at candidates, shape ``(n, 3)``."""
    lon, lat = ([row[name] for row in rows] for name in ("glon", "glat"))
    places = SkyCoord(lon, lat, unit="deg", frame="galactic")
    return SkyPrior()(places).classes


def right(true, called):
    """Number of right ones, of how many, and the share with its interval, as text."""
    n, k = len(true), int((true == called).sum())
    return f"{k} of {n}, {share_intervals([k / n], [n])[0]}" if n else "-"


def area(positive, values):
    """Area under the receiver operating characteristic with its interval, as text."""
    positive, values = np.asarray(positive, bool), np.asarray(values, float)
    # Outside of the valid data there are no probabilities
    known = np.isfinite(values)
    positive, values = positive[known], values[known]
    if positive.all() or not positive.any():
        return "-"
    weights = bootstrap_weights(len(values), RESAMPLES)
    areas = [roc_auc_score(positive, values, sample_weight=w) for w in weights]
    return f"{bootstrap_intervals(np.array(areas)[:, None])[0]} ({positive.sum()} and {(~positive).sum()})"


def judged(result, score=SCORE):
    """Candidates above a score with a class of 4FGL, and the index of that class."""
    good = [row for row in result["candidates"] if row["score"] >= score]
    rows = [row for row in good if sky_class(row["class"]) in CLASSES]
    return rows, np.array([CLASSES.index(sky_class(row["class"])) for row in rows], int)


def overview(results):
    """Fields: what was found and how many classes are right."""
    table = []
    for field, result in results.items():
        rows, true = judged(result)
        good = [row for row in result["candidates"] if row["score"] >= SCORE]
        outside = sum(bool(row["flags"] & CandidateFlag.CLASS_OUTSIDE) for row in good)
        entries = [field, str(result["time_bins"] or "-"), str(len(good))]
        entries += [str(sum(bool(row["source"]) for row in good)), f"{result['chance']:.1f}", str(outside)]
        shares = prior_of(rows) if rows else np.ones((0, 3))
        entries += [right(true, choice) for choice in (called(rows), called(rows, shares), shares.argmax(1))]
        if "without_time" in result:
            names = [row["name"] for row in result["candidates"]]
            numbers = dict(zip(names, result["without_time"], strict=True))
            other = [dict(zip(COLUMNS[4:], numbers[row["name"]], strict=True)) for row in rows]
            entries.append(right(true, called(other)))
        else:
            entries.append("-")
        table.append(entries)
    header = ["field", "time bins", f"score > {SCORE:g}", "on 4FGL-DR4", "by chance", "flagged", "right"]
    return rows_to_markdown([*header, "at equal shares", "prior alone", "right without time"], table)


def confusion_text(results):
    """True classes of all fields against those that they are called."""
    found = [judged(result) for result in results.values()]
    rows, true = [row for own, _ in found for row in own], np.concatenate([own for _, own in found])
    shares, lines = prior_of(rows), []
    for i, name in enumerate(CLASSES):
        of = true == i
        counts = [np.bincount(choice[of], minlength=3) for choice in (called(rows), called(rows, shares))]
        mean = np.array([[row[c] for c in COLUMNS[5:8]] for row in rows])[of].mean(axis=0) if of.any() else []
        cells = [name, str(of.sum()), *("/".join(map(str, c)) for c in counts)]
        lines.append([*cells, "/".join(short(p) for p in mean) or "-"])
    header = ["class of 4FGL", "n", f"called {'/'.join(CLASSES)}", "at equal shares", "mean probabilities"]
    kinds = [(row["class"].lower(), row["prob_fsrq"]) for row in rows]
    blazars = [(kind == "fsrq", value) for kind, value in kinds if kind in ("fsrq", "bll")]
    text = rows_to_markdown(header, lines) + "\n"
    if blazars:
        text += f"FSRQ against BL Lac, area: {area(*zip(*blazars, strict=True))}\n"
    return text


def real_text(results):
    """Matched against unmatched candidates by their probability to be real, and by their score."""
    lines = []
    for field, result in results.items():
        rows = result["candidates"]
        matched = [bool(row["source"]) for row in rows]
        areas = [area(matched, [row[name] for row in rows]) for name in ("real_prob", "score")]
        lines.append([field, *areas])
    return rows_to_markdown(["field", "real_prob, area (matched and not)", "score"], lines)


def listing(results):
    """Candidates above the score, those with a class first."""
    lines = []
    for field, result in results.items():
        rows = [row for row in result["candidates"] if row["score"] >= SCORE]
        for row in sorted(rows, key=lambda row: (sky_class(row["class"]) not in CLASSES, -row["score"])):
            place = [field, row["name"], f"{row['glon']:.2f}", f"{row['glat']:.2f}"]
            source = [row[name] for name in ("source", "association", "class")]
            numbers = [f"{row[name]:.2f}" for name in COLUMNS[3:]]
            lines.append([*place, *source, *numbers, str(row["flags"])])
    header = ["field", "candidate", "glon", "glat", "4FGL-DR4", "association", "class", *COLUMNS[3:], "flags"]
    return rows_to_markdown(header, lines)


def parser():
    """Arguments."""
    own = arguments(__doc__, "classes_real_sky", data=True, model="lat-classes", threshold=0.2)
    own.add_argument("--fields", nargs="+", choices=FIELDS, default=list(FIELDS), help="fields")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    folder = data_folder(args.data)
    classifier = DLSourceClassifier(args.model)
    detector = DLSourceDetector(threshold=args.threshold, classify=classifier)
    parts = Parts(args.output, weights=classifier.card.weights_sha256, threshold=args.threshold)
    results = {f: parts(f, lambda f=f: measure(f, detector, classifier, folder)) for f in args.fields}
    text = "\n".join(make(results) for make in (overview, confusion_text, real_text, listing))
    write(args.output, results, text)


if __name__ == "__main__":
    logging.basicConfig()
    main()
