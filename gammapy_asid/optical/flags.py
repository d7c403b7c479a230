# Licensed under a 3-clause BSD style license - see LICENSE
"""Bits of the flags of sources in images."""

from enum import IntFlag

from ..catalog.columns import CandidateFlag

__all__ = ["CANDIDATE_FLAGS", "OpticalFlag"]


class OpticalFlag(IntFlag):
    """Bits of the column ``flags`` of `~gammapy_asid.OpticalSources`."""

    #: Nearer to the edge of the valid data than the width of the point spread function.
    NEAR_EDGE = 1
    #: A brighter source lies within the width of the point spread function.
    NEAR_BRIGHTER = 2
    #: The position is outside the image: nothing is measured.
    OUTSIDE = 4
    #: Another position of the list is nearer than half a pixel: they share their flux.
    DUPLICATE = 8
    #: Nothing is measured: fit or network gave no finite number.
    FIT_FAILED = 16
    #: Pixels at saturation in the core: flux and class are guesses.
    SATURATED = 32
    #: The position is on a pixel without valid data: nothing is measured.
    MASKED = 64
    #: Point spread function or sky lie outside the range that the model was trained for.
    UNTRAINED = 128
    #: A cosmic ray lies in the core.
    COSMIC_RAY = 256
    #: A trail crosses the core.
    TRAIL = 512


#: Bits that candidates have for the same.
CANDIDATE_FLAGS = {
    OpticalFlag.NEAR_EDGE: CandidateFlag.NEAR_EDGE,
    OpticalFlag.NEAR_BRIGHTER: CandidateFlag.NEAR_BRIGHTER,
    OpticalFlag.OUTSIDE: CandidateFlag.OUTSIDE,
    OpticalFlag.MASKED: CandidateFlag.OUTSIDE,
    OpticalFlag.DUPLICATE: CandidateFlag.DUPLICATE,
    OpticalFlag.FIT_FAILED: CandidateFlag.FIT_FAILED,
    OpticalFlag.UNTRAINED: CandidateFlag.UNTRAINED,
}
