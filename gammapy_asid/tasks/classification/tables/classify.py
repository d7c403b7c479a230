# Licensed under a 3-clause BSD style license - see LICENSE
"""Classification of the sources of a catalogue that is like 4FGL."""

import logging

import numpy as np
from astropy.table import Table

from ....utils.table_columns import column_name, column_text, table_positions
from .columns import read_catalogue
from .crossfit import FOLDS, CrossFitted, fold_of_rows
from .faint import copied_features
from .features import feature_table, known_share
from .groups import AGN, CLASS_COLUMNS, CLASSES, class_indices, fsrq_indices, shares_of
from .prior import checked_prior, estimated_prior, with_prior

__all__ = ["TableClassifier", "classify_table"]

log = logging.getLogger(__name__)

#: Distance in deg up to which a source of another release can be one of the training: positions of faint
#: sources move by so much from release to release.
SAME = 0.15
#: Distance in deg up to which it is the same row, in a copy of the training: the last digit of a file.
EXACT = 1e-3
#: Share of the needed columns that must be known for a source to be classified.
KNOWN_MIN = 0.5


def classify_table(table, train=None, prior=None, coordinates=False):
    """Classes of the sources of a catalogue that is like 4FGL, from its own columns.

    A kernel learns brightness, spectrum, curvature, hardness from band to band, variability and errors of the
    sources of `train` that have a class, and trees learn the same of fainter copies of them, within a minute.
    Both judge new sources. A source that is itself among those of the training is judged only by a kernel
    that was trained without it, in `table` and in another release alike: its probabilities are out of fold.

    Parameters
    ----------
    table : `~gammapy.catalog.SourceCatalog4FGL`, `~astropy.table.Table` or path
        Catalogue with columns as in 4FGL (first release to 16 years), in any units of their kind, or a file.
    train : `~gammapy.catalog.SourceCatalog4FGL`, `~astropy.table.Table` or path, optional
        Catalogue whose sources with a class are trained on; by default `table`. Columns that only one of the
        two has are left out.
    prior : dict or "estimated", optional
        Shares of the classes among the sources of `table`, ``{"AGN": ..., "PSR": ..., "PWN-SNR": ...}``, or
        "estimated" for shares with which the sources that did not train are most likely (of quasars among the
        AGN, too). By default the mix of the training for its own sources; for others, whose mix is not
        known, classes are equally frequent.
    coordinates : bool
        Whether the Galactic position counts. It helps to tell classes of sources that have one already, and
        hurts for new ones, which are associated elsewhere than the old ones.

    Returns
    -------
    classes : `~astropy.table.Table`
        One row a source, in order: ``Source_Name``, ``source_class`` ("AGN", "PSR" or "PWN-SNR"),
        ``prob_agn``, ``prob_psr``, ``prob_pwn_snr``, which add up to one, ``prob_fsrq`` (a flat-spectrum
        radio quasar rather than a BL Lac object, if it is an AGN) and ``outside``: beyond what the training
        covered, or with needed columns that are not known. With less than half of these a row has no class,
        and NaN.

    Raises
    ------
    TypeError, ValueError
        If a catalogue is something else, lacks columns, has units of another kind, or too few classes.

    Examples
    --------
    >>> from gammapy_asid import classify_table
    >>> classes = classify_table("gll_psc_v35.fit")  # doctest: +SKIP
    """
    table = read_catalogue(table)
    classifier = TableClassifier(table if train is None else train, coordinates)
    return classifier.classify(table, prior)


