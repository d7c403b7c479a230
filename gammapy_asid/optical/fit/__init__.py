# Licensed under a 3-clause BSD style license - see LICENSE
"""All sources of an image at once: amplitudes of the point spread function, limits of the noise, stamps."""
