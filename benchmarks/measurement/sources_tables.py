# Licensed under a 3-clause BSD style license - see LICENSE
"""Rows of the tables of the benchmark of positions and fluxes."""

import numpy as np

from ..common import spread68

__all__ = ["coverage_rows", "flux_rows", "position_rows"]

#: Bins of S1 (1-100 GeV): decades.
DECADES = 10.0 ** np.arange(-11, -6)


def position_rows(sources, result, edges):
    """Offsets beside the bound in bins of flux, isolated and crowded."""
    rows, flux = [], sources.flux.numpy()
    isolated = sources.isolated.numpy()
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        for kind, chosen in (("isolated", isolated), ("crowded", ~isolated)):
            own = chosen & (flux >= low) & (flux < high)
            if own.sum() >= 20:
                ratio = np.median(result.offset[own] / result.bound[own])
                rows.append(
                    [
                        f"{low:.1e}-{high:.1e}",
                        kind,
                        f"{own.sum()}",
                        f"{np.median(result.offset[own]):.4f}",
                        f"{np.median(result.bound[own]):.4f}",
                        f"{ratio:.2f}",
                    ]
                )
    return rows


def flux_rows(sources, result, edges):
    """Bias and scatter beside the bound in bins of flux, of all sources, the isolated and the crowded ones.

    The bias is given twice, in bins of the true flux and in those of the estimated one: no estimate is right
    in both, where faint sources are more frequent than bright ones.
    """
    rows, flux, estimated = [], sources.flux.numpy(), np.exp(result.log_flux)
    isolated = sources.isolated.numpy()
    kinds = {"isolated": isolated, "crowded": ~isolated, "all": np.ones(len(flux), bool)}
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        for kind, chosen in kinds.items():
            own = chosen & (flux >= low) & (flux < high)
            other = chosen & (estimated >= low) & (estimated < high)
            if own.sum() >= 20 and other.any():
                ratio = result.log_ratio[own]
                rows.append(
                    [
                        f"{low:.1e}-{high:.1e}",
                        kind,
                        f"{own.sum()}",
                        f"{100 * np.expm1(np.median(ratio)):+.1f} %",
                        f"{100 * np.expm1(np.median(result.log_ratio[other])):+.1f} %",
                        f"{100 * spread68(ratio):.1f} %",
                        f"{spread68(ratio / result.bound[own]):.2f}",
                    ]
                )
    return rows


def coverage_rows(name, sources, inside, flux):
    """Coverage overall, in decades of flux and for both latitudes."""
    latitude = np.abs(sources.latitude.numpy())
    cuts = {"all": np.ones(len(inside), bool)}
    cuts |= {
        f"{low:.0e}-{high:.0e}": (flux >= low) & (flux < high)
        for low, high in zip(DECADES[:-1], DECADES[1:], strict=True)
    }
    cuts |= {"abs(b) > 10": latitude > 10, "abs(b) < 10": latitude < 10}
    return [
        [name, cut, f"{own.sum()}", *(f"{share:.3f}" for share in inside[own].mean(axis=0))]
        for cut, own in cuts.items()
        if own.sum() >= 50
    ]
