# Licensed under a 3-clause BSD style license - see LICENSE
"""The one band of an image, as the shared parts of the library know bands."""

from ..inputs.bands import Bands

__all__ = ["FINER", "ON_SPHERE", "OPTICAL_BANDS", "PIXEL", "STEP"]

#: Steps of the maps of centres in a pixel of the image, along each axis: in crowds two stars lie within two
#: pixels.
FINER = 2

#: Side of a pixel in the unit of `OPTICAL_BANDS`, and of one of the maps of centres.
PIXEL = 0.1
STEP = PIXEL / FINER

#: Light from 0.3 to 5 micrometres, in GeV. Sizes are counted in pixels: whatever the camera, `PIXEL` is one.
#: The mark of a centre has a width of half a pixel, and a match is within 1.25 pixels.
OPTICAL_BANDS = Bands(edges=(2.5e-10, 4.1e-9), levels=(0,), pixel_size=PIXEL / 2.4)

#: Side of a pixel in deg where matches are found on the sphere, so small that it is flat there.
ON_SPHERE = 1e-3
