# Licensed under a 3-clause BSD style license - see LICENSE
"""Folders of work: nothing is mixed, what is missing or damaged is made anew or named."""

import os
import pickle
import subprocess
import sys
from functools import partial
from pathlib import PurePosixPath

import astropy.units as u
import numpy as np
import pytest
import torch
from astropy.table import Table
from gammapy.datasets import MapDataset
from gammapy.irf import PSFMap
from gammapy.maps import Map, MapAxis, WcsGeom
from gammapy.modeling.models import (
    FoVBackgroundModel,
    PointSpatialModel,
    PowerLawNormSpectralModel,
    PowerLawSpectralModel,
    SkyModel,
    TemplateSpatialModel,
)

from gammapy_asid.tasks.detection.recipe import DetectionRecipe
from gammapy_asid.tasks.detection.simulator import build_simulator
from gammapy_asid.utils.digests import digest
from gammapy_asid.utils.work_folder import WorkFolder


def field(energies=(1, 10, 100), unit="cm2 s", binsz=1.0, sigma=0.5, name=None, **maps):
    """Small dataset; equal arguments give equal data, whatever its name."""
    energy = MapAxis.from_energy_edges(energies * u.GeV)
    true = MapAxis.from_energy_edges(energies * u.GeV, name="energy_true")
    geom = WcsGeom.create(npix=(4, 3), binsz=binsz)
    return MapDataset(
        counts=Map.from_geom(geom.to_cube([energy]), data=maps.get("counts", 1.0)),
        background=Map.from_geom(geom.to_cube([energy]), data=maps.get("background", 0.5)),
        exposure=Map.from_geom(geom.to_cube([true]), data=1e11, unit=unit),
        psf=PSFMap.from_gauss(true, sigma=sigma * u.deg),
        mask_safe=Map.from_geom(geom.to_cube([energy]), data=maps.get("mask", True), dtype=bool),
        name=name,
    )


def with_models(*models):
    dataset = field()
    dataset.models = list(models)
    return dataset


def with_background_model():
    dataset = field()
    dataset.models = [FoVBackgroundModel(dataset_name=dataset.name)]
    return dataset


def source(index=2.0, name=None, **kwargs):
    return SkyModel(PowerLawSpectralModel(index=index), PointSpatialModel(**kwargs), name=name)


def template(value):
    energy = MapAxis.from_energy_bounds("1 GeV", "1 TeV", nbin=2, name="energy_true")
    m = Map.create(npix=4, axes=[energy], unit="cm-2 s-1 MeV-1 sr-1")
    m.data += value
    return SkyModel(PowerLawNormSpectralModel(), TemplateSpatialModel(m, normalize=False, filename="a.fits"))


def test_equal_data_have_equal_digests():
    assert digest(field(name="one")) == digest(field(name="two"))
    assert digest(with_models(source(name="a"))) == digest(with_models(source(name="b")))
    background = [field(name=name) for name in ("one", "two")]
    for dataset in background:
        dataset.models = [FoVBackgroundModel(dataset_name=dataset.name)]
    assert digest(background[0]) == digest(background[1])
    assert digest({"a": 1, "b": [2.0, None]}) == digest({"b": (np.float64(2), None), "a": np.int64(1)})


@pytest.mark.parametrize(
    ("value", "start"),
    [
        (None, "f15ea2e6abf2"),
        (1.5, "0a3c4467d62a"),
        (np.float64(1.5), "0a3c4467d62a"),
        ("a", "169b60836f39"),
        (b"a", "982706176aba"),
        ([1, ("b",)], "4774b7282ac8"),
        ({"b": 1, "a": None}, "47851f050403"),
        ({1, 2}, "0c849216f41d"),
        (u.m, "7788fe304a4a"),
        (3 * u.m, "73dab42d9bb3"),
        (np.arange(3), "7f2ca90de5ef"),
        (torch.ones(2, dtype=torch.bfloat16), "0d937d467fd1"),
        (int, "136f063af387"),
        (partial(int, base=3), "d06f7637406a"),
        (PurePosixPath("/x"), "df30deb06676"),
    ],
)
def test_digests_are_those_of_version_0_1(value, start):
    assert digest(value).startswith(start)


@pytest.mark.parametrize(
    "other",
    [
        field(energies=(5, 50, 500)),
        field(unit="10 cm2 s"),
        field(binsz=1.1),
        field(sigma=0.51),
        field(counts=2.0),
        field(background=0.6),
        field(mask=np.arange(24).reshape(2, 3, 4) > 0),
        with_models(source()),
        with_models(source(lon_0="1 deg")),
        with_models(source(index=2.1)),
        with_models(template(1.0)),
        with_models(template(2.0)),
        with_background_model(),
    ],
)
def test_all_that_a_result_depends_on_is_in_the_digest(other):
    assert digest(other) != digest(field())
    again = [digest(with_models(template(value))) for value in (1.0, 2.0)]
    assert again[0] != again[1]


def test_units_and_masks_of_tables():
    table = Table({"flux": [1.0, 2.0]})
    others = [Table({"flux": [1.0, 2.0] * u.m}), Table({"flux": [1.0, 3.0]}), Table({"other": [1.0, 2.0]})]
    others.append(Table({"flux": np.ma.array([1.0, 2.0], mask=[True, False])}))
    assert len({digest(t) for t in [table, *others]}) == 5


