# Licensed under a 3-clause BSD style license - see LICENSE
"""Speed of the simulator beside a loop over Gammapy's ``MapDataset.fake``.

Both make Poisson counts of the same sources and the same diffuse emission on the same patches, with one
thread.
"""

import os
import time
from dataclasses import replace

import astropy.units as u
import numpy as np
import torch
from gammapy.datasets import MapDataset
from gammapy.irf import EDispKernelMap
from gammapy.maps import Map, MapAxis, WcsGeom

from gammapy_asid.inputs import LAT_BANDS, Response
from gammapy_asid.inputs.response import normalise_psf
from gammapy_asid.simulation import (
    EmissionBank,
    ResponseBank,
    analytic_emission,
    analytic_lat_exposure,
    draw_sky,
    emission_counts,
    lat_response,
    render_sources,
    source_counts,
)
from gammapy_asid.simulation.sky import SPECTRAL_PARAMETERS, interval_weights
from gammapy_asid.simulation.variations import patch_grid, sample_emission

from ..common import arguments, write
from ..skies.response_maps import psf_map, true_energy_axis

__all__ = ["compare_speed"]

NEEDS = "a minute"

N_PIX, PIXEL_SIZE = 64, 0.1
#: The point spread function is cut here in deg: with its whole tails Gammapy is ten times slower.
RAD_MAX = 2.5


def response():
    """LAT response from CALDB files where present, else one like it: 10 years of front and back events."""
    if "GAMMAPY_ASID_DATA" in os.environ:
        name, full = "P8R3_SOURCE_V2", lat_response("P8R3_SOURCE_V2", "FRONT+BACK", livetime=10.0)
    else:
        edges, n_sub = np.array(LAT_BANDS.edges), 3
        ratio = (edges[1:] / edges[:-1])[:, None]
        energy = edges[:-1, None] * ratio ** ((np.arange(n_sub) + 0.5) / n_sub)
        rad = 12 * np.linspace(0, 1, 400) ** 2
        # The 68 % radius and King function of gammapy_asid.simulation.analytic_lat.
        scale2 = ((0.64 * energy**-1.6 + 0.11**2) / (1 / 0.32 - 1))[..., None]
        psf, exposure = (1 + rad**2 / scale2) ** -2, analytic_lat_exposure(energy)
        name, full = "analytic", Response(LAT_BANDS, edges[:-1], edges[1:], exposure, rad, psf, PIXEL_SIZE)
    keep = full.rad <= RAD_MAX
    psf = normalise_psf(full.psf[..., keep], full.rad[keep])
    return replace(full, rad=full.rad[keep], psf=psf, pixel_size=PIXEL_SIZE), name


