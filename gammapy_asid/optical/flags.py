# Licensed under a 3-clause BSD style license - see LICENSE
"""Bits of the flags of sources in images."""

from ..catalog.columns import CandidateFlag
from ..display.flags import DescribedFlag

__all__ = ["CANDIDATE_FLAGS", "OpticalFlag"]


class OpticalFlag(DescribedFlag):
    """Bits of the column ``flags`` of `~gammapy_asid.OpticalSources`."""

    NEAR_EDGE = 1, "nearer to the edge of the valid data than the width of the point spread function"
    NEAR_BRIGHTER = 2, "a brighter source lies within the width of the point spread function"
    OUTSIDE = 4, "the position is outside the image: nothing is measured", True
    DUPLICATE = 8, "another position of the list is nearer than half a pixel: they share their flux"
    FIT_FAILED = 16, "nothing is measured: fit or network gave no finite number", True
    SATURATED = 32, "pixels at saturation in the core: flux and class are guesses", True
    MASKED = 64, "the position is on a pixel without valid data: nothing is measured", True
    UNTRAINED = 128, "point spread function or sky lie outside the range that the model was trained for", True
    COSMIC_RAY = 256, "a cosmic ray lies in the core"
    TRAIL = 512, "a trail crosses the core"


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
