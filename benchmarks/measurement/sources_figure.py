# Licensed under a 3-clause BSD style license - see LICENSE
"""Figures of the benchmark of positions and fluxes."""

import matplotlib.pyplot as plt
import numpy as np

from gammapy_asid.evaluation import plot_binned, plot_coverage
from gammapy_asid.learning.interval_calibration import probability_integral_transform

__all__ = ["figure"]

EDGES = 10.0 ** np.arange(-10, -7.4, 0.25)


def figure(sources, positions, fluxes):
    """Ratio of offsets to the bound, coverage, bias and scatter of fluxes.

    Parameters
    ----------
    sources : `~gammapy_asid.tasks.measurement.simulator.SimulatedSources`
        Detected sources.
    positions : `~benchmarks.measurement.sources.PositionResult`
        Their positions.
    fluxes : `~benchmarks.measurement.sources.FluxResult`
        Their fluxes.
    """
    fig, axes = plt.subplots(2, 2, figsize=(12, 9), layout="constrained")
    flux, isolated = sources.flux.numpy(), sources.isolated.numpy()
    for name, own in (("isolated", isolated), ("crowded", ~isolated)):
        plot_binned(flux[own], (positions.offset / positions.bound)[own], EDGES, ax=axes[0, 0], label=name)
        plot_binned(flux[own], fluxes.log_ratio[own], EDGES, ax=axes[1, 0], label=name)
    axes[0, 0].axhline(1, color="k", lw=0.8)
    axes[0, 0].axhline(1.2, color="k", lw=0.8, ls="--")
    axes[0, 0].set(xscale="log", ylabel="Offset over the Cramér-Rao bound", ylim=(0, 4))
    axes[1, 0].axhline(0, color="k", lw=0.8)
    axes[1, 0].set(xscale="log", ylabel="ln(estimated / true flux)", ylim=(-1, 1))
    for ax in axes[:, 0]:
        ax.set_xlabel("True flux 1-100 GeV (cm$^{-2}$ s$^{-1}$)")
        ax.legend()
    plot_coverage(probability_integral_transform(positions.distance2, 2), ax=axes[0, 1])
    axes[0, 1].set_title("Positions, before the recalibration")
    order = np.argsort(fluxes.bound)
    axes[1, 1].scatter(fluxes.bound[order], np.abs(fluxes.log_ratio[order]), s=3, alpha=0.3, label="sources")
    parts = np.array_split(order, 20)
    axes[1, 1].plot(
        [np.median(fluxes.bound[part]) for part in parts],
        [np.quantile(np.abs(fluxes.log_ratio[part]), 0.68) for part in parts],
        color="tab:red",
        label="68 % of them",
    )
    axes[1, 1].plot([0.01, 1], [0.01, 1], "k--", lw=0.8, label="Cramér-Rao bound")
    axes[1, 1].set(
        xscale="log",
        yscale="log",
        xlim=(0.01, 1),
        ylim=(1e-3, 3),
        xlabel="Relative error that the photons allow",
        ylabel="|ln(estimated / true flux)|",
    )
    axes[1, 1].legend()
    return fig