class TableClassifier:
    """Classifier of catalogues like 4FGL that is trained once and used for many.

    Parameters
    ----------
    train : `~gammapy.catalog.SourceCatalog4FGL`, `~astropy.table.Table` or path
        Catalogue whose sources with a class are trained on.
    coordinates : bool
        Whether the Galactic position counts.

    Raises
    ------
    TypeError, ValueError
        If the catalogue is something else, lacks columns, or has less than 5 sources of a class.
    """

    def __init__(self, train, coordinates=False):
        self.train = read_catalogue(train, "The training table")
        self.coordinates = bool(coordinates)
        if column_name(self.train, CLASS_COLUMNS) is None:
            raise ValueError(f"The training table has no column {' or '.join(CLASS_COLUMNS)} of classes")
        known = known_share(self.train) >= KNOWN_MIN
        self.classes = np.where(known, class_indices(self.train), -1)
        self.fsrq = np.where(known, fsrq_indices(self.train), -1)
        numbers = np.bincount(self.classes[self.classes >= 0], minlength=len(CLASSES))
        if numbers.min() < FOLDS:
            found = ", ".join(f"{n} {name}" for name, n in zip(CLASSES, numbers, strict=True))
            raise ValueError(
                f"The training table must have {FOLDS} sources of each class, got {found}: give train, a "
                "catalogue with classes such as 4FGL"
            )
        self.shares = shares_of(self.classes, len(CLASSES))
        self.features = feature_table(self.train, self.coordinates)
        self.folds = fold_of_rows(self.classes, self.fsrq)
        self.copies, self.copied = copied_features(self.train, self.features, self.classes)
        self._fitted = {}

    def classify(self, table, prior=None):
        """Classes of the sources of a catalogue.

        Parameters
        ----------
        table : `~gammapy.catalog.SourceCatalog4FGL`, `~astropy.table.Table` or path
            Catalogue.
        prior : dict or "estimated", optional
            Shares of the classes, see `classify_table`.

        Returns
        -------
        classes : `~astropy.table.Table`
            See `classify_table`.
        """
        table = read_catalogue(table)
        estimated = isinstance(prior, str) and prior == "estimated"
        stated = None if prior is None or estimated else checked_prior(prior)
        features = self.features if table is self.train else feature_table(table, self.coordinates)
        fitted = self._fit([name for name in self.features if name in features])
        values = np.column_stack([features[name] for name in fitted.names])
        rows, known = self._own_rows(table), known_share(table)
        classes, fsrq = fitted.probabilities(values, np.where(rows < 0, -1, self.folds[rows]))
        classes[known < KNOWN_MIN], fsrq[known < KNOWN_MIN] = np.nan, np.nan
        new = (rows < 0)[:, None]
        shares = estimated_prior(classes[rows < 0]) if estimated else 1 / len(CLASSES)
        # Those of the training are known to be its mix
        shares = np.where(new, shares, self.shares) if stated is None else stated
        classes = with_prior(classes, shares)
        # AGN of unknown kind can be classed ones
        new = new | (self.fsrq[rows] < 0)[:, None]
        mix = shares_of(self.fsrq, 2)
        shares = estimated_prior(fsrq[new[:, 0] & (classes.argmax(axis=1) == AGN)]) if estimated else mix
        fsrq = with_prior(fsrq, np.where(new, shares, mix))[:, 1]
        return _result(table, classes, fsrq, fitted.outside(values) | (known < 1))

    def _own_rows(self, table):
        """Row of the training that each row of a table is, -1 for those that trained nothing."""
        if table is self.train:
            return np.where(self.folds < 0, -1, np.arange(len(table)))
        try:
            own = table_positions(self.train, "The training table").icrs
            positions = table_positions(table, "The table").icrs
        except ValueError as error:
            raise ValueError(
                f"{error}. Positions tell which sources are among those of the training"
            ) from None
        placed = np.flatnonzero(_known(positions))
        rows = np.full(len(table), -1)
        rows[placed], distance = _nearest(positions[placed], own, self.folds >= 0)
        # A neighbour without a class that is itself a row of the training is not its classed neighbour
        _, other = _nearest(positions[placed], own, self.folds < 0)
        rows[placed[(distance >= SAME) | ((other < EXACT) & (other < distance))]] = -1
        return rows

    def _fit(self, names):
        """Classifiers of the features that training and table share."""
        key = tuple(names)
        if key not in self._fitted:
            left = [name for name in self.features if name not in names]
            if left:
                log.info(f"Not used, since the table lacks it: {', '.join(left)}")
            values, copies = (
                np.column_stack([part[n] for n in names]) for part in (self.features, self.copies)
            )
            self._fitted[key] = CrossFitted(
                names, values, copies, self.copied, self.classes, self.fsrq, self.folds
            )
        return self._fitted[key]


def _known(positions):
    return np.isfinite(positions.ra.deg) & np.isfinite(positions.dec.deg)


def _nearest(positions, own, chosen):
    """Nearest of the chosen rows of the training, -1 if there is none, and its distance in deg."""
    rows = np.flatnonzero(chosen & _known(own))
    if len(rows) == 0 or len(positions) == 0:
        return np.full(len(positions), -1), np.full(len(positions), np.inf)
    nearest, distance, _ = positions.match_to_catalog_sky(own[rows])
    return rows[nearest], distance.deg


def _result(table, probabilities, fsrq, outside):
    known = np.isfinite(probabilities).all(axis=1)
    best = np.where(known[:, None], probabilities, 0).argmax(axis=1)
    columns = {
        "Source_Name": column_text(table[column_name(table, ("Source_Name",))]),
        "source_class": np.where(known, np.array(CLASSES)[best], ""),
    }
    names = ("prob_agn", "prob_psr", "prob_pwn_snr")
    columns |= dict(zip(names, probabilities.T, strict=True))
    return Table(columns | {"prob_fsrq": fsrq, "outside": outside})
