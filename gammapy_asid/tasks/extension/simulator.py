# Licensed under a 3-clause BSD style license - see LICENSE
"""Simulators of stamps that a recipe or a dataset describes."""

from dataclasses import replace

import numpy as np
from astropy.coordinates import SkyCoord
from gammapy.datasets import MapDataset

from ...inputs.bands import Bands
from ...inputs.bands_of_dataset import bands_for_dataset
from ...inputs.convert import to_band_cube
from ...inputs.response import local_response, smear_psf
from ...inputs.stamps import cut_stamps, lost_width
from ...simulation.imaging import CTAO_BANDS, ImagingInstrument
from ...simulation.other_telescopes import other_telescope
from ...simulation.scenes import StampResponse
from ...simulation.stamp_simulator import StampSimulator

__all__ = ["build_stamp_simulator", "dataset_places", "dataset_stamp_simulator", "place_at"]

HOUR = 3600.0

#: Test statistic from which fluxes are counted: that of a source which is just detected.
DETECTED = 25.0

#: Sources of known amplitude by which it is found, and the steps of the search.
N_PROBES, N_STEPS = 32, 6


def _extension_bands(datasets):
    """Bands for a dataset, all on the finest pixels."""
    bands = bands_for_dataset(datasets)
    return Bands(bands.edges, (0,) * len(bands), bands.pixel_size)


