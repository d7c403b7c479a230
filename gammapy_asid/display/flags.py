# Licensed under a 3-clause BSD style license - see LICENSE
"""Flags that say in words what they mean."""

from enum import IntFlag

__all__ = ["DescribedFlag"]


class DescribedFlag(IntFlag):
    """Base of bit masks whose bits say what they mean.

    A member is its bit, its meaning, and whether it is severe: numbers of the row are missing or can't be
    trusted.

    Attributes
    ----------
    meaning : str
        What the bit tells.
    severe : bool
        Whether numbers of the row are missing or can't be trusted.
    """

    def __new__(cls, value, meaning="", severe=False):
        member = int.__new__(cls, value)
        member._value_, member.meaning, member.severe = value, meaning, severe
        # What help() and the documentation tell of a member
        member.__doc__ = meaning
        return member

    @property
    def word(self):
        """Name of one bit as a word, such as ``near edge``."""
        return self.name.lower().replace("_", " ")

    @classmethod
    def bits(cls, value):
        """The bits that are set.

        Parameters
        ----------
        value : int
            Bit mask.

        Returns
        -------
        bits : list of `DescribedFlag`
            Its known bits.
        """
        return [flag for flag in cls if int(value) & flag]

    @classmethod
    def words(cls, value):
        """The bits that are set as words.

        Parameters
        ----------
        value : int
            Bit mask.

        Returns
        -------
        words : list of str
            One of each bit; bits without a name by their number.
        """
        unknown = int(value) & ~sum(cls)
        numbers = [f"bit {n}" for n in range(unknown.bit_length()) if unknown >> n & 1]
        return [flag.word for flag in cls.bits(value)] + numbers

    @classmethod
    def text(cls, value):
        """The bits that are set as one text.

        Parameters
        ----------
        value : int
            Bit mask.

        Returns
        -------
        text : str
            Words with commas, empty without a bit.
        """
        return ", ".join(cls.words(value))
