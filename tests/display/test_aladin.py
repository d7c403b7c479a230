# Licensed under a 3-clause BSD style license - see LICENSE
import importlib.util
import sys
from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from regions import EllipseSkyRegion

from gammapy_asid import Candidates
from gammapy_asid.display import aladin


class Aladin:
    """Stand-in with the part of the public interface of ipyaladin 0.8 that is used."""

    def __init__(self, *, survey, target, fov, **options):
        self.survey, self.target, self.fov, self.options = survey, target, fov, options
        self.tables, self.regions = [], []

    def add_table(self, table, *, shape="cross", **table_options):
        self.tables.append((table, shape, table_options))

    def add_graphic_overlay_from_region(self, region, **graphic_options):
        self.regions.append((region, graphic_options))


@pytest.fixture
def installed(monkeypatch):
    module = SimpleNamespace(Aladin=Aladin, __spec__=object(), __name__="ipyaladin")
    monkeypatch.setitem(sys.modules, "ipyaladin", module)


def candidates(ra, dec, axes=0.05):
    n = len(ra)
    axes = np.full((n, 2), axes) * u.deg
    return Candidates.from_positions(SkyCoord(ra, dec, unit="deg"), np.full(n, 0.9), axes, 2 * axes, flags=1)


def test_candidates_on_a_survey(installed):
    # On both sides of the zero of the right ascension
    widget = candidates([359.0, 1.0], [0.0, 0.0]).show(height=600)
    assert widget.survey == "P/Fermi/color" and widget.options == {"height": 600}
    ra, dec = map(float, widget.target.split())
    assert (ra + 180) % 360 == pytest.approx(180) and dec == pytest.approx(0)
    assert widget.fov == pytest.approx(2.4)
    ((table, shape, options),) = widget.tables
    assert list(table["ra"].to_value("deg")) == [359, 1] and list(table["flags"]) == ["near edge"] * 2
    assert shape == "circle" and options["name"] == "Candidates"
    ((regions, _),) = widget.regions
    assert [type(region) for region in regions] == [EllipseSkyRegion] * 2
    assert regions[0].width == 0.2 * u.deg


def test_all_sky_and_sources_without_errors(installed):
    widget = candidates([0, 180, 90, 270], [0, 0, 0, 0], np.nan).to_catalog().show("P/DSS2/color")
    assert widget.fov == 180 and widget.survey == "P/DSS2/color" and widget.regions == []


def test_nothing_to_show(installed):
    with pytest.raises(ValueError, match="nothing to show: 0 candidates"):
        candidates([], []).show()


def test_without_ipyaladin(monkeypatch):
    monkeypatch.setattr(aladin, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'gammapy-asid\[interactive\]'"):
        candidates([0.0], [0.0]).show()


@pytest.mark.skipif(importlib.util.find_spec("ipyaladin") is None, reason="needs ipyaladin")
def test_with_ipyaladin():
    widget = candidates([10.0, 12.0], [0.0, 0.0]).show()
    assert len(widget.overlays) == 2
    assert widget.fov.to_value("deg") == pytest.approx(2.4, rel=0.01)
