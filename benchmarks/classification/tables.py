# Licensed under a 3-clause BSD style license - see LICENSE
"""Classes of sources of 4FGL that later releases associate, from the columns of the release before.

Trained on a release of 4FGL, tested on its sources without a class (empty or ``unk``) whose nearest source of
the 16-year list within 0.15 deg has one, and on its ``bcu`` whose nearest one is a ``bll`` or ``fsrq``; and
by five-fold cross-validation of the first release. A random forest of 500 trees stands beside.
"""

import time

import numpy as np
from astropy.table import Table
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import precision_recall_curve, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from gammapy_asid.tasks.classification.tables import TableClassifier
from gammapy_asid.tasks.classification.tables.groups import CLASSES, class_indices, fsrq_indices
from gammapy_asid.utils.table_columns import column_text, column_values, table_positions

from ..common import Parts, arguments, rows_to_markdown, write

NEEDS = "the catalogues of fermipy, a quarter of an hour"

#: Releases: the first of 4FGL, its second data release, and the 16-year list.
FIRST, SECOND, LIST = "gll_psc_v20.fit", "gll_psc_v27.fit", "gll_psc_v41.fit"
#: Largest distance in deg between a source and itself in the list.
RADIUS = 0.15
#: Samples of the bootstrap, and bins of the calibration.
SAMPLES, BINS = 500, 10
AGN, PSR = CLASSES.index("AGN"), CLASSES.index("PSR")
TREES = {"n_estimators": 500, "random_state": 0}


def read(folder, name):
    """A release of 4FGL."""
    return Table.read(f"{folder}/{name}", hdu=1)


def later_classes(old, new):
    """Classes that the new list gives to sources without one, and to ``bcu`` whether they are quasars."""
    nearest, distance, _ = table_positions(old, "old").match_to_catalog_sky(table_positions(new, "new"))
    text, near = np.char.lower(column_text(old["CLASS1"])), distance.deg < RADIUS
    classes = np.where(near & np.isin(text, ("", "unk")), class_indices(new)[nearest], -1)
    return classes, np.where(near & (text == "bcu"), fsrq_indices(new)[nearest], -1)


def forest_features(table, coordinates=False):
    """Columns that forests are given: hardness ratios, fluxes, spectral shapes and variability."""
    band = np.asarray(table["nuFnu_Band"], dtype=float)
    hardness = (band[:, 1:] - band[:, :-1]) / (band[:, 1:] + band[:, :-1] + 1e-30)
    logarithms = ("Flux1000", "Energy_Flux100", "Pivot_Energy", "Signif_Avg", "Variability_Index")
    logarithms += ("Conf_95_SemiMajor", "Unc_Energy_Flux100")
    plain = ("PL_Index", "Unc_PL_Index", "LP_Index", "LP_beta", "Unc_LP_beta", "LP_SigCurv", "PLEC_SigCurv")
    plain += ("Frac_Variability", "Unc_Frac_Variability", "PLEC_Index", "PLEC_Expfactor")
    columns = [np.log10(np.maximum(column_values(table[name]), 1e-30)) for name in logarithms]
    columns += [column_values(table[name]) for name in plain]
    if coordinates:
        longitude, latitude = (np.asarray(table[name], dtype=float) for name in ("GLON", "GLAT"))
        columns += [np.abs(latitude), latitude, np.cos(np.deg2rad(longitude))]
    values = np.column_stack([hardness, *columns])
    return np.where(np.isfinite(values), values, -99)


def calibration_error(probability, is_so):
    """Mean distance of the stated from the true share over bins of the probability."""
    bins = np.minimum((probability * BINS).astype(int), BINS - 1)
    total = [np.bincount(bins, weights=values, minlength=BINS) for values in (probability, is_so)]
    return np.abs(total[0] - total[1]).sum() / len(bins)


def class_figures(truth, probabilities):
    """Figures of three classes."""
    answer = probabilities.argmax(axis=1)
    table = np.zeros((3, 3))
    np.add.at(table, (truth, answer), 1)
    right, given = np.diag(table), table.sum(axis=0)
    f1 = 2 * right / (table.sum(axis=1) + given)
    precision, recall, _ = precision_recall_curve(truth == PSR, probabilities[:, PSR])
    two = truth <= PSR
    pulsar = probabilities[two, PSR] / probabilities[two][:, [AGN, PSR]].sum(axis=1)
    errors = [calibration_error(probabilities[:, i], truth == i) for i in range(3)]
    return {
        "macro-F1": f1.mean(),
        **{f"F1 {name}": value for name, value in zip(CLASSES, f1, strict=True)},
        "PSR precision": right[PSR] / max(given[PSR], 1),
        "PSR recall": right[PSR] / table.sum(axis=1)[PSR],
        "PSR recall at precision .85": recall[precision >= 0.85].max(),
        "AGN/PSR area": roc_auc_score(truth[two] == PSR, pulsar),
        "calibration error": max(errors),
    }


def quasar_figures(truth, probability):
    """Figures of quasars among AGN."""
    precision, recall, _ = precision_recall_curve(truth, probability)
    return {
        "area": roc_auc_score(truth, probability),
        "precision at recall .6": precision[recall >= 0.6].max(),
        "calibration error": calibration_error(probability, truth),
    }


