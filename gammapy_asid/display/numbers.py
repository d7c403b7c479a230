# Licensed under a 3-clause BSD style license - see LICENSE
"""Numbers as people read them: rounded to what their errors allow."""

import numpy as np

__all__ = ["MISSING", "fixed", "plain_tick", "rounded"]

#: What stands in the place of a number that is not known.
MISSING = "–"

#: Numbers of these powers of ten and between are written without a power.
PLAIN = -3, 4


def fixed(value, decimals):
    """Number with a fixed number of decimals.

    Parameters
    ----------
    value : float
        Number.
    decimals : int
        Decimals.

    Returns
    -------
    text : str
        Text, `MISSING` for a number that is not finite.
    """
    return f"{value:.{decimals}f}" if np.isfinite(value) else MISSING


def rounded(value, error=None, digits=3):
    """Number with three significant digits, or with its error as far as the error tells.

    Parameters
    ----------
    value : float
        Number.
    error : float, optional
        Its error, written with two significant digits.
    digits : int
        Significant digits of a number without an error.

    Returns
    -------
    text : str
        Text such as ``1.23e-10``, ``(1.23 ± 0.12)e-10`` or ``2.31 ± 0.14``; `MISSING` for a number that is
        not finite.

    Examples
    --------
    >>> rounded(1.23456e-10, 1.234e-11)
    '(1.23 ± 0.12)e-10'
    >>> rounded(2.3141, 0.138)
    '2.31 ± 0.14'
    """
    if not np.isfinite(value):
        return MISSING
    if error is None or not (np.isfinite(error) and error > 0):
        return _without_error(float(value), digits)
    value, error = float(value), float(error)
    # As they are after rounding: an error of 0.0998 is 0.10
    power = max(_power(number, n) for number, n in ((value, digits), (error, 2)) if number)
    last = _power(error, 2) - 1
    if PLAIN[0] <= power <= PLAIN[1]:
        decimals = max(-last, 0)
        return f"{round(value, -last):.{decimals}f} ± {round(error, -last):.{decimals}f}"
    decimals = max(power - last, 0)
    return f"({value / 10.0**power:.{decimals}f} ± {error / 10.0**power:.{decimals}f})e{power:+03d}"


def plain_tick(value, _=None):
    """Tick of an axis as a plain number, a formatter for `~matplotlib.ticker.FuncFormatter`.

    Parameters
    ----------
    value : float
        Place of the tick.

    Returns
    -------
    text : str
        Such as ``0.01``, ``0.5`` and ``1000``.
    """
    return f"{value:.10f}".rstrip("0").rstrip(".") if abs(value) < 1e6 else f"{value:g}"


def _without_error(value, digits):
    if value == 0:
        return "0"
    power = _power(value, digits)
    if not PLAIN[0] <= power <= PLAIN[1]:
        return f"{value:.{digits - 1}e}"
    decimals = digits - 1 - power
    return f"{round(value, decimals):.{max(decimals, 0)}f}"


def _power(value, digits):
    """Power of ten of a number after rounding to significant digits."""
    return int(f"{value:.{digits - 1}e}".split("e")[1])
