# Licensed under a 3-clause BSD style license - see LICENSE
"""A smooth classifier of features: logistic regression in the space of a Gaussian kernel.

Trees stop at the values they were trained on; sources without a class are fainter than those with one, and
there a smooth boundary goes on.
"""

import numpy as np
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression

__all__ = ["KernelClassifier", "Scale"]

#: Largest scaled feature of a classifier: beyond, a value tells no more.
SCALED_MAX = 4
#: Sources that span the kernel's space; twice as many change nothing.
LANDMARKS = 400


class Scale:
    """Features as they are handed on: the median of the training at 0, its central 68 % from about -1 to 1.

    Parameters
    ----------
    values : `~numpy.ndarray`
        Features of the training, shape ``(n, n_features)``. What is not known becomes the median.
    largest : float
        Largest scaled feature; what is larger becomes that.
    """

    def __init__(self, values, largest=SCALED_MAX):
        self.largest = largest
        # A feature that no row of the training knows tells nothing
        self.used = np.isfinite(values).any(axis=0)
        low, self.median, high = np.nanquantile(values[:, self.used], [0.16, 0.5, 0.84], axis=0)
        width = (high - low) / 2
        # Yes or no, most often no
        self.width = np.where(width > 0, np.maximum(width, 1e-3), 1)

    def __call__(self, values):
        """Scaled features.

        Parameters
        ----------
        values : `~numpy.ndarray`
            Features, shape ``(n, n_features)``.
        """
        values = (values[:, self.used] - self.median) / self.width
        return np.clip(np.where(np.isfinite(values), values, 0), -self.largest, self.largest)


class KernelClassifier:
    """Probabilities of classes that are equally frequent, of scaled features.

    Parameters
    ----------
    width : float
        Inverse squared width of the kernel, for all features together.
    strength : float
        Inverse strength of the regularisation.
    """

    def __init__(self, width, strength):
        self.width, self.strength = width, strength

    def fit(self, values, classes):
        """Train.

        Parameters
        ----------
        values : `~numpy.ndarray`
            Scaled features, shape ``(n, n_features)``.
        classes : `~numpy.ndarray`
            Index of the class of each row; each index from 0 on appears.

        Returns
        -------
        self : `KernelClassifier`
            This classifier.
        """
        weight = 1 / np.bincount(classes)[classes]
        weight *= len(classes) / weight.sum()
        # Landmarks of each class in the same number: most sources are AGN
        random = np.random.default_rng(0)
        number = min(LANDMARKS, len(values))
        chosen = random.choice(len(values), number, replace=False, p=weight / weight.sum())
        self.kernel = Nystroem(gamma=self.width / values.shape[1], n_components=number, random_state=0)
        self.kernel.fit(values[chosen])
        self.regression = LogisticRegression(C=self.strength, max_iter=1000)
        self.regression.fit(self.kernel.transform(values), classes, sample_weight=weight)
        return self

    def probabilities(self, values):
        """Probabilities of the classes.

        Parameters
        ----------
        values : `~numpy.ndarray`
            Scaled features, shape ``(n, n_features)``.

        Returns
        -------
        probabilities : `~numpy.ndarray`
            Shape ``(n, n_classes)``.
        """
        return self.regression.predict_proba(self.kernel.transform(values))