def test_digest_is_that_of_any_process(tiny_recipe, make_response, tmp_path):
    simulator = build_simulator(tiny_recipe, [make_response(0.1)], [1.0])
    own = digest([tiny_recipe, simulator, {"a", "b", "c"}])
    simulator.draw(2, 1)
    assert digest([tiny_recipe, simulator, {"a", "b", "c"}]) == own
    path = tmp_path / "parts"
    path.write_bytes(pickle.dumps((tiny_recipe, make_response(0.1))))
    code = (
        "import pickle, sys; from gammapy_asid.utils.digests import digest\n"
        "from gammapy_asid.tasks.detection.simulator import build_simulator\n"
        "recipe, response = pickle.load(open(sys.argv[1], 'rb'))\n"
        "simulator = build_simulator(recipe, [response], [1.0])\n"
        "print(digest([recipe, simulator, {'a', 'b', 'c'}]))"
    )
    other = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, path],
        env=os.environ | {"PYTHONHASHSEED": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.strip() == own


def write(work, name, text="content"):
    with work.new_file(name) as temporary:
        temporary.write_text(text)


def make(folder, recipe="one", **kwargs):
    return WorkFolder(folder, "training", {"recipe": DetectionRecipe(name=recipe), "data": field()}, **kwargs)


def test_other_work_is_named(tmp_path):
    work = make(tmp_path / "a")
    write(work, "a.txt")
    assert make(tmp_path / "a").find("a.txt").read_text() == "content"
    with pytest.raises(
        ValueError, match=r"holds a training of other data .*\(recipe\): choose another folder"
    ):
        make(tmp_path / "a", "two")
    other = make(tmp_path / "a", "two", overwrite=True)
    assert other.find("a.txt") is None and other.find_or_refuse("a.txt") is None
    # The list of the second may go on; that of the first is gone
    assert make(tmp_path / "a", "two", overwrite=True).find("a.txt") is None
    with pytest.raises(ValueError, match="recipe"):
        make(tmp_path / "a")


def test_missing_damaged_and_foreign_files(tmp_path):
    work = make(tmp_path)
    write(work, "a.txt", "first")
    write(work, "a.txt", "second")
    write(work, "b.txt", "other")
    (tmp_path / "c.txt").write_text("from elsewhere")
    assert work.find("a.txt").read_text() == "second"
    # Both versions are of this work: a run may be killed before the second takes its place
    (tmp_path / "a.txt").write_text("first")
    assert work.find("a.txt") is not None
    for name, content in (
        ("a.txt", "seco"),
        ("a.txt", "secOnd"),
        ("a.txt", "other"),
        ("c.txt", "from elsewhere"),
    ):
        (tmp_path / name).write_text(content)
        assert work.find(name) is None
        with pytest.raises(ValueError, match=f"{name} is not as this training wrote it"):
            work.find_or_refuse(name)
    (tmp_path / "a.txt").unlink()
    assert work.find_or_refuse("a.txt") is None
    # Without its list nothing is of this work
    work.journal.unlink()
    assert make(tmp_path).find("b.txt") is None


def test_damaged_list(tmp_path):
    work = make(tmp_path)
    for name in "ab":
        write(work, name)
    whole = work.journal.read_bytes()
    # Killed while the last line was written
    work.journal.write_bytes(whole[:-10])
    again = make(tmp_path)
    assert again.find("a") and again.find("b") is None
    write(again, "b")
    assert make(tmp_path).find("b")
    for content in (b"", b"\xff" * 50, b"[]", b'{"of": 3}'):
        work.journal.write_bytes(content)
        with pytest.raises(ValueError, match="training.jsonl is damaged"):
            make(tmp_path)


def test_products(tmp_path):
    product = tmp_path / "model.safetensors"
    product.write_text("of the user")
    with pytest.raises(FileExistsError, match="--overwrite"):
        make(tmp_path / "run").claim([product])
    product.unlink()
    work = make(tmp_path / "run")
    work.claim([product])
    product.write_text("half")
    # What a killed run left is written again
    work = make(tmp_path / "run")
    work.claim([product])
    assert not work.is_finished([product])
    product.write_text("whole")
    work.finish([product])
    assert make(tmp_path / "run").is_finished([product])
    # With the folder moved
    (tmp_path / "run").rename(tmp_path / "moved")
    assert make(tmp_path / "moved").is_finished([product])
    product.write_text("changed by the user")
    work = make(tmp_path / "moved")
    assert not work.is_finished([product])
    with pytest.raises(FileExistsError):
        work.claim([product])
    make(tmp_path / "moved", overwrite=True).claim([product])


def test_full_disk_leaves_the_file_before(tmp_path):
    work = make(tmp_path)
    write(work, "a.txt", "before")
    with pytest.raises(OSError), work.new_file("a.txt") as temporary:
        temporary.write_text("half of")
        raise OSError(28, "No space left on device")
    assert work.find("a.txt").read_text() == "before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt", "training.jsonl"]


def test_one_at_a_time(tmp_path):
    with make(tmp_path).alone():
        with pytest.raises(ValueError, match="Another process is at this training"), make(tmp_path).alone():
            pass
    with make(tmp_path).alone():
        pass