def with_intervals(figures, truth, values):
    """Figures with the central 68 % of bootstrap samples of the sources, each class in its own number."""
    rng = np.random.default_rng(0)
    parts = [np.flatnonzero(truth == kind) for kind in np.unique(truth)]
    drawn = []
    for _ in range(SAMPLES):
        rows = np.concatenate([rng.choice(part, len(part)) for part in parts])
        drawn.append(list(figures(truth[rows], values[rows]).values()))
    low, high = np.nanquantile(drawn, [0.16, 0.84], axis=0)
    found = figures(truth, values)
    return {
        name: [float(v), *map(float, limits)]
        for (name, v), *limits in zip(found.items(), low, high, strict=True)
    }


def matrix(result):
    """Probabilities of the classes."""
    return np.column_stack([result[name] for name in ("prob_agn", "prob_psr", "prob_pwn_snr")])


def prediction(folder, name):
    """Sources of a release that the list associates."""
    old = read(folder, name)
    classes, fsrq = later_classes(old, read(folder, LIST))
    own, kinds = class_indices(old), fsrq_indices(old)
    new, bcu = classes >= 0, fsrq >= 0
    features, trained = forest_features(old), own >= 0
    found = {
        "numbers": {"classes": np.bincount(classes[new]).tolist(), "bcu": np.bincount(fsrq[bcu]).tolist()}
    }
    for label, weight in (("forest", None), ("forest, classes balanced", "balanced")):
        forest = RandomForestClassifier(**TREES, class_weight=weight)
        forest.fit(features[trained], own[trained])
        found[label] = with_intervals(class_figures, classes[new], forest.predict_proba(features[new]))
    forest = RandomForestClassifier(**TREES).fit(features[kinds >= 0], kinds[kinds >= 0])
    probability = forest.predict_proba(features[bcu])[:, 1]
    quasars = {"forest": with_intervals(quasar_figures, fsrq[bcu], probability)}
    for coordinates in (False, True):
        classifier = TableClassifier(old, coordinates)
        mix = dict(zip(CLASSES, classifier.shares, strict=True))
        later = dict(zip(CLASSES, np.bincount(classes[new]).tolist(), strict=True))
        priors = {"": None}
        if not coordinates:
            priors |= {", mix of training": mix, ", estimated mix": "estimated", ", true mix told": later}
        for label, prior in priors.items():
            result = classifier.classify(classifier.train, prior)
            label = "classify_table" + ", coordinates" * coordinates + label
            found[label] = with_intervals(class_figures, classes[new], matrix(result)[new])
            quasars[label] = with_intervals(quasar_figures, fsrq[bcu], np.asarray(result["prob_fsrq"])[bcu])
            flagged = np.asarray(result["outside"])[new]
            right = matrix(result)[new].argmax(axis=1) == classes[new]
            found[label]["outside"] = [int(flagged.sum()), int(right[flagged].sum())]
    return found | {"quasars": quasars}


def five_fold(folder):
    """Cross-validation of the first release."""
    table = read(folder, FIRST)
    own = class_indices(table)
    trained, found = own >= 0, {}
    for coordinates in (False, True):
        label = ", coordinates" * coordinates
        splits = StratifiedKFold(5, shuffle=True, random_state=0)
        features = forest_features(table, coordinates)[trained]
        forest = RandomForestClassifier(**TREES)
        values = cross_val_predict(forest, features, own[trained], cv=splits, method="predict_proba")
        found["forest" + label] = with_intervals(class_figures, own[trained], values)
        classifier = TableClassifier(table, coordinates)
        values = matrix(classifier.classify(table))[trained]
        found["classify_table" + label] = with_intervals(class_figures, own[trained], values)
    return found


def speed(folder):
    """Seconds of processor time of a training with a classification, and of another classification."""
    table = read(folder, "gll_psc_v35.fit")
    started = time.process_time()
    classifier = TableClassifier(table)
    classifier.classify(table)
    trained = time.process_time()
    classifier.classify(table.copy())
    return {"rows": len(table), "train": trained - started, "classify": time.process_time() - trained}


def markdown(results):
    """Tables of all figures."""
    text = ""
    for name, part in results.items():
        if name == "speed":
            text += "\n{rows} rows: training {train:.1f} s, classifying {classify:.1f} s\n".format(**part)
            continue
        for title, rows in ((name, part), (f"{name}, bcu", part.get("quasars", {}))):
            rows = {key: row for key, row in rows.items() if key not in ("numbers", "quasars")}
            if rows:
                header = [key for key in next(iter(rows.values())) if key != "outside"]
                cells = [
                    [label, *("{:.3f} ({:.3f}-{:.3f})".format(*row[key]) for key in header)]
                    for label, row in rows.items()
                ]
                text += f"\n{title} {part.get('numbers', '')}\n\n" + rows_to_markdown(["", *header], cells)
    return text


def parser():
    """Arguments."""
    own = arguments(__doc__, output="tables")
    own.add_argument(
        "catalogs", help="folder of gll_psc_v20, v27, v35 and v41.fit, as in fermipy/data/catalogs"
    )
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    parts = Parts(args.output, catalogs=args.catalogs)
    results = {
        "4FGL": parts("4FGL", lambda: prediction(args.catalogs, FIRST)),
        "DR2": parts("DR2", lambda: prediction(args.catalogs, SECOND)),
        "five-fold": parts("five-fold", lambda: five_fold(args.catalogs)),
        "speed": parts("speed", lambda: speed(args.catalogs)),
    }
    write(args.output, results, markdown(results))


if __name__ == "__main__":
    main()
