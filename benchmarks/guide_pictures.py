# Licensed under a 3-clause BSD style license - see LICENSE
"""The pictures of the user guide."""

import os
from functools import cached_property
from pathlib import Path

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
from astropy.coordinates import SkyCoord
from gammapy.catalog import SourceCatalog3FHL
from gammapy.datasets import MapDataset
from gammapy.estimators import TSMapEstimator
from gammapy.modeling.models import PointSpatialModel, PowerLawSpectralModel, SkyModel
from matplotlib.colors import LogNorm

from gammapy_asid import DLFluxEstimator, DLLightCurveEstimator, DLSkySurvey, DLSourceDetector
from gammapy_asid.catalog import associate
from gammapy_asid.inputs import dataset_from_files, to_band_cube
from gammapy_asid.plots import plot_field, plot_light_curves
from gammapy_asid.simulation import analytic_emission, draw_sky, simulate_dataset, simulate_time_bins
from gammapy_asid.tasks import load_card

from .common import arguments, data_folder, save_picture

__all__ = ["PICTURES"]

NEEDS = "For some GAMMAPY_DATA, the data folder, or patches of benchmarks.generative.emission; minutes."
CENTER = SkyCoord(75, 20, unit="deg", frame="galactic")
DPI = 90
#: Colours that can be told apart by all eyes (Okabe & Ito 2008).
BLUE, ORANGE = "#0072B2", "#D55E00"


class Field:
    """Simulated field of the first steps; its parts are made when they are asked for."""

    @cached_property
    def dataset(self):
        rng, size = np.random.default_rng(7), (12 * u.deg, 12 * u.deg)
        return simulate_dataset(CENTER, size, draw_sky(rng), analytic_emission(), rng=rng)

    @cached_property
    def candidates(self):
        return DLSourceDetector(model="lat", threshold=0.1).run(self.dataset)

    @cached_property
    def sure(self):
        return DLSourceDetector(model="lat", threshold=0.5).run(self.dataset)

    @cached_property
    def fluxes(self):
        estimator = DLFluxEstimator(model="lat", e_min=1 * u.GeV, e_max=100 * u.GeV)
        return estimator.run(self.dataset, self.sure)


def galactic_centre():
    """Real field of 20 by 10 deg, above 10 GeV."""
    folder = Path(os.environ["GAMMAPY_DATA"]) / "fermi-3fhl-gc"
    return MapDataset.read(folder / "fermi-3fhl-gc.fits.gz", name="Galactic centre")


def landing(field, options):
    """Sources of the Galactic centre."""
    dataset = galactic_centre()
    candidates = DLSourceDetector(model="lat", threshold=0.5).run(dataset)
    return plot_field(candidates, dataset).figure


def first_field(field, options):
    """Sources of the simulated field."""
    return plot_field(field.sure, field.dataset).figure


def first_spectrum(field, options):
    """Flux points of the brightest source."""
    brightest = int(np.nanargmax(field.fluxes.table["flux"]))
    fig, ax = plt.subplots(figsize=(6.2, 3.8), layout="constrained")
    field.fluxes.flux_points(brightest).plot(ax=ax, sed_type="e2dnde", color=BLUE)
    ax.set_title(field.sure.table["name"][brightest])
    return fig


def bands(field, options):
    """Counts in the six bands of the model, on their own pixels."""
    cube = to_band_cube(field.dataset)
    edges = cube.bands.edges
    fig, axes = plt.subplots(2, 3, figsize=(8.4, 5.8), layout="constrained")
    for band, (ax, counts) in enumerate(zip(axes.flat, cube.counts, strict=True)):
        image = ax.imshow(np.asarray(counts), origin="lower", cmap="viridis", extent=(6, -6, -6, 6))
        pixels = cube.bands.pixel_size * 2 ** cube.bands.levels[band]
        ax.set_title(f"{edges[band]:g}-{edges[band + 1]:g} GeV, {pixels:.1f}° pixels", fontsize=10)
        fig.colorbar(image, ax=ax, shrink=0.75)
        ax.set(xticks=[-5, 0, 5], yticks=[-5, 0, 5])
    fig.supxlabel("Longitude offset (deg)", fontsize=10)
    fig.supylabel("Latitude offset (deg)", fontsize=10)
    return fig


def steps(field, options):
    """From counts over the score map to candidates."""
    counts = field.dataset.counts.sum_over_axes(keepdims=False)
    score = field.candidates.maps["score"]
    fig = plt.figure(figsize=(10, 3.7), layout="constrained")
    for number, (title, image) in enumerate({"Counts": counts, "Probability of a source": score}.items()):
        ax = fig.add_subplot(1, 3, number + 1, projection=image.geom.wcs)
        data = np.squeeze(image.data)
        shown = ax.imshow(data, origin="lower", cmap="viridis", vmin=0, vmax=np.percentile(data, 99.9))
        fig.colorbar(shown, ax=ax, orientation="horizontal", shrink=0.8)
        _sky_axes(ax, title, number)
    ax = fig.add_subplot(1, 3, 3, projection=counts.geom.wcs)
    ax.imshow(np.squeeze(counts.smooth("0.2 deg").data), origin="lower", cmap="gray_r", norm=LogNorm())
    place = field.sure.positions.galactic
    shown = ax.scatter(place.l, place.b, c=field.sure.table["score"], s=60, marker="o", facecolors="none",
                       transform=ax.get_transform("galactic"), cmap="viridis", vmin=0.5, vmax=1)  # fmt: skip
    fig.colorbar(shown, ax=ax, orientation="horizontal", shrink=0.8)
    _sky_axes(ax, "Candidates by score", 2)
    return fig


