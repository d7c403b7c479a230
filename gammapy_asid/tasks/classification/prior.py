# Licensed under a 3-clause BSD style license - see LICENSE
"""Shares of the classes of sources in the sky, and the probabilities that follow with them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real

import numpy as np
import torch
from scipy.special import expit, log_softmax, logit

from ...catalog.columns import CLASSES

__all__ = ["SkyPrior", "SkyShares", "class_probabilities"]

#: Galactic latitudes in deg, without sign, at which shares are given.
LATITUDES = (0.0, 0.5, 1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0)
#: Shares of `CLASSES` among the associated sources of 4FGL-DR4 there, smoothed: 4014, 320 and 198 sources;
#: see ``benchmarks/classification/prior.py``.
CLASS_SHARES = (
    (0.1124, 0.3003, 0.5872),
    (0.1483, 0.3452, 0.5065),
    (0.2421, 0.3832, 0.3747),
    (0.4680, 0.3076, 0.2244),
    (0.6011, 0.2261, 0.1728),
    (0.7346, 0.1478, 0.1175),
    (0.8153, 0.1188, 0.0659),
    (0.8773, 0.0998, 0.0229),
    (0.9186, 0.0746, 0.0068),
    (0.9378, 0.0582, 0.0040),
    (0.9608, 0.0368, 0.0023),
    (0.9748, 0.0242, 0.0010),
    (0.9798, 0.0197, 0.0005),
    (0.9844, 0.0148, 0.0008),
)
#: Share of FSRQ among its 2310 FSRQ and BL Lacs, which does not change with latitude.
FSRQ_SHARE = 0.355

#: What else a prior may tell: the share of FSRQ among active galaxies, and that of real sources.
OTHERS = ("FSRQ", "real")


@dataclass(frozen=True)
class SkyShares:
    """Shares at ``n`` places of the sky.

    Parameters
    ----------
    classes : `~numpy.ndarray`
        Of `~gammapy_asid.catalog.CLASSES` among real sources, shape ``(n, 3)``; they add up to one.
    fsrq : `~numpy.ndarray`
        Of FSRQ among active galaxies, shape ``(n,)``.
    real : `~numpy.ndarray`, optional
        Of real sources among the candidates, shape ``(n,)``; None where it is that of the training.
    """

    classes: np.ndarray
    fsrq: np.ndarray
    real: np.ndarray | None = None


class SkyPrior:
    """Shares of the classes of sources in the sky.

    Parameters
    ----------
    prior : "equal", dict or callable, optional
        By default the shares among the associated sources of 4FGL-DR4 at the Galactic latitude. Sources
        without an association may be of other classes: near the plane more than half of 4FGL's have none, for
        active galaxies are hard to associate behind the Milky Way, and pulsars must be seen to pulse.

        A dict has the shares or numbers of ``AGN``, ``PSR`` and ``PWN-SNR`` (they are divided by their sum),
        and as far as known the share ``FSRQ`` of these among active galaxies, and the share ``real`` of real
        sources among the candidates; without them the former is that of 4FGL, the latter that of the
        training. A callable gets a `~astropy.coordinates.SkyCoord` of shape ``(n,)`` and returns such a dict,
        of numbers or of arrays of shape ``(n,)``. "equal" are equal shares of the three classes, and of FSRQ
        and BL Lac.

    Raises
    ------
    TypeError, ValueError
        If it is something else, shares are missing, negative or not finite, or add up to zero.
    """

    def __init__(self, prior: str | Mapping | Callable | None = None) -> None:
        if prior == "equal":
            self.shares, self.text = dict.fromkeys(CLASSES, 1.0) | {"FSRQ": 0.5}, "equal"
        elif isinstance(prior, Mapping):
            self.shares = dict(prior)
            self.text = {str(name): value for name, value in prior.items()}
        elif callable(prior):
            self.shares, self.text = prior, getattr(prior, "__name__", type(prior).__name__)
        elif prior is None:
            self.shares, self.text = None, "4FGL-DR4"
        else:
            kind = ValueError if isinstance(prior, str) else TypeError
            raise kind(
                f"The prior is None (4FGL), 'equal', a dict of shares such as {{'AGN': 0.8, 'PSR': 0.15, "
                f"'PWN-SNR': 0.05}}, or a function of SkyCoord that returns one, got {prior!r:.60}"
            )
        if isinstance(self.shares, dict):
            for name, value in self.shares.items():
                if isinstance(value, bool) or not isinstance(value, Real):
                    raise TypeError(f"The prior of {name!r} must be a number, got {value!r:.60}")
            _checked(self.shares, 1)

    def __repr__(self) -> str:
        return f"<SkyPrior {self.text}>"

    def __call__(self, positions) -> SkyShares:
        """Shares at places of the sky.

        Parameters
        ----------
        positions : `~astropy.coordinates.SkyCoord`
            Positions, shape ``(n,)``.

        Returns
        -------
        shares : `SkyShares`
            Shares.

        Raises
        ------
        TypeError, ValueError
            If a callable prior returns no shares.
        """
        if self.shares is None:
            # Even in the hyperbolic arc sine of the latitude, in which they were smoothed
            place = np.arcsinh(np.abs(positions.galactic.b.deg))
            shares = [np.interp(place, np.arcsinh(LATITUDES), own) for own in zip(*CLASS_SHARES, strict=True)]
            return _checked(dict(zip(CLASSES, shares, strict=True)), len(positions))
        return _checked(self.shares(positions) if callable(self.shares) else self.shares, len(positions))


def _checked(shares, n):
    """Shares of a dict at `n` places."""
    if not isinstance(shares, Mapping):
        raise TypeError(
            f"The prior must return a dict of shares, got {type(shares).__name__}: {shares!r:.60}"
        )
    missing, strange = (
        ", ".join(map(str, names))
        for names in (
            [name for name in CLASSES if name not in shares],
            [name for name in shares if name not in (*CLASSES, *OTHERS)],
        )
    )
    if missing or strange:
        wrong = f"has no share of {missing}" if missing else f"has a share of {strange}"
        raise ValueError(
            f"The prior {wrong}: it needs {', '.join(CLASSES)} and may have {' and '.join(OTHERS)}"
        )
    values = {}
    for name, value in shares.items():
        try:
            values[name] = np.broadcast_to(np.asarray(value, dtype=float), n)
        except (TypeError, ValueError):
            raise ValueError(
                f"The prior of {name!r} must be a number, or an array with one for each of {n} positions, "
                f"got {value!r:.60}"
            ) from None
        if not np.all(np.isfinite(values[name]) & (values[name] >= 0)):
            raise ValueError(f"The prior of {name!r} must be finite and not negative, got {value!r:.60}")
    for name in OTHERS:
        if name in values and not np.all((values[name] > 0) & (values[name] < 1)):
            raise ValueError(f"The prior of {name!r} is a share between 0 and 1, got {shares[name]!r:.60}")
    classes = np.stack([values[name] for name in CLASSES], axis=1)
    total = classes.sum(axis=1, keepdims=True)
    if not np.all(total > 0):
        raise ValueError(f"The prior of {', '.join(CLASSES)} is zero: at least one must be possible")
    return SkyShares(classes / total, values.get("FSRQ", np.full(n, FSRQ_SHARE)), values.get("real"))


def class_probabilities(logits, shares, real_share=0.5):
    """Probabilities of the classes of sources.

    Parameters
    ----------
    logits : object
        Predictions of `~gammapy_asid.tasks.classification.model.ClassificationModel` for ``n`` sources:
        ``classes`` of shape ``(n, 3)`` at equal shares of the classes, ``fsrq`` at equal shares of FSRQ and
        BL Lac, ``real`` at the share of real candidates of the training.
    shares : `SkyShares`
        Shares at their places.
    real_share : float
        Share of real candidates in the training, for shares that tell another one.

    Returns
    -------
    probabilities : `~numpy.ndarray`
        Of each of `~gammapy_asid.catalog.CLASSES` and of an FSRQ among active galaxies, if the source is
        real; to be real. Shape ``(n, 5)``; a class without a share has a probability of zero.
    """
    real, classes, fsrq = (
        torch.as_tensor(getattr(logits, name)).cpu().numpy().astype(float)
        for name in ("real", "classes", "fsrq")
    )
    with np.errstate(divide="ignore"):
        classes = np.exp(log_softmax(classes + np.log(shares.classes), axis=1))
    if shares.real is not None:
        real = real + logit(shares.real) - logit(real_share)
    return np.column_stack([classes, expit(fsrq + logit(shares.fsrq)), expit(real)])
