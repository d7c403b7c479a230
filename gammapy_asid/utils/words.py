# Licensed under a 3-clause BSD style license - see LICENSE
"""Words of messages."""

__all__ = ["counted"]


def counted(number, what, several=None):
    """Number of things in words, such as "1 candidate".

    Parameters
    ----------
    number : int
        How many there are.
    what : str
        One of them.
    several : str, optional
        More of them, by default with an s.

    Returns
    -------
    text : str
        Text.

    Examples
    --------
    >>> counted(1, "galaxy", "galaxies"), counted(2, "galaxy", "galaxies"), counted(0, "star")
    ('1 galaxy', '2 galaxies', '0 stars')
    """
    return f"{number} {what if number == 1 else several or what + 's'}"
