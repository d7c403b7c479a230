# Licensed under a 3-clause BSD style license - see LICENSE
"""Real fields of the Fermi-LAT with a background each, also those cut out of its whole skies."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from astropy.coordinates import SkyCoord
from gammapy.datasets import MapDataset
from gammapy.irf import EDispKernelMap
from gammapy.maps import HpxGeom, Map, MapAxis

from gammapy_asid.inputs import Bands
from gammapy_asid.inputs.square_pixels import on_square_pixels
from gammapy_asid.simulation import lat_response
from gammapy_asid.survey import TileCutter

from .real_fields import FIELDS, field_2fhl, known_sky, sky_3fhl, sky_models
from .response_maps import psf_map

__all__ = ["ISOTROPIC_PSF3", "LEAGUE", "LeagueField", "sky_psf3", "square_disc"]

#: Isotropic emission of the event classes of 2FHL and of the sky of event type PSF3.
ISOTROPIC_2FHL = "gammapy-data/fermi_3fhl/iso_P8R2_SOURCE_V6_v06.txt"
ISOTROPIC_PSF3 = "lat/iem/iso/iso_P8R3_ULTRACLEANVETO_V3_PSF3_v1.txt"
#: Counts and exposure of 573 weeks, 2-20 GeV, events ULTRACLEANVETO of type PSF3, HEALPix pixels of 0.46 deg.
SKY_PSF3 = "lat/allsky/fermidata_{}_2-20GeV_UCV_PSF3_573w_nside128.npy"
#: Response for their point spread function: of class CLEAN, the nearest for which there is one by event type.
RESPONSE_PSF3 = "P8R3_CLEAN_V2", "PSF3"
#: Sides of the fields above 50 GeV and radii of the discs of the skies in HEALPix pixels, deg: as large as
#: the sky above 10 and 50 GeV needs to have tens of sources in them.
WIDTH_2FHL, RADIUS_3FHL, RADIUS_PSF3 = 30.0, 25.0, 15.0
#: Galactic centres of the fields, away from each other.
CENTRES_2FHL = {
    "SMC": (302.8, -44.3),
    "Mrk 421": (179.8, 65.0),
    "PKS 2155-304": (17.7, -52.2),
    "Crab": (184.6, -5.8),
    "centre": (0.0, 0.0),
    "l = 35": (35.0, 0.0),
    "l = 325": (325.0, 0.0),
}
CENTRES_3FHL = {
    "north": (30.0, 60.0),
    "south": (210.0, -50.0),
    "l = 75": (75.0, 0.0),
    "l = 290": (290.0, 0.0),
}
CENTRES_PSF3 = CENTRES_3FHL


@dataclass(frozen=True)
class LeagueField:
    """A field with what the comparison of methods needs.

    Parameters
    ----------
    as_held : callable
        Makes the dataset from the data folder as a user holds it: in HEALPix pixels where the data are.
    radius : float
        Largest separation of a match in deg: 0.12, or half of the 68 % radius of the point spread function
        where the bands of the finest pixels begin (2 GeV or the lowest energy), or half of a pixel,
        whichever is largest.
    kernel : str
        Width of the kernels of the classical methods: it holds most photons of a source.
    group : str
        Fields of the same data.
    bins : tuple of int, optional
        First bins of the groups of energies that the TS map takes for one; by default all alone.
    """

    as_held: Callable
    radius: float
    kernel: str
    group: str
    bins: tuple | None = None

    def make(self, folder):
        """Dataset on square pixels.

        Parameters
        ----------
        folder : path
            Data folder.
        """
        held = self.as_held(folder)
        if not isinstance(held, list):
            return held
        dataset = on_square_pixels(held)
        if dataset.models:
            dataset.background, dataset.models = dataset.npred_signal(), None
        return dataset


def _cut_2fhl(folder, centre):
    """Field above 50 GeV with its background."""
    dataset = field_2fhl(folder, *centre, WIDTH_2FHL)
    dataset.background = known_sky(dataset, folder, isotropic=ISOTROPIC_2FHL)
    return dataset


def _disc(sky, centre, radius):
    """Disc of a sky in its HEALPix pixels: a list of one part."""
    return TileCutter(sky).cut(SkyCoord(*centre, unit="deg", frame="galactic"), radius)


def square_disc(sky, centre, radius):
    """Disc of a sky in HEALPix pixels, brought to square ones.

    Parameters
    ----------
    sky : `~gammapy.datasets.MapDataset`
        Whole sky.
    centre : tuple of float
        Galactic longitude and latitude in deg.
    radius : float
        In deg.
    """
    return on_square_pixels(_disc(sky, centre, radius))


def _cut_3fhl(folder, centre):
    """Disc above 10 GeV, with the background of the whole sky."""
    return _disc(sky_3fhl(folder), centre, RADIUS_3FHL)


def sky_psf3(folder):
    """Whole sky 2-20 GeV of the events with the best directions, without a background."""
    counts, exposure = (np.load(folder / SKY_PSF3.format(name)) for name in ("counts", "exposure"))
    axis = MapAxis.from_energy_edges([2, 20], unit="GeV")
    bands = Bands(tuple(np.geomspace(2, 20, 9)), levels=(0,) * 8)
    psf = psf_map(lat_response(*RESPONSE_PSF3, bands=bands, n_sub=1, e_min=2, caldb=folder / "lat/irfs"))
    true = psf.psf_map.geom.axes["energy_true"]
    geom = HpxGeom(nside=128, frame="galactic", nest=False, axes=[axis])
    return MapDataset(
        counts=Map.from_geom(geom, data=counts[None].astype(np.float32)),
        # One exposure for the range: from 2 to 20 GeV that of these events changes little
        exposure=Map.from_geom(
            geom.to_image().to_cube([true]), data=np.tile(exposure, (true.nbin, 1)), unit="cm2 s"
        ),
        psf=psf,
        edisp=EDispKernelMap.from_diagonal_response(axis, true),
        name="psf3",
    )


def _cut_psf3(folder, centre):
    """Disc 2-20 GeV with models of its background: Gammapy evaluates none on HEALPix pixels."""
    (dataset,) = _disc(sky_psf3(folder), centre, RADIUS_PSF3)
    dataset.models = sky_models(folder, isotropic=ISOTROPIC_PSF3)
    return [dataset]


def _all(cut, centres, group, **settings):
    """Fields of one sky by name."""
    return {
        f"{group}, {name}": LeagueField(partial(cut, centre=centre), group=group, **settings)
        for name, centre in centres.items()
    }


#: Fields by name. In 3C 279 energies of the TS map are grouped into six bands like those of a detection
#: model: with the 32 bins of the data it takes more than ten minutes.
LEAGUE = {
    "Galactic centre": LeagueField(FIELDS["Galactic centre"], 0.12, "1 deg", "Galactic centre"),
    "3C 279": LeagueField(FIELDS["3C 279"], 0.25, "4 deg", "3C 279", (0, 2, 5, 8, 14, 18)),
    "Vela": LeagueField(FIELDS["Vela"], 0.12, "1 deg", "Vela"),
    "Galactic plane": LeagueField(FIELDS["Galactic plane"], 0.12, "1 deg", "Galactic plane"),
    **_all(_cut_2fhl, CENTRES_2FHL, "2FHL", radius=0.12, kernel="1 deg"),
    **_all(_cut_3fhl, CENTRES_3FHL, "3FHL", radius=0.46, kernel="3 deg"),
    **_all(_cut_psf3, CENTRES_PSF3, "PSF3", radius=0.23, kernel="3 deg"),
}
