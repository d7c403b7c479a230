# Licensed under a 3-clause BSD style license - see LICENSE
import html
import json
import re
import shutil
import subprocess

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from click.testing import CliRunner
from gammapy.datasets import MapDataset
from gammapy.maps import Map, MapAxis, WcsGeom

from gammapy_asid import Candidates
from gammapy_asid.catalog import write_catalog
from gammapy_asid.catalog.columns import fit_columns
from gammapy_asid.cli import main
from gammapy_asid.plots import view_page
from gammapy_asid.plots.graticule import graticule

CENTRE = SkyCoord(0, 0, unit="deg", frame="galactic")
FLUX = u.Unit("cm-2 s-1")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture
def candidates():
    """Two fitted candidates with fluxes in two bands, and one outside the map with neither."""
    positions = CENTRE.directional_offset_by([90, 0, 0] * u.deg, [1, 0.5, 30] * u.deg)
    axes = np.array([[0.1, 0.05], [0.1, 0.1], [np.nan, np.nan]]) * u.deg
    geom = WcsGeom.create(skydir=CENTRE, npix=(60, 40), binsz=0.1, frame="galactic")
    rng = np.random.default_rng(0)
    maps = {"score": Map.from_geom(geom, data=rng.uniform(0, 1, (40, 60)))}
    maps["counts"] = Map.from_geom(geom, data=rng.poisson(2, (40, 60)).astype(float))
    maps["background"] = Map.from_geom(geom, data=np.full((40, 60), 2.0))
    meta = {"threshold": 0.5, "flux": {"bands": [[1, 10], None, [10, 100]]}, "energy_range": [1, 100]}
    meta["picture_range"] = [1.0, 100.0]
    own = axes, 2 * axes, 0 * u.deg, [0, 1, 4]
    some = Candidates.from_positions(positions, [0.99, 0.7, 0.6], *own, maps, meta)
    flux = np.array([[3e-9, np.nan, 3e-10], [2e-9, np.nan, 1e-12], [np.nan] * 3]) * FLUX
    columns = QTable({"flux_band": flux, "flux_band_errn": flux / 5, "flux_band_errp": flux / 4})
    columns["flux_band_errn"][1, 2] = 1e-11 * FLUX
    columns["flux_band_ul"] = 2 * flux
    columns["flux"], columns["e_min"], columns["e_max"] = [3.3e-9, 2e-9, 0] * FLUX, 1 * u.GeV, 100 * u.GeV
    fits = fit_columns([{"ts": 81.0, "sqrt_ts": 9.0}, {"ts": np.nan}, {}])
    return some.with_columns(columns).with_columns(fits, [0, 16, 0])


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])


def test_the_page_holds_what_is_known(candidates):
    page = view_page(candidates)
    data = data_of(page)
    assert [image["name"] for image in data["images"]] == ["Significance", "Counts", "Score map"]
    assert data["images"][0]["label"] == "Significance above the known sky, within 0.2°, 1–100 GeV"
    assert (data["sky"]["nx"], data["sky"]["ny"]) == (60, 40)
    first, second, third = data["sources"]
    # One degree to the east is ten pixels to the left of the middle of the map
    assert (first["x"], first["y"]) == pytest.approx((20, 20), abs=0.01)
    assert (second["x"], second["y"]) == pytest.approx((30, 25), abs=0.01)
    assert sorted(first["ellipse"][:2]) == pytest.approx([1, 2], rel=1e-3) and third["ellipse"] is None
    assert (first["ts"], first["sqrt_ts"], second["ts"]) == ("81.0", "9.0", None)
    assert [flag[0] for flag in second["flags"]] == ["near edge", "fit failed"]
    assert [flag[2] for flag in second["flags"]] == [False, True]
    points = first["spectrum"]["points"]
    assert [p["is_ul"] for p in points] == [False, False]
    assert [(p["low"], p["high"]) for p in points] == [pytest.approx((1, 10)), pytest.approx((10, 100))]
    assert [p["is_ul"] for p in second["spectrum"]["points"]] == [False, True]
    # E2 dN/dE of a flux F between E1 and E2 for an index of 2: F E1 E2 / (E2 - E1)
    expected = (3e-9 * FLUX * 10 / 9 * u.GeV).to_value("erg cm-2 s-1")
    assert points[0]["y"] == pytest.approx(expected, rel=1e-3)
    assert points[0]["down"] == pytest.approx(expected / 5, rel=1e-3)
    energy, value = np.array(first["spectrum"]["model"]).T
    # Of a power law of index 2 with this flux: E2 dN/dE is the same at all energies
    level = (3.3e-9 * FLUX * 100 / 99 * u.GeV).to_value("erg cm-2 s-1")
    assert energy[[0, -1]] == pytest.approx([1, 100]) and value == pytest.approx(level, rel=1e-3)
    assert third["spectrum"] is None and "outside" in third["flags"][0]
    heads = [head for head, _ in data["heads"]]
    assert first["cells"][heads.index("score")] == "0.990" and first["sort"][heads.index("TS")] == 81


def test_the_page_needs_no_network_and_trusts_no_name(candidates):
    candidates.table["name"] = ["</script><script>alert(1)</script>", "<b>", "c"]
    page = view_page(candidates, read_from=["<u>.fits"])
    assert page.count("</script>") == 2 and "<u>" not in page
    assert data_of(page)["sources"][0]["name"].startswith("</script>")
    assert "default-src 'none'" in page
    own = page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    assert "http" not in own and not re.search("@[A-Z]+@", own)


