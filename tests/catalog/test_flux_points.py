# Licensed under a 3-clause BSD style license - see LICENSE
"""Fluxes in bands as flux points of Gammapy."""

import astropy.units as u
import numpy as np
from astropy.table import QTable
from numpy.testing import assert_allclose

from gammapy_asid import Candidates, SourceFluxes
from gammapy_asid.catalog import SourceCatalogASID

E_MIN, E_MAX, FLUX = [1, 7] * u.GeV, [2, 20] * u.GeV, [1e-9, 1e-10] * u.Unit("cm-2 s-1")


def assert_right(points):
    """An index of 2: the integral of A / E**2 from a to b is A (1 / a - 1 / b)."""
    flux, dnde = points.to_table(sed_type="flux"), points.to_table(sed_type="dnde")
    there = np.isfinite(flux["flux"])
    for name, edges in (("e_min", E_MIN), ("e_max", E_MAX)):
        assert_allclose(flux[name][there].quantity.to_value("GeV"), edges.value)
    assert_allclose(flux["flux"][there].quantity.to_value("cm-2 s-1"), FLUX.value)
    right = FLUX / (1 / E_MIN - 1 / E_MAX) / (E_MIN * E_MAX)
    assert_allclose(dnde["dnde"][there].quantity.to_value("cm-2 s-1 GeV-1"), right.to_value("cm-2 s-1 GeV-1"))
    assert not flux["is_ul"].any()


def test_points_keep_their_energies_beside_a_gap():
    columns = {name: FLUX[None] / 10 for name in ("flux_err", "flux_errn", "flux_errp", "flux_ul")}
    bands = QTable({"flux": FLUX[None], **columns, "is_ul": np.zeros((1, 2), bool)})
    bands.meta |= {"e_min": E_MIN, "e_max": E_MAX, "index": np.array([0, 2])}
    total = {"flux": FLUX[:1], **{name: FLUX[:1] / 10 for name in columns}, "is_ul": [False]}
    whole = {"name": ["a"], "ra": [1] * u.deg, "dec": [2] * u.deg, "e_min": E_MIN[:1], "e_max": E_MAX[1:]}
    table = QTable(whole | total | {"index": [2.0], "flags": [0]})
    fluxes = SourceFluxes(table, bands, {"bands": [[1, 2], None, [7, 20]], "energy_range": [1, 20]})
    assert_right(fluxes.flux_points(0))
    position = {"ra": [1.0] * u.deg, "dec": [2.0] * u.deg, "name": ["a"]}
    candidates = Candidates.from_table(QTable(position)).with_fluxes(fluxes)
    assert_right(candidates.to_catalog()[0].flux_points)
    assert isinstance(candidates.to_catalog(), SourceCatalogASID)
