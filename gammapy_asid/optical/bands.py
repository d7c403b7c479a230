# Licensed under a 3-clause BSD style license - see LICENSE
"""The one band of an image, as the shared parts of the library know bands."""

from ..inputs.bands import Bands

__all__ = ["OPTICAL_BANDS", "PIXEL"]

#: Side of a pixel in the unit of `OPTICAL_BANDS`: twice the nominal one, so that the mark of a centre has a
#: width of 0.6 pixels.
PIXEL = 0.1

#: Light from 0.3 to 5 micrometres, in GeV. Sizes are counted in pixels: whatever the camera, `PIXEL` is one.
OPTICAL_BANDS = Bands(edges=(2.5e-10, 4.1e-9), levels=(0,), pixel_size=PIXEL / 2)