def _sky_axes(ax, title, number):
    ax.set_title(title, fontsize=10)
    ax.coords[0].set_axislabel("Longitude")
    ax.coords[1].set_axislabel("Latitude" if number == 0 else " ")
    ax.coords[1].set_ticklabel_visible(number == 0)


def ellipses(field, options):
    """Position errors of 68 and 95 % of the candidates in a part of the field."""
    part = field.dataset.cutout(CENTER, width=5 * u.deg, name="part")
    inside = part.counts.geom.to_image().contains(field.sure.positions)
    return plot_field(field.sure[np.flatnonzero(inside)], part).figure


def ts_map(field, options):
    """Gammapy's map of the test statistic beside the map of the network."""
    part = field.dataset.cutout(CENTER, width=6 * u.deg, name="part").slice_by_energy(1 * u.GeV, 1 * u.TeV)
    model = SkyModel(PowerLawSpectralModel(index=2.3), PointSpatialModel(), name="test")
    estimator = TSMapEstimator(model, kernel_width="2 deg", sum_over_energy_groups=True)
    ts = estimator.run(part)["sqrt_ts"]
    score = field.candidates.maps["score"].cutout(CENTER, 6 * u.deg)
    fig = plt.figure(figsize=(8.4, 4.2), layout="constrained")
    for number, (title, image) in enumerate({"Root of TS": ts, "Probability of a source": score}.items()):
        ax = fig.add_subplot(1, 2, number + 1, projection=image.geom.wcs)
        top = min(np.nanmax(image.data), 12)
        shown = ax.imshow(np.squeeze(image.data), origin="lower", cmap="viridis", vmin=0, vmax=top)
        fig.colorbar(shown, ax=ax, orientation="horizontal", shrink=0.8)
        _sky_axes(ax, title, number)
    return fig


def light_curves(field, options):
    """Light curves of four sources in ten years."""
    rng = np.random.default_rng(4)
    center = SkyCoord(75, 20, unit="deg", frame="galactic")
    simulated = simulate_time_bins(
        center, (10, 8) * u.deg, draw_sky(rng), analytic_emission(), n_bins=10, rng=rng
    )
    candidates = DLSourceDetector(model="lat").run(simulated.datasets)
    curves = DLLightCurveEstimator().run(simulated.datasets, candidates)
    order = np.argsort(-np.asarray(curves.table["variability_index"]))
    names = candidates.table["name"][np.r_[order[:2], order[-2:]]]
    return plot_light_curves(curves, names)


def domains(field, options):
    """Range of the point spread function in each band of the shipped detectors."""
    fig, ax = plt.subplots(figsize=(6.6, 3.6), layout="constrained")
    for name, colour in {"lat": BLUE, "cta-gps": ORANGE}.items():
        card = load_card(name)
        edges = card.bands.edges
        for low, high, (least, most) in zip(edges[:-1], edges[1:], card.psf_r68, strict=True):
            label = name if low == edges[0] else None
            ax.fill_between([low, high], least, most, color=colour, alpha=0.6, lw=0, label=label)
    ax.set(xscale="log", yscale="log", xlabel="Energy (GeV)", ylabel="68 % radius of the PSF (deg)")
    ax.legend(frameon=False, title="Model")
    ax.spines[["top", "right"]].set_visible(False)
    return fig


def training_skies(field, options):
    """Simulated fields: at high latitude, in the plane, and with a third of the exposure."""
    skies = {"75°, +20°": (75, 20, 10), "30°, 0°": (30, 0, 10), "75°, +20°, three years": (75, 20, 3)}
    fig = plt.figure(figsize=(9.6, 3.6), layout="constrained")
    for number, (title, (lon, lat, years)) in enumerate(skies.items()):
        rng = np.random.default_rng(number)
        center = SkyCoord(lon, lat, unit="deg", frame="galactic")
        sky = simulate_dataset(
            center, (6.4 * u.deg,) * 2, draw_sky(rng), analytic_emission(), livetime=years, rng=rng
        )
        counts = sky.counts.slice_by_idx({"energy": slice(2, None)}).sum_over_axes(keepdims=False)
        ax = fig.add_subplot(1, 3, number + 1, projection=counts.geom.wcs)
        shown = ax.imshow(counts.data, origin="lower", cmap="viridis", vmin=0)
        fig.colorbar(shown, ax=ax, orientation="horizontal", shrink=0.8)
        _sky_axes(ax, title, number)
    return fig


