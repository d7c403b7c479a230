# Licensed under a 3-clause BSD style license - see LICENSE
"""Files .npy of fermipy are read without running anything in them."""

import io
import pickle
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gammapy_asid.likelihood.fermipy import read_fermipy
from gammapy_asid.likelihood.fermipy.npy import load_results
from gammapy_asid.likelihood.fermipy.plain_pickle import DEEPEST, plain_pickle

VALUES = {
    "numbers": [1, -3, 2**70, 1.5, float("inf"), True, None, 1 + 2j],
    "numpy": [np.float64(2.5), np.float32(0.1), np.int16(-4), np.bool_(False), np.str_("s")],
    "texts": ("a", "é", b"\x00\xff", ""),
    "arrays": [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.eye(3, dtype="f4")),
        np.arange(3, dtype=">i4"),
    ],
    "strings": [np.array(["one", "two"]), np.array([b"a", b"bc"])],
    "empty": [np.zeros((0, 3)), [], {}, ()],
    "ordered": OrderedDict([("b", 1), ("a", OrderedDict())]),
    "sets": [{"x", "y"}, frozenset({1, 2})],
}


def save(path, value):
    np.save(path, value)
    return path


def assert_same(one, other):
    if isinstance(other, dict):
        assert isinstance(one, dict) and list(one) == list(other)
        for key in other:
            assert_same(one[key], other[key])
    elif isinstance(other, (list, tuple)):
        assert type(one) is type(other) and len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    elif isinstance(other, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    else:
        assert one == other and isinstance(one, type(other) if not isinstance(other, frozenset) else set)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_values_in_all_protocols(protocol):
    assert_same(plain_pickle(pickle.dumps(VALUES, protocol)), VALUES)


def test_file_of_one_dictionary(tmp_path):
    assert_same(load_results(save(tmp_path / "a.npy", VALUES)), VALUES)
    objects = np.array([{"a": 1}, None], dtype=object)
    assert plain_pickle(pickle.dumps({"objects": objects}))["objects"] == [{"a": 1}, None]


class Forged:
    """Reduces to whatever it is told."""

    def __init__(self, *parts):
        self.parts = parts

    def __reduce__(self):
        return self.parts


SCALAR, DTYPE = np.float64(1).__reduce__()[0], np.dtype("f8")
RECONSTRUCT = np.zeros(1).__reduce__()[0]
BAD = {
    "a function": Forged(len, ("x",)),
    "a method of numpy": Forged(np.load, ("x",)),
    "a type with fields": Forged(np.dtype, ("f8",), (3, "<", None, ("a",), {"a": (DTYPE, 0)}, 8, 8, 0)),
    "a type with a metadata state": Forged(np.dtype, ("O8",), (3, "|", None, None, None, -1, -1, 0)),
    "a type with a base": Forged(np.dtype, ("f8",), (3, "<", (DTYPE, (2**62,)), None, None, 2**62, 8, 0)),
    "times": np.array(["2020-01-01"], dtype="M8[D]"),
    "columns": np.zeros(2, dtype=[("a", "f8")]),
    "a number of objects": Forged(SCALAR, (np.dtype("O"), b"12345678")),
    "a text of no characters": Forged(SCALAR, (np.dtype("U1"), b"\xff\xff\xff\xff")),
    "a number that is too short": Forged(SCALAR, (DTYPE, b"1234")),
    "an array larger than its data": Forged(
        RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, (2**40,), DTYPE, False, b"12345678")
    ),
    "an array of a negative shape": Forged(
        RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, (-1,), DTYPE, False, b"12345678")
    ),
    "objects as bytes": Forged(
        RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, (1,), np.dtype("O"), False, b"12345678")
    ),
    "an array without data": Forged(RECONSTRUCT, (np.ndarray, (0,), b"b")),
    "an array made by its class": Forged(np.ndarray, ((2**40,),)),
    "a key that is a list of numbers": {1.5: 1},
    "a large key": {2**61 - 1: 1},
}


@pytest.mark.parametrize("what", BAD)
def test_all_else_is_refused(what, tmp_path):
    value = {"sources": {}, "roi": {}, "config": {"bad": BAD[what]}}
    with pytest.raises(ValueError, match="was not written by gta.write_roi"):
        read_fermipy(save(tmp_path / "a.npy", value))


def test_values_of_other_kinds_are_no_numbers(tmp_path):
    spectrum = {name: {"value": 1.0, "scale": 1.0, "error": 0.1} for name in ("Prefactor", "Index", "Scale")}
    source = {"name": "a", "ra": 1.0, "dec": 2.0, "SpectrumType": "PowerLaw", "SpatialModel": "PointSource"}
    for wrong in ((1, 2), "x", 10**400, [], {}, b"1.5x", np.zeros(2)):
        value = {"sources": {"a": source | {"spectral_pars": spectrum, "ts": wrong}}, "roi": {}, "config": {}}
        with pytest.raises(ValueError, match="ts of the source a is no number"):
            read_fermipy(save(tmp_path / "a.npy", value))


def nested(levels, pair):
    value = ["end"]
    for _ in range(levels):
        value = [value, value] if pair else [value]
    return value


def test_depth_and_shared_parts_are_bounded(tmp_path):
    with pytest.raises(ValueError, match="deeper than"):
        plain_pickle(pickle.dumps(nested(DEEPEST + 1, False)))
    itself = []
    itself.append(itself)
    with pytest.raises(ValueError, match="holds itself"):
        plain_pickle(pickle.dumps(itself))
    # A text of it would have 2**40 words
    twins = nested(40, True)
    assert plain_pickle(pickle.dumps(twins))[0][0] is not None
    for name in ("version", "sources"):
        value = {"sources": {}, "roi": {}, "config": {}, "version": "1"} | {name: twins}
        with pytest.raises(ValueError, match="gta.write_roi"):
            read_fermipy(save(tmp_path / "a.npy", value))


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b".",
        b"(.",
        b"0.",
        b"N",
        b"]]e.",
        b"(tR.",
        b"}(Nu.",
        b"cos\nsystem\n(S'x'\ntR.",
        b"(S'x'\nios\nsystem\n.",
        b"\x80\x02\x82\x01.",
        b"Ppersistent\n.",
        b"h\x05.",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x8b\xff\xff\xff\x7f.",
        b"I" + b"9" * 10000 + b"\n.",
    ],
)
def test_odd_streams(stream):
    with pytest.raises(ValueError):
        plain_pickle(stream)


CONTENT = pickle.dumps(VALUES, 4)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(st.integers(0, len(CONTENT) - 1), st.binary(max_size=8), st.integers(0, 8)), max_size=4
    )
)
def test_changed_bytes_are_read_or_refused(changes):
    data = bytearray(CONTENT)
    for place, added, removed in changes:
        data[place : place + removed] = added
    try:
        plain_pickle(bytes(data))
    except ValueError:
        pass


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    try:
        plain_pickle(data)
    except ValueError:
        pass


def test_no_file_but_a_device(tmp_path):
    for path in ("/dev/zero", tmp_path):
        with pytest.raises(ValueError, match="is a (device or a pipe|folder)"):
            load_results(path)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": (2**60,)})
    (tmp_path / "a.npy").write_bytes(header.getvalue())
    with pytest.raises(ValueError, match="one single dictionary"):
        load_results(tmp_path / "a.npy")