def test_other_data_and_no_maps(candidates):
    axis = MapAxis.from_energy_edges([1, 10] * u.GeV)
    geom = WcsGeom.create(skydir=CENTRE, npix=(30, 20), binsz=0.2, frame="galactic", axes=[axis])
    dataset = MapDataset(counts=Map.from_geom(geom, data=np.ones(geom.data_shape)), name="own")
    data = data_of(view_page(candidates, dataset))
    assert [image["name"] for image in data["images"]] == ["Counts", "Score map"]
    assert data["sky"]["nx"] == 30 and data["sources"][0]["x"] == pytest.approx(10, abs=0.01)
    bare = data_of(view_page(Candidates(candidates.table[:2])))
    assert bare["images"] == [] and 0 < bare["sources"][0]["x"] < bare["sky"]["nx"]
    # Without the flux of the whole range nothing tells the level of the curve
    candidates.table["flux"] = np.nan * FLUX
    (first, *_), label = data_of(view_page(candidates[:1]))["sources"], "power law, not fitted"
    assert first["spectrum"]["model"] == [] and first["spectrum"]["label"] == label
    assert data_of(view_page(candidates[:0]))["sources"] == []


@pytest.mark.parametrize("frame, lon, lat", [("galactic", 0, 0), ("icrs", 359.9, 60), ("icrs", 10, 89)])
def test_lines_of_equal_longitude_and_latitude(frame, lon, lat):
    skydir = SkyCoord(lon, lat, unit="deg", frame=frame)
    geom = WcsGeom.create(skydir=skydir, npix=(80, 60), binsz=0.1, frame=frame)
    lines = graticule(geom)
    assert 4 <= len(lines) <= 60
    for line in lines:
        sky = geom.wcs.pixel_to_world(*(np.array(line["points"]) - 0.5).T).data
        value = float(line["text"].rstrip("°"))
        # Longitudes crowd at the pole: the distance on the sky counts
        off_lon = np.abs((sky.lon.deg - value + 180) % 360 - 180) * np.cos(sky.lat.rad)
        assert min(off_lon.max(), np.abs(sky.lat.deg - value).max()) < 0.01


def view(*args):
    return CliRunner().invoke(main, ["view", *map(str, args)])


def test_command(candidates, tmp_path):
    folder = tmp_path / "results [1]"
    folder.mkdir()
    result = view(folder)
    assert result.exit_code == 2 and "has none of catalog.fits, fitted.fits, candidates.fits" in result.output
    candidates.write(folder / "candidates.fits")
    result = view(folder)
    assert result.exit_code == 0, result.output
    page = (folder / "view.html").read_text(encoding="utf-8")
    assert len(data_of(page)["sources"]) == 3 and "from candidates.fits." in page
    again = view(folder)
    assert again.exit_code == 2 and "--overwrite" in again.output
    # A catalogue has no maps: those of the candidates beside it are shown
    write_catalog(candidates, folder / "catalog.fits")
    assert view(folder, "--overwrite").exit_code == 0
    page = (folder / "view.html").read_text(encoding="utf-8")
    assert "from catalog.fits, candidates.fits." in page and len(data_of(page)["images"]) == 3
    own = tmp_path / "own.html"
    axis = MapAxis.from_energy_edges([1, 10] * u.GeV)
    geom = WcsGeom.create(skydir=CENTRE, npix=(30, 20), binsz=0.2, frame="galactic", axes=[axis])
    MapDataset(counts=Map.from_geom(geom, data=np.ones(geom.data_shape))).write(tmp_path / "field.fits")
    result = view(folder / "candidates.fits", "--dataset", tmp_path / "field.fits", "-o", own)
    assert result.exit_code == 0, result.output
    assert "from candidates.fits, field.fits." in own.read_text(encoding="utf-8")
    for path in (own, tmp_path / "field.fits"):
        path.unlink()
    bad = view(folder, "-o", tmp_path / "page.pdf")
    assert bad.exit_code == 2 and "must end in .html" in bad.output
    assert "no folder or file" in view(tmp_path / "none").output
    assert sorted(path.name for path in tmp_path.iterdir()) == [folder.name]


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_click_shows_the_source(candidates, tmp_path):
    page, names = view_page(candidates), candidates.names
    found = []
    for number in range(2):
        marks = "[...document.querySelectorAll('.source')]"
        mark = f"{marks}.find(own => own.textContent === {names[number]!r})"
        click = f"<script>{mark}.dispatchEvent(new MouseEvent('click'))</script></body>"
        path = tmp_path / f"{number}.html"
        path.write_text(page.replace("</body>", click), encoding="utf-8")
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
        command += ["--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path / 'profile'}"]
        run = subprocess.run([*command, path.as_uri()], capture_output=True, text=True, timeout=120)
        found.append(html.unescape(run.stdout))
    for number, dom in enumerate(found):
        name = names[number]
        details = dom[dom.index('id="details"') : dom.index("</section>", dom.index('id="details"'))]
        assert f"<h2>{name}</h2>" in details
        # Two points, of the second source one limit, and the curve
        assert details.count('class="point"') == 2 and details.count("<circle") == 2 - number
        assert details.count('class="model"') == 1
        assert ("TS 81.0" in details) == (number == 0) and ("No TS" in details) == (number == 1)
        chosen = re.findall(r'<tr class="chosen"><td>(.*?)</td>', dom)
        assert chosen == [name]
