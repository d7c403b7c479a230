# Licensed under a 3-clause BSD style license - see LICENSE
"""Spectra of the classes of sources, from which fits start."""

import astropy.units as u
import numpy as np
from gammapy.modeling.models import LogParabolaSpectralModel, SuperExpCutoffPowerLaw4FGLDR3SpectralModel

__all__ = ["PULSAR", "class_spectrum", "curved_spectrum"]

#: The class whose spectra end in an exponential cutoff.
PULSAR = "PSR"
#: Exponent of the cutoff of pulsars, fixed as in 4FGL for all but the brightest of them.
CUTOFF_INDEX = 2 / 3
#: Photon index and curvature at 1 GeV of each class: medians of the associated sources of 4FGL-DR4 (4014 AGN,
#: 320 pulsars, 198 pulsar wind nebulae and supernova remnants), of PLEC_IndexS and half of PLEC_ExpfactorS
#: for pulsars, of LP_Index and LP_beta for the others, each moved from its pivot energy.
AT_1_GEV = {"AGN": (2.12, 0.09), PULSAR: (1.87, 0.24), "PWN-SNR": (2.12, 0.15)}
#: Indices and curvatures that a start may have: far above 1 GeV those of pulsars would run away.
START_INDEX, START_BETA = (1.0, 4.0), (0.0, 1.0)


def curved_spectrum(source_class, index, beta, amplitude, reference):
    """Curved spectrum of a class.

    A pulsar gets a power law with the exponential cutoff of 4FGL-DR3, whose photon index at the reference
    energy is a parameter; any other source a log-parabola.

    Parameters
    ----------
    source_class : str
        One of `~gammapy_asid.catalog.CLASSES`, or empty where it is not known.
    index : float
        Photon index at the reference energy.
    beta : float
        Curvature there: half of the growth of the index with the logarithm of the energy, which is ``beta``
        of a log-parabola and half of ``expfactor`` of a pulsar.
    amplitude : `~astropy.units.Quantity`
        Differential flux there.
    reference : `~astropy.units.Quantity`
        Energy.

    Returns
    -------
    law : `~gammapy.modeling.models.SpectralModel`
        Spectrum.
    """
    if source_class != PULSAR:
        return LogParabolaSpectralModel(alpha=index, beta=beta, amplitude=amplitude, reference=reference)
    law = SuperExpCutoffPowerLaw4FGLDR3SpectralModel(
        index_1=index, expfactor=2 * beta, index_2=CUTOFF_INDEX, amplitude=amplitude, reference=reference
    )
    law.index_2.frozen = True
    return law


def class_spectrum(source_class, reference):
    """Common spectrum of a class, of any level.

    Parameters
    ----------
    source_class : str
        One of `~gammapy_asid.catalog.CLASSES`.
    reference : `~astropy.units.Quantity`
        Energy in whose terms it is written.

    Returns
    -------
    law : `~gammapy.modeling.models.SpectralModel`
        Spectrum, see `curved_spectrum`.
    """
    index, beta = AT_1_GEV[source_class]
    ratio = reference.to_value("GeV")
    if source_class == PULSAR:
        index += 2 * beta * (ratio**CUTOFF_INDEX - 1) / CUTOFF_INDEX
        beta *= ratio**CUTOFF_INDEX
    else:
        index += 2 * beta * np.log(ratio)
    index, beta = np.clip(index, *START_INDEX), np.clip(beta, *START_BETA)
    return curved_spectrum(source_class, index, beta, 1e-12 * u.Unit("cm-2 s-1 GeV-1"), reference)
