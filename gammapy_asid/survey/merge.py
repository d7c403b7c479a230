# Licensed under a 3-clause BSD style license - see LICENSE
"""One list of the candidates of overlapping tiles."""

import logging

import numpy as np
from astropy.table import vstack
from scipy.spatial import KDTree

from ..catalog.candidates import Candidates
from ..catalog.flux_points import SAME_EDGE
from ..catalog.names import iau_names
from ..utils.sky_geometry import chord, chord_angle, unit_vectors

__all__ = ["merge_fields", "merge_tiles"]

log = logging.getLogger(__name__)

#: Largest distance in deg at which two candidates can be one, and the largest reach out of a core: a wider
#: error circle says little of a place, and would join what is near it by chance.
LARGEST_ERROR = 0.5


def merge_tiles(lists, tiles, smallest_error):
    """Join the candidates of tiles, each source once.

    A tile contributes what lies in its core, or outside of it by less than the 95 % error
    radius. Candidates of different tiles are one source if their error circles agree, that is
    if they are nearer than the two 95 % radii added in quadrature; the one with the higher score stays.

    Parameters
    ----------
    lists : dict of int to `~gammapy_asid.Candidates`
        Candidates of each tile.
    tiles : `~gammapy_asid.survey.SkyTiles`
        The tiles.
    smallest_error : float
        Radius in deg below which no error circle falls, for the grids of two tiles differ.

    Returns
    -------
    candidates : `~gammapy_asid.Candidates`
        By decreasing score.
    """
    kept, owner = [], []
    for tile, candidates in sorted(lists.items()):
        near = tiles.is_near_core(tile, candidates.positions, _error(candidates.table, smallest_error))
        kept.append(candidates.table[near])
        owner.append(np.full(near.sum(), tile))
    table, owner = vstack(kept, metadata_conflicts="silent"), np.concatenate(owner)
    # Equal scores in the order of the names: the list does not depend on which tile came first
    order = np.lexsort((table["name"], -table["score"]))
    table, owner = table[order], owner[order]
    table = table[_first_of_each(table, owner, smallest_error)]
    merged = Candidates(
        table, meta=_merged_meta([candidates.meta for _, candidates in sorted(lists.items())])
    )
    merged.table["name"] = np.array(iau_names(merged.positions), dtype=str)
    return merged


def merge_fields(lists):
    """Join the candidates of fields that are apart.

    Parameters
    ----------
    lists : list of `~gammapy_asid.Candidates`
        Candidates of each field.

    Returns
    -------
    candidates : `~gammapy_asid.Candidates`
        Of all, one field after the other, without maps.
    """
    if len(lists) == 1:
        return Candidates(lists[0].table, meta=lists[0].meta)
    table = vstack([candidates.table for candidates in lists], metadata_conflicts="silent")
    return Candidates(table, meta=_merged_meta([candidates.meta for candidates in lists]))


def _merged_meta(metas):
    """Provenance of all tiles: that of the first, energies of all, and what is outside of the training."""
    problems = sorted({problem for meta in metas for problem in meta.get("outside_training", ())})
    known_sky = sorted({meta["known_sky"] for meta in metas if "known_sky" in meta})
    merged = dict(metas[0])
    if "classes" in merged:
        own = sorted({problem for meta in metas for problem in meta["classes"]["outside_training"]})
        merged["classes"] = merged["classes"] | {"outside_training": own}
    if known_sky:
        merged["known_sky"] = "; ".join(known_sky)
        merged["background"] = all(meta["background"] for meta in metas)
    merged |= _energies(metas)
    fluxes = [meta["flux"] for meta in metas if "flux" in meta]
    if fluxes:
        merged["flux"] = fluxes[0] | _energies(fluxes) | {"bands": _same_bands(fluxes)}
    if problems:
        merged |= {"outside_training": problems, "expected_purity": np.nan, "expected_completeness": np.nan}
    return merged


def _energies(metas):
    """Range of energies of all, where it is stated."""
    ranges = [meta["energy_range"] for meta in metas if "energy_range" in meta]
    return {"energy_range": _widest(ranges)} if ranges else {}


def _widest(ranges):
    """Range of energies that holds all."""
    return [min(low for low, _ in ranges), max(high for _, high in ranges)]


def _same_bands(fluxes):
    """Energies of each band, None where no tile has it, or where those of tiles differ."""
    merged = []
    for bands in zip(*(flux["bands"] for flux in fluxes), strict=True):
        known = [band for band in bands if band is not None]
        same = bool(known) and np.allclose(known, known[0], rtol=SAME_EDGE, atol=0)
        if known and not same:
            low, high = _widest(known)
            log.warning(
                f"Tiles hold different parts of the band of {low:.4g}-{high:.4g} GeV: its fluxes are in the "
                "table, without flux points."
            )
        merged.append(known[0] if same else None)
    return merged


def _error(table, smallest):
    return np.clip(table["pos_err_95"].to_value("deg"), smallest, LARGEST_ERROR)


def _first_of_each(table, owner, smallest_error):
    """Whether a row is the first of those that are one source, shape ``(n,)``."""
    keep = np.ones(len(table), dtype=bool)
    if len(table) < 2:
        return keep
    vectors = unit_vectors(table["ra"].to_value("deg"), table["dec"].to_value("deg"))
    reach = chord(np.sqrt(2) * LARGEST_ERROR)
    first, second = KDTree(vectors).query_pairs(reach, output_type="ndarray").T
    distance = chord_angle(np.linalg.norm(vectors[first] - vectors[second], axis=1))
    error = _error(table, smallest_error)
    same = (owner[first] != owner[second]) & (distance < np.hypot(error[first], error[second]))
    # From the highest score down, so that only what stays can drop another
    for i, j in sorted(zip(first[same], second[same], strict=True)):
        keep[j] &= not keep[i]
    return keep
