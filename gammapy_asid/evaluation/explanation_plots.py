# Licensed under a 3-clause BSD style license - see LICENSE
"""Pictures of what a decision rests on."""

import numpy as np
from matplotlib.figure import Figure

__all__ = ["plot_explanation"]

#: Blue speaks for the class, red against it; both are told apart by all eyes.
COLOURS = "RdBu"


def plot_explanation(shares, bands=None, years=None, image=None, title=None, difference=None):
    """What each band adds in each year to the logit of a class, with the sums of the bands and of the years.

    Parameters
    ----------
    shares : `~numpy.ndarray`
        One source of `~gammapy_asid.evaluation.explanation.Explanation.bands_and_years`, shape
        ``(n_bands, n_years)``.
    bands, years : sequence of str, optional
        Names of the bands, such as their energies, and of the years.
    image : `~numpy.ndarray`, optional
        What each pixel adds, drawn beside it; shape ``(height, width)``.
    title : str, optional
        Source and class.
    difference : float, optional
        Difference of the logits, stated beside the sum.

    Returns
    -------
    figure : `~matplotlib.figure.Figure`
        Figure.

    Raises
    ------
    ValueError
        If the shares are no image, or bands or years are others than theirs.
    """
    shares = np.asarray(shares, dtype=float)
    if shares.ndim != 2:
        raise ValueError(f"The shares must be those of one source, (bands, years), got {shares.shape}")
    bands, years = (
        [str(i + 1) for i in range(n)] if names is None else [str(name) for name in names]
        for names, n in zip((bands, years), shares.shape, strict=True)
    )
    if (len(bands), len(years)) != shares.shape:
        raise ValueError(f"{len(bands)} bands and {len(years)} years for shares of shape {shares.shape}")
    figure = Figure(figsize=(6.6 if image is None else 10.2, 4.2), layout="constrained")
    widths = [4, 1] if image is None else [4, 1, 3]
    axes = figure.subplots(2, len(widths), width_ratios=widths, height_ratios=[1, 3], squeeze=False)
    for ax in [axes[0, 1], *axes[0, 2:]]:
        ax.axis("off")
    _heat(figure, axes[1, 0], shares, bands, years)
    _bars(axes[0, 0].bar, axes[0, 0].axhline, shares.sum(axis=0))
    axes[0, 0].set(ylabel="All bands", xlim=(-0.5, len(years) - 0.5), xticks=[])
    _bars(axes[1, 1].barh, axes[1, 1].axvline, shares.sum(axis=1))
    axes[1, 1].set(xlabel="All years", ylim=(-0.5, len(bands) - 0.5), yticks=[])
    if image is not None:
        _image(axes[1, 2], np.asarray(image, dtype=float))
    text = f"sum {shares.sum():+.2f}"
    if difference is not None:
        text += f" of a difference of {difference:+.2f}"
    figure.suptitle(f"{title}: {text}" if title else text.capitalize())
    return figure


def _limit(values):
    """Largest value that the colours show; 1 where all are zero."""
    return np.abs(values).max() or 1.0


def _heat(figure, ax, shares, bands, years):
    limit = _limit(shares)
    shown = ax.imshow(shares, origin="lower", aspect="auto", cmap=COLOURS, vmin=-limit, vmax=limit)
    ax.set(xticks=range(len(years)), yticks=range(len(bands)), xticklabels=years, yticklabels=bands)
    ax.set(xlabel="Year", ylabel="Energy")
    if len(years) > 6:
        ax.tick_params("x", rotation=45)
    ax.grid(False)
    figure.colorbar(shown, ax=ax, label="Added to the logit", location="left", pad=0.02)


def _bars(bars, line, values):
    colours = np.where(values < 0, "#b2182b", "#2166ac")
    bars(np.arange(len(values)), values, color=colours)
    line(0, color="0.3", linewidth=0.8)


def _image(ax, image):
    limit = _limit(image)
    ax.imshow(image, origin="lower", cmap=COLOURS, vmin=-limit, vmax=limit)
    ax.set(xticks=[], yticks=[], title="Pixels, all bands and years")