def dataset_places(datasets, recipe):
    """Random places in the field of a dataset.

    Parameters
    ----------
    datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
        Data of one field with a background; what they hold of models is a part of it.
    recipe : `~gammapy_asid.tasks.extension.recipe.ExtensionRecipe`
        Recipe; its responses are not used.

    Returns
    -------
    places : list of `~gammapy_asid.simulation.scenes.StampResponse`
        Instrument around each.

    Raises
    ------
    TypeError, ValueError
        If the data can't be used, or have no background.
    """
    datasets = [datasets] if isinstance(datasets, MapDataset) else datasets
    bands = _extension_bands(datasets)
    cube = to_band_cube(datasets, bands)
    if not cube.has_background:
        raise ValueError(
            "The dataset has no background: the training needs it. Set dataset.background, e.g. with a "
            "MapDatasetMaker that makes it"
        )
    rng = np.random.default_rng((recipe.seed, 1))
    row, column = np.nonzero(cube.mask.all(axis=0) if cube.mask.all(axis=0).any() else cube.mask.any(axis=0))
    chosen = rng.choice(len(row), min(recipe.places, len(row)), replace=False)
    x, y = column[chosen].astype(float), row[chosen].astype(float)
    exposure, background, _, scale = cut_stamps(
        replace(cube, counts=cube.exposure), x, y, recipe.size, bands.pixel_size
    )
    # The simulation has the pixels of the stamps.
    pixel_size, lost = scale * bands.pixel_size, lost_width(cube, bands.pixel_size)
    places = []
    for i, position in enumerate(SkyCoord(*cube.geom.pix_to_coord((x, y)), frame=cube.geom.frame)):
        response = local_response(datasets, cube.response, position).with_pixel_size(pixel_size)
        if lost:
            response = replace(response, psf=smear_psf(response.psf, lost, response.rad))
        centre = exposure[i][:, recipe.size // 2, recipe.size // 2][:, None, None]
        relative = np.divide(exposure[i], centre, out=np.zeros_like(exposure[i]), where=centre > 0)
        places.append(StampResponse(response, relative, background[i]))
    return places


def dataset_stamp_simulator(datasets, recipe):
    """Simulator of stamps for the instrument of a dataset, and the recipe with fluxes that suit it.

    Fluxes in the recipe's scenes are in units of that of a point source with a test statistic of 25.

    Parameters
    ----------
    datasets, recipe
        See `dataset_places`.

    Returns
    -------
    simulator : `~gammapy_asid.simulation.stamp_simulator.StampSimulator`
        Simulator.
    recipe : `~gammapy_asid.tasks.extension.recipe.ExtensionRecipe`
        Recipe with absolute fluxes.
    """
    places = dataset_places(datasets, recipe)
    scene = recipe.scenes[0]
    threshold = _detected_amplitude(StampSimulator(places, recipe.scenes), scene, recipe.seed)
    scenes = tuple(
        replace(s, log_flux=(s.log_flux[0] + np.log10(threshold), s.log_flux[1])) for s in recipe.scenes
    )
    return StampSimulator(places, scenes, recipe.shares), recipe.model_copy(update={"scenes": scenes})


def _detected_amplitude(simulator, scene, seed):
    """Median amplitude at 1 TeV in cm-2 s-1 TeV-1 of point sources that are just detected."""
    amplitude = 1e-12  # to begin with: 3 % of the Crab nebula
    for _ in range(N_STEPS):
        probe = replace(
            scene, log_flux=(float(np.log10(amplitude)), 0.0), points=1.0, neighbours=0, emission=0
        )
        ts = float(simulator.draw(N_PROBES, (seed, 2), probe).ts.median())
        # The test statistic rises with the flux, at first as its square.
        amplitude *= (DETECTED / max(ts, 1e-6)) ** 0.6
        if abs(np.log(max(ts, 1e-6) / DETECTED)) < 0.1:
            break
    return amplitude


def build_stamp_simulator(recipe, places=None):
    """Simulator of a recipe.

    Parameters
    ----------
    recipe : `ExtensionRecipe`
        Recipe.
    places : list of `~gammapy_asid.simulation.scenes.StampResponse`, optional
        Instrument around places, by default those of the recipe's responses.
    """
    places = _imaging_places(recipe) if places is None else places
    return StampSimulator(places, recipe.scenes, recipe.shares)


def _imaging_places(recipe):
    """Places that a random number of pointings see for an hour in all."""
    if not recipe.irfs:
        raise ValueError("The recipe has no instrument responses: add irfs, or train for a dataset")
    rng = np.random.default_rng((recipe.seed, 1))
    instruments = [ImagingInstrument.from_irf(irf, CTAO_BANDS) for irf in recipe.irfs]
    places = []
    for i in range(recipe.places):
        n = rng.integers(1, recipe.pointings + 1)
        offset, angle = rng.uniform(0, recipe.max_offset, n), rng.uniform(0, 2 * np.pi, n)
        pointings = offset * np.stack([np.cos(angle), np.sin(angle)])
        livetime = HOUR * rng.dirichlet(np.ones(n))
        places.append(place_at(instruments[i % len(instruments)], pointings, livetime, recipe.size))
    if recipe.others is not None:
        own, others = len(places), recipe.others
        places += [
            other_telescope(places[i % own], rng, others.width, others.background)
            for i in range(others.places)
        ]
    return places


def place_at(instrument, pointings, livetime, size):
    """Instrument around one place.

    Parameters
    ----------
    instrument : `~gammapy_asid.simulation.imaging.ImagingInstrument`
        Instrument.
    pointings : `~numpy.ndarray`
        Offsets of the pointings from the place along x and y in deg, shape ``(2, n_pointings)``.
    livetime : `~numpy.ndarray`
        Observation time of each in s.
    size : int
        Side of the stamps in pixels.

    Returns
    -------
    place : `~gammapy_asid.simulation.scenes.StampResponse`
        Exposure, background and point spread function.
    """
    pixel_size, middle = instrument.bands.pixel_size, size // 2
    step = (np.arange(size) - middle) * pixel_size
    separation = np.hypot(step - pointings[0][:, None, None], step[:, None] - pointings[1][:, None, None])
    exposure = instrument.exposure(separation, livetime).mean(1)
    centre = exposure[:, middle, middle][:, None, None]
    return StampResponse(
        instrument.response(separation[:, middle, middle], livetime),
        np.divide(exposure, centre, out=np.zeros_like(exposure), where=centre > 0),
        instrument.background_counts(separation, livetime, np.radians(pixel_size) ** 2),
    )
