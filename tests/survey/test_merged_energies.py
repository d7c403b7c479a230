# Licensed under a 3-clause BSD style license - see LICENSE
"""Energies of a list of tiles whose data have different ones."""

from gammapy_asid.survey.merge import _merged_meta


def test_energies_of_tiles_that_differ(caplog):
    low = {
        "energy_range": [1, 20],
        "flux": {"energy_range": [1, 20], "bands": [[1, 2], [2, 7], [7, 20], None]},
    }
    high = {
        "energy_range": [5, 20],
        "flux": {"energy_range": [5, 20], "bands": [None, [5, 7], [7, 20], None]},
    }
    for metas in ([low, high], [high, low]):
        merged = _merged_meta(metas)
        assert merged["energy_range"] == merged["flux"]["energy_range"] == [1, 20]
        assert merged["flux"]["bands"] == [[1, 2], None, [7, 20], None]
    assert "different parts of the band of 2-7 GeV" in caplog.text
    caplog.clear()
    assert _merged_meta([low, low]) == low and not caplog.records
