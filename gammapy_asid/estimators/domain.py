# Licensed under a 3-clause BSD style license - see LICENSE
"""The check that every estimator makes before it trusts a model with a field."""

import logging
from dataclasses import replace

from ..inputs.bands import BandCube
from ..inputs.convert import to_band_cube
from ..inputs.field_parts import EnergyRangeError
from ..inputs.rebin import block_mean
from ..inputs.trusted_sky import prediction_problem
from ..learning.domain import field_domain
from ..learning.io import load_card
from ..learning.model_files import ENSEMBLES, find_model, list_models
from ..tasks.extension.card import ExtensionCard

__all__ = ["band_cube", "check_domain", "check_instrument"]

log = logging.getLogger(__name__)

TRAIN = "train on this dataset with 'gammapy-asid train --dataset'"


def band_cube(datasets, card, **kwargs):
    """Bring datasets to the bands of a model; a known sky that is none is left out.

    ``meta["known_sky"]`` of the cube tells whether background and models are ``given``, there are ``none``,
    or only counts are used, and why.

    Parameters
    ----------
    datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
        Data of one field, or the band cube of them.
    card : `~gammapy_asid.learning.card.Card`
        Card of the model.
    **kwargs
        Of `~gammapy_asid.inputs.to_band_cube`.

    Returns
    -------
    cube : `~gammapy_asid.inputs.BandCube`
        Field.

    Raises
    ------
    ValueError
        If the data can't be used; names the shipped model that serves their energies, if there is one.
    """
    try:
        cube = to_band_cube(datasets, card.to_bands(), **kwargs)
    except EnergyRangeError as error:
        other = None if isinstance(card, ExtensionCard) else _suited_model(datasets, card)
        if other is None:
            raise
        raise EnergyRangeError(f"{error} The shipped model {other!r} serves these data.") from None
    background, known_sky = cube.background, "given"
    if not cube.has_background:
        # A cube that was judged before tells why
        before = cube.meta.get("known_sky", "none")
        known_sky = before if before.startswith("counts only") else "none"
    else:
        masks = [block_mean(mask, 2**level) for mask, level in zip(cube.mask, cube.bands.levels, strict=True)]
        problem = prediction_problem(cube.counts, cube.background, masks)
        if problem is not None:
            log.warning(
                f"Background and models are not the known sky, {problem}: they are left out, and only counts "
                "are used. Set dataset.background to all diffuse emission and instrumental background."
            )
            background, known_sky = None, f"counts only: {problem}"
    return replace(cube, background=background, meta=cube.meta | {"known_sky": known_sky})


def check_instrument(card, cube, datasets):
    """Compare a field with the training of a model; refuse the data of another instrument.

    Parameters
    ----------
    card : `~gammapy_asid.learning.card.Card`
        Card of the model.
    cube : `~gammapy_asid.inputs.BandCube`
        Field.
    datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
        What the cube was made of, in which another model may see more.

    Returns
    -------
    domain : `~gammapy_asid.learning.domain.Domain`
        Comparison.

    Raises
    ------
    ValueError
        If the data are those of another instrument, or another shipped model is nearer to them.
    """
    domain = field_domain(card, cube)
    if not domain.problems:
        return domain
    other = _suited_model(datasets, card, cube, float("inf") if domain.is_far else domain.departure)
    if other is not None:
        text = f"use the shipped model {other!r}, which is nearer to these data, or {TRAIN}."
        raise ValueError(f"{_sentence(domain)}: {text}")
    if domain.is_far:
        where = "other models are" if isinstance(datasets, BandCube) else "no shipped model is"
        raise ValueError(f"{_sentence(domain)}: {where} for such data, {TRAIN}.")
    return domain


def check_domain(card, cube, datasets, consequence):
    """As `check_instrument`, with a warning where the field lies outside the training of the model.

    Parameters
    ----------
    card, cube, datasets
        See `check_instrument`.
    consequence : str
        What becomes of the results if the field lies outside.

    Returns
    -------
    domain : `~gammapy_asid.learning.domain.Domain`
        Comparison.
    """
    scale = cube.bands.pixel_size / card.to_bands().pixel_size
    if scale > 1:
        log.warning(
            f"The pixels of the data are coarse: angles of model {card.name!r} are taken {scale:.1f} times "
            f"larger, and a candidate is a source within {cube.bands.match_radius:.2g} deg of it."
        )
    domain = check_instrument(card, cube, datasets)
    if domain.problems:
        log.warning(f"{_sentence(domain)}: {consequence}; check its results, or {TRAIN}.")
    return domain


def _sentence(domain):
    text = "; ".join(domain.problems)
    return text[0].upper() + text[1:]


def _suited_model(datasets, card, cube=None, departure=float("inf")):
    """Shipped model to whose training the data are nearest, if nearer than `departure`.

    It must see at least half of the counts of the cube.
    """
    if isinstance(datasets, BandCube):
        return None
    best, counts = None, 0 if cube is None else sum(image.sum() for image in cube.counts)
    # Ensembles have the name of the detection model that they belong to
    task = "detection" if card.task in ENSEMBLES else card.task
    for name in list_models(task):
        other = load_card(find_model(name, task))
        if other.to_bands().same_energies(card.to_bands()):
            continue
        try:
            seen = to_band_cube(datasets, other.to_bands())
        except ValueError:
            continue
        domain = field_domain(other, seen)
        enough = sum(image.sum() for image in seen.counts) >= counts / 2
        if enough and not domain.is_far and domain.departure < departure:
            best, departure = name, domain.departure
    return best
