# Licensed under a 3-clause BSD style license - see LICENSE
"""What is no source of the sky: cosmic rays, trails, faults of detectors, haloes. Drawn in batches for
training.

`~gammapy_asid.optical.artefacts.cosmic_rays.cosmic_rays`, `~gammapy_asid.optical.artefacts.trails.trails`,
`~gammapy_asid.optical.artefacts.detector_faults.detector_faults`,
`~gammapy_asid.optical.artefacts.detector_faults.bleed`, `~gammapy_asid.optical.artefacts.haloes.haloes` and
`~gammapy_asid.optical.artefacts.haloes.gradients` take ``(n, shape, generator)`` and settings. Light is in
units of the noise of the sky (standard deviation of a pixel), shape ``(n, ny, nx)``.
"""
