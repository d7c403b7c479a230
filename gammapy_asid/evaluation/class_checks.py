# Licensed under a 3-clause BSD style license - see LICENSE
"""Checks of what is judged as classes: names, probabilities, weights."""

import numpy as np

__all__ = ["checked_classes", "checked_weights", "class_indices", "weights_of_prior"]


def checked_classes(true, probability, names=None):
    """True classes as indices, probabilities, names, and which sources have probabilities.

    Parameters
    ----------
    true, probability, names
        See `~gammapy_asid.evaluation.class_evaluation.evaluate_classes`.

    Returns
    -------
    true : `~numpy.ndarray` of int
        Indices, shape ``(n,)``.
    probability : `~numpy.ndarray`
        Shape ``(n, n_classes)``; zeros for sources without.
    names : list of str
        Classes.
    judged : `~numpy.ndarray` of bool
        Which sources have probabilities.

    Raises
    ------
    ValueError
        If shapes do not fit, a class is not known, or the probabilities are none.
    """
    probability = np.ma.filled(np.ma.asarray(probability, dtype=float), np.nan)
    if probability.ndim != 2 or probability.shape[1] < 2:
        raise ValueError(
            "The probabilities must have the shape (sources, classes) with two classes or more, "
            f"got {probability.shape}"
        )
    n_sources, n_classes = probability.shape
    names = [str(i) for i in range(n_classes)] if names is None else [str(name) for name in names]
    if len(names) != n_classes or len(set(names)) != n_classes:
        raise ValueError(f"{n_classes} columns of probabilities need as many different names, got {names}")
    true = class_indices(true, names, "true")
    if len(true) != n_sources:
        raise ValueError(f"{len(true)} true classes for {n_sources} rows of probabilities")
    judged = np.isfinite(probability).all(axis=1)
    if not judged.any():
        raise ValueError("No source has probabilities of all classes: there is nothing to judge")
    own = probability[judged]
    # Rounded probabilities of a file add up to one within a percent
    if own.min() < 0 or own.max() > 1 or np.abs(own.sum(axis=1) - 1).max() > 0.01:
        raise ValueError(
            "The probabilities of a source must lie between 0 and 1 and add up to 1 over the classes: "
            "give probabilities, not logits, and a column for each class"
        )
    return true, np.where(judged[:, None], probability, 0), names, judged


def class_indices(classes, names, what):
    """Indices of classes that are given as names or as indices.

    Parameters
    ----------
    classes : array-like of str, bytes or int
        Classes, shape ``(n,)``.
    names : list of str
        Names in their order.
    what : str
        What is read, for the error.

    Returns
    -------
    indices : `~numpy.ndarray` of int
        Shape ``(n,)``.

    Raises
    ------
    ValueError
        If a class is not among the names.
    """
    classes = np.ma.asarray(classes)
    if classes.ndim != 1:
        raise ValueError(f"The {what} classes must be one of each source, got the shape {classes.shape}")
    if np.ma.getmaskarray(classes).any():
        raise ValueError(f"Some {what} classes are masked: leave these sources out")
    classes = np.asarray(classes)
    if classes.dtype.kind in "iu":
        unknown = np.unique(classes[(classes < 0) | (classes >= len(names))])
        indices = classes
    else:
        texts = np.char.strip(
            np.array([v.decode() if isinstance(v, bytes) else str(v) for v in classes], "U")
        )
        order = np.argsort(names)
        place = np.minimum(np.searchsorted(names, texts, sorter=order), len(names) - 1)
        indices = order[place]
        unknown = np.unique(texts[np.array(names)[indices] != texts])
    if len(unknown):
        listed = ", ".join(repr(v.item()) for v in unknown[:5])
        raise ValueError(f"Unknown {what} classes: {listed}. The classes are {', '.join(names)}")
    return indices.astype(int)


def checked_weights(weights, prior, true, judged, n_classes):
    """Weights of the sources, ones without any.

    Parameters
    ----------
    weights, prior
        See `~gammapy_asid.evaluation.class_evaluation.evaluate_classes`.
    true : `~numpy.ndarray` of int
        True classes, shape ``(n,)``.
    judged : `~numpy.ndarray` of bool
        Which sources have probabilities.
    n_classes : int
        Number of classes.

    Returns
    -------
    weights : `~numpy.ndarray`
        Shape ``(n,)``.

    Raises
    ------
    ValueError
        If weights or prior are negative, not finite, of another shape, or of classes that are not there.
    """
    weights = np.ones(len(true)) if weights is None else np.asarray(weights, dtype=float)
    if weights.shape != true.shape or not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("The weights must be one finite number of each source, none negative")
    if weights[judged].sum() == 0:
        raise ValueError("All weights are zero")
    if prior is not None:
        share = np.asarray(prior, dtype=float)
        if (
            share.shape != (n_classes,)
            or not np.isfinite(share).all()
            or (share < 0).any()
            or not share.sum()
        ):
            raise ValueError(f"The prior must be {n_classes} shares, none negative, got {prior}")
        there = np.bincount(true[judged], weights[judged], minlength=n_classes) > 0
        if (share[~there] > 0).any():
            raise ValueError(
                "The prior has classes of which no source was judged: their figures are not known"
            )
    return weights


def weights_of_prior(weights, true, prior):
    """Weights with which each class has its share of a population.

    Parameters
    ----------
    weights : `~numpy.ndarray`
        Weights of the sources, shape ``(n_weightings, n)``.
    true : `~numpy.ndarray` of int
        True classes, shape ``(n,)``.
    prior : array-like
        Share of each class, shape ``(n_classes,)``.

    Returns
    -------
    weights : `~numpy.ndarray`
        Shape ``(n_weightings, n)``, of mean 1.
    """
    weights, share = weights.copy(), np.asarray(prior, dtype=float)
    for i, own in enumerate(share / share.sum()):
        members = true == i
        if members.any():
            weights[:, members] *= own / weights[:, members].sum(axis=1, keepdims=True) * len(true)
    return weights
