# Licensed under a 3-clause BSD style license - see LICENSE
"""The library of generated structure and what simulations draw from it."""

import pytest
import torch
from numpy.testing import assert_allclose

from gammapy_asid.simulation.structure import NEAREST, StructureLibrary


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def library():
    """Fields that hold their latitude."""
    latitude = torch.linspace(0, 90, 901)
    return StructureLibrary(latitude[:, None, None].expand(-1, 16, 16).half(), latitude, 0.25)


def test_fields_are_of_the_latitude(library):
    latitude = torch.tensor([-60.0, 0.0, 45.0]).repeat(100)
    structure = library.draw(latitude, torch.full((300,), 3.0), 12, generator())
    assert structure.shape == (300, 12, 12)
    found = structure.mean((1, 2))
    # As many of the nearest, a tenth of a degree apart, lie on both sides
    assert (found - latitude.abs()).abs().max() < 0.1 * NEAREST + 0.1
    assert len(found[2::3].unique()) > 20


def test_parts_have_the_width_that_is_asked_for():
    ramp = torch.arange(32.0).expand(1, 32, 32)
    library = StructureLibrary(ramp.half(), torch.zeros(1), 0.25)
    structure = library.draw(torch.zeros(200), torch.full((200,), 4.0), 8, generator(1))
    # Pixels of 0.5 deg are two of the field, along x or y, upwards or downwards
    steps = torch.stack([structure.diff(dim=2).mean((1, 2)), structure.diff(dim=1).mean((1, 2))], 1)
    inside = (structure.amin((1, 2)) > 2) & (structure.amax((1, 2)) < 29)
    assert_allclose(steps[inside].abs().amax(1), 2, atol=0.02)
    assert_allclose(steps[inside].abs().amin(1), 0, atol=0.02)
    assert len(steps.round().unique(dim=0)) == 4
    # All parts of the field are used
    assert structure.min() < 1
    assert structure.max() > 30


def test_wide_patches_and_seeds(library):
    wide = torch.full((5,), 10.0)
    one, same = (library.draw(torch.zeros(5), wide, 20, generator(3)) for _ in range(2))
    assert torch.equal(one, same)
    assert torch.isfinite(one).all()


def test_files(library, tmp_path):
    path = tmp_path / "structure.safetensors"
    library.save(path)
    read = StructureLibrary.load(path)
    assert len(read) == 901
    assert read.pixel_size == 0.25
    assert torch.equal(read.structure, library.structure)
    assert_allclose(read.latitude, library.latitude)
    with pytest.raises(FileExistsError):
        library.save(path)
    path.write_bytes(b"no library")
    with pytest.raises(ValueError, match="is no library of structure"):
        StructureLibrary.load(path)
    with pytest.raises(FileNotFoundError):
        StructureLibrary.load(tmp_path / "nothing.safetensors")


@pytest.mark.parametrize(
    "n, shape, size", [(0, (0, 8, 8), 1), (3, (4, 8, 8), 1), (2, (2, 8, 9), 1), (2, (2, 8, 8), 0)]
)
def test_files_whose_parts_do_not_fit(tmp_path, n, shape, size):
    path = tmp_path / "structure.safetensors"
    StructureLibrary(torch.zeros(shape), torch.zeros(n), size).save(path)
    with pytest.raises(ValueError, match="is no library of structure"):
        StructureLibrary.load(path)


def test_files_with_gaps(tmp_path):
    path = tmp_path / "structure.safetensors"
    StructureLibrary(torch.full((1, 8, 8), torch.nan), torch.zeros(1), 1).save(path)
    with pytest.raises(ValueError, match="not all values are finite"):
        StructureLibrary.load(path)