def counterparts(field, options):
    """Candidates of the Galactic centre with and without a counterpart in 3FHL."""
    dataset = galactic_centre()
    candidates = DLSourceDetector(model="lat", threshold=0.5).run(dataset)
    known = SourceCatalog3FHL()
    named = associate(candidates, {"3FHL": known}).table["assoc_name"] != ""
    fig, ax = plt.subplots(figsize=(8.4, 4.4), layout="constrained")
    for chosen, label, marker in ((named, "with a name in 3FHL", "o"), (~named, "without one", "s")):
        place = candidates.positions[chosen].galactic
        ax.scatter(
            place.l.wrap_at("180d"), place.b, marker=marker, s=70, label=label, facecolors="none",
            edgecolors=BLUE if marker == "o" else ORANGE, lw=1.6,
        )  # fmt: skip
    inside = dataset.counts.geom.to_image().contains(known.positions)
    place = known.positions[inside].galactic
    ax.scatter(place.l.wrap_at("180d"), place.b, marker="+", color="black", s=40, label="3FHL")
    ax.set(xlim=(10, -10), ylim=(-5, 5), xlabel="Galactic longitude (deg)", ylabel="Galactic latitude (deg)")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.13), ncols=3, frameon=False)
    return fig


def whole_sky(field, options):
    """Candidates of the real sky above 10 GeV."""
    folder = data_folder(options.data)
    data = Path(os.environ["GAMMAPY_DATA"]) / "fermi_3fhl"
    dataset = dataset_from_files(
        folder / "lat/allsky/fermi_3fhl_counts_cube_hpx.fits.gz",
        data / "fermi_3fhl_exposure_cube_hpx.fits.gz",
        data / "fermi_3fhl_psf_gc.fits.gz",
        frame="galactic",
    )
    candidates = DLSkySurvey(DLSourceDetector(threshold=0.5)).run(dataset)
    place = candidates.positions.galactic
    fig = plt.figure(figsize=(9, 4.8), layout="constrained")
    ax = fig.add_subplot(projection="mollweide")
    score = candidates.table["score"]
    shown = ax.scatter(-place.l.wrap_at("180d").rad, place.b.rad, c=score, s=14, vmin=0.5, vmax=1)
    fig.colorbar(shown, ax=ax, label="Score", shrink=0.6)
    ax.set_xticks(np.deg2rad([-120, -60, 0, 60, 120]), ["120°", "60°", "0°", "300°", "240°"])
    ax.set_yticks(np.deg2rad([-60, -30, 0, 30, 60]))
    for label in ax.get_xticklabels():
        label.set(weight="bold", bbox={"color": "white", "alpha": 0.7, "pad": 1})
    ax.set_title(f"{len(candidates)} candidates above 10 GeV, Galactic coordinates", pad=16)
    ax.grid(alpha=0.4)
    return fig


def generated(field, options):
    """Fine structure of the interstellar emission, real and generated for the same places."""
    patches = np.load(options.patches)
    # From near the plane to high latitudes
    order = np.argsort(np.abs(patches["latitude"]))
    chosen = order[np.linspace(0, len(order) - 1, 4).astype(int)]
    fig, axes = plt.subplots(2, 4, figsize=(8.6, 4.5), layout="constrained")
    for row, (key, title) in zip(axes, {"real": "Real", "made": "Generated"}.items(), strict=True):
        for ax, number in zip(row, chosen, strict=True):
            image = ax.imshow(patches[key][number], vmin=-3, vmax=3, cmap="RdBu_r", origin="lower")
            ax.set(xticks=[], yticks=[])
            ax.set_title(f"{title}, latitude {patches['latitude'][number]:.0f}°", fontsize=9)
    fig.colorbar(image, ax=axes, label="Logarithm of fine over coarse,\nin expected strengths", shrink=0.7)
    return fig


#: What draws each picture, by the name of its file.
PICTURES = {
    "landing": landing,
    "first_field": first_field,
    "first_spectrum": first_spectrum,
    "guide_bands": bands,
    "guide_steps": steps,
    "guide_ellipses": ellipses,
    "guide_ts_map": ts_map,
    "guide_light_curves": light_curves,
    "guide_domains": domains,
    "guide_training": training_skies,
    "guide_counterparts": counterparts,
    "guide_whole_sky": whole_sky,
    "guide_generated": generated,
}


def parser():
    """Arguments of the program."""
    options = arguments(__doc__, "docs/images", data=False)
    options.add_argument("--only", nargs="+", choices=PICTURES, help="pictures to draw, by default all")
    options.add_argument("--patches", help="file of benchmarks.generative.emission, for guide_generated")
    return options


def main(args=None):
    """Draw the pictures into a folder."""
    options = parser().parse_args(args)
    field = Field()
    for name in options.only or PICTURES:
        fig = PICTURES[name](field, options)
        save_picture(fig, Path(options.output) / f"{name}.png", DPI)
        plt.close(fig)


if __name__ == "__main__":
    main()