class Patches:
    """Patches at random places and the sources in them."""

    def __init__(self, response, n, seed):
        rng = np.random.default_rng(seed)
        self.response = response
        self.lon, self.lat = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-0.9, 0.9, n)))
        self.geoms = [
            WcsGeom.create(skydir=c, npix=N_PIX, binsz=PIXEL_SIZE, frame="galactic", proj="TAN")
            for c in zip(self.lon, self.lat, strict=True)
        ]
        sky = draw_sky(rng)
        position = sky.positions
        self.catalogs, self.pixels = [], []
        for geom in self.geoms:
            near = position.separation(geom.center_skydir).deg < N_PIX * PIXEL_SIZE
            pixels = np.stack(geom.coord_to_pix(position[near]))
            inside = np.all((pixels > -0.5) & (pixels < N_PIX - 0.5), axis=0)
            self.catalogs.append(sky.select(near).select(inside))
            self.pixels.append(pixels[:, inside])
        self.emission = analytic_emission(seed)

    def __len__(self):
        return len(self.geoms)

    def prepare_torch(self):
        """Function that simulates all patches, given a random generator."""
        n = len(self)
        bank = ResponseBank([self.response])
        emission = EmissionBank.from_models([self.emission]).to_torch()
        patch = torch.tensor(np.repeat(np.arange(n), [len(c) for c in self.catalogs]))
        zero = torch.zeros_like(patch)
        spectra = {
            name: torch.tensor(np.concatenate([getattr(c, name) for c in self.catalogs]), dtype=torch.float32)
            for name in SPECTRAL_PARAMETERS
        }
        x, y = (torch.tensor(v, dtype=torch.float32) for v in np.concatenate(self.pixels, axis=1))
        centres = torch.tensor(np.radians([self.lon, self.lat]).T, dtype=torch.float32)
        # WCS images have the longitude rising to the left.
        width = torch.full((n,), N_PIX * PIXEL_SIZE)

        def simulate(generator):
            vectors = patch_grid(centres, torch.zeros(n), width, N_PIX // 2).flip(2)
            intensity = sample_emission(emission, vectors)[:, 0]
            diffuse = emission_counts(bank, torch.zeros(n, dtype=torch.long), intensity, (N_PIX, N_PIX))
            counts = source_counts(bank, zero, spectra)
            images = render_sources(bank, zero, patch, x, y, counts, (N_PIX, N_PIX), n)
            return [torch.poisson(i + d, generator=generator) for i, d in zip(images, diffuse, strict=True)]

        return simulate

    def prepare_gammapy(self, index):
        """Dataset of one patch with background and without models."""
        response, image = self.response, self.geoms[index]
        axis = MapAxis.from_energy_edges(response.bands.edges * u.GeV, name="energy")
        true_axis = true_energy_axis(response)
        position = image.get_coord().skycoord.galactic
        intensity = self.emission.interpolate(position.l.deg, position.b.deg)
        background = np.einsum("bi,yxi->byx", interval_weights(response), intensity)
        background *= image.solid_angle().to_value("sr")
        exposure = response.exposure.reshape(-1, 1, 1) * np.ones(image.data_shape)
        return MapDataset(
            counts=Map.from_geom(image.to_cube([axis])),
            background=Map.from_geom(image.to_cube([axis]), data=background),
            exposure=Map.from_geom(image.to_cube([true_axis]), data=exposure, unit="cm2 s"),
            psf=psf_map(response),
            edisp=EDispKernelMap.from_diagonal_response(axis, true_axis),
        )


def compare_speed(n_torch=64, n_gammapy=3, repeats=5, seed=0, clock=time.perf_counter):
    """Patches per second of both simulators.

    Parameters
    ----------
    n_torch, n_gammapy : int
        Patches in a batch of the simulator, and the first of them that Gammapy makes too.
    repeats : int
        Batches timed; the median counts.
    seed : int
        Seed of sky and patches.
    clock : callable
        Clock in s.

    Returns
    -------
    result : dict
        Rates in patches per second, their ratio, and the counts of each band that
        Gammapy made over those of the simulator on the same patches.
    """
    instrument, name = response()
    patches = Patches(instrument, n_torch, seed)
    simulate, generator = patches.prepare_torch(), torch.Generator().manual_seed(seed)
    batch = simulate(generator)
    times = []
    for _ in range(repeats):
        start = clock()
        simulate(generator)
        times.append(clock() - start)
    rate = n_torch / float(np.median(times))

    spent, theirs = 0.0, 0
    for index in range(n_gammapy):
        dataset, models = patches.prepare_gammapy(index), patches.catalogs[index].to_models()
        start = clock()
        dataset.models = models
        dataset.fake(random_state=seed)
        spent += clock() - start
        theirs = theirs + dataset.counts.data.sum(axis=(1, 2))
    ours = np.array([float(image[:n_gammapy].sum()) for image in batch])
    return {
        "response": name,
        "pixels": N_PIX,
        "sources_per_patch": float(np.mean([len(c) for c in patches.catalogs])),
        "simulator_patches_per_s": rate,
        "gammapy_patches_per_s": n_gammapy / spent,
        "ratio": rate * spent / n_gammapy,
        "counts_over_gammapy": (ours / theirs).round(4).tolist(),
        "poisson_error": np.sqrt(2 / theirs).round(4).tolist(),
    }


def parser():
    """Arguments."""
    own = arguments(__doc__, "simulator")
    own.add_argument("--patches", type=int, default=64, help="patches in a batch of the simulator")
    own.add_argument("--gammapy-patches", type=int, default=3, help="how many of them Gammapy makes too")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    torch.set_num_threads(1)
    write(args.output, compare_speed(args.patches, args.gammapy_patches))


if __name__ == "__main__":
    main()
