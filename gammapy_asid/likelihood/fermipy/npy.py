# Licensed under a 3-clause BSD style license - see LICENSE
"""Files .npy of fermipy, read without running what they hold.

They are pickles: programs that may call any function, and functions of numpy crash on forged arguments. Here
nothing is called. The few instructions that write dictionaries, lists, strings, numbers and arrays of numbers
are followed, and any other is refused. What a file makes is never much larger than the file.
"""

import io
import pickletools
import re
import warnings

import numpy as np

from ...utils.files import regular_file

__all__ = ["load_results", "plain_pickle"]

#: Largest file in bytes, and largest depth of what it holds.
LARGEST, DEEPEST = 2**30, 50
#: Header of a file .npy of one object, in both versions of the format.
HEADER = re.compile(
    rb"\x93NUMPY(\x01\x00..|\x02\x00....)"
    rb"\{'descr': '\|O8?', 'fortran_order': (True|False), 'shape': \(\),? *\}[ ]*\n",
    re.DOTALL,
)

REFUSED = "is not read because it could run code; the file .fits of the same analysis needs no such trust"

#: Numbers that arrays may hold.
NUMBERS = re.compile(r"[|<>=]?(b1|[iu][1248]|f[248]|c(8|16)|[SU]\d{1,6})")

# What may be named. Nothing of it is called: it says which of the functions below makes the value.
ARRAY, SCALAR, BUFFER, ARRAY_CLASS, DTYPE = "array", "scalar", "buffer", "array class", "dtype"
DICT, SET, COMPLEX, ENCODE, NO_BYTES = "dict", "set", "complex", "encode", "bytes"
NAMES = {
    ("numpy", "ndarray"): ARRAY_CLASS,
    ("numpy", "dtype"): DTYPE,
    ("collections", "OrderedDict"): DICT,
    # A dictionary whose entries are also attributes
    ("fermipy.data_struct", "MutableNamedTuple"): DICT,
    ("builtins", "set"): SET,
    ("builtins", "frozenset"): SET,
    ("__builtin__", "set"): SET,
    ("__builtin__", "frozenset"): SET,
    ("builtins", "complex"): COMPLEX,
    ("__builtin__", "complex"): COMPLEX,
    # Bytes in protocol 2
    ("_codecs", "encode"): ENCODE,
    ("__builtin__", "bytes"): NO_BYTES,
} | {
    (f"numpy.{core}.{module}", name): kind
    for core in ("core", "_core")
    for module in ("multiarray", "numeric")
    for name, kind in (("_reconstruct", ARRAY), ("scalar", SCALAR), ("_frombuffer", BUFFER))
}

#: Instructions that hold their value, those without an effect here, and those with a constant.
VALUES = set(
    "INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT UNICODE BINUNICODE SHORT_BINUNICODE "
    "BINUNICODE8 SHORT_BINBYTES BINBYTES BINBYTES8 STRING BINSTRING SHORT_BINSTRING BYTEARRAY8".split()
)
IDLE = {"PROTO", "FRAME"}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
EMPTY = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set, "EMPTY_TUPLE": tuple}


class _Named:
    """Something that a file names."""

    def __init__(self, kind):
        self.kind = kind


class _Type:
    """A type of numbers while its state is not there."""

    def __init__(self, code):
        self.code, self.order, self.is_object = code, "=", code == "O8"

    def to_numpy(self):
        if self.is_object or not NUMBERS.fullmatch(self.code):
            raise ValueError(f"it has an array of {self.code!r}, not of numbers")
        return np.dtype(self.code).newbyteorder(self.order if self.order in "<>" else "=")


class _Array:
    """An array while its state is not there."""

    value = None


class _Machine:
    """Follows the instructions of one pickle."""

    def __init__(self):
        self.stack, self.marks, self.memo = [], [], {}

    def push(self, value):
        self.stack.append(value)

    def pop(self):
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise ValueError("it takes a value that is not there")
        return self.stack.pop()

    def top(self, *kinds):
        if len(self.stack) <= (self.marks[-1] if self.marks else 0) or not isinstance(self.stack[-1], kinds):
            raise ValueError("it adds to what is no container")
        return self.stack[-1]

    def pop_mark(self):
        if not self.marks:
            raise ValueError("it closes what it did not open")
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def step(self, name, argument):
        if name in VALUES:
            self.push(argument)
        elif name in CONSTANTS:
            self.push(CONSTANTS[name])
        elif name in EMPTY:
            self.push(EMPTY[name]())
        elif name not in IDLE:
            method = getattr(self, f"do_{name.lower()}", None)
            if method is None:
                raise ValueError(f"it holds the instruction {name}, which {REFUSED}")
            method(argument)

    def do_mark(self, _):
        self.marks.append(len(self.stack))

    def do_pop(self, _):
        self.pop()

    def do_pop_mark(self, _):
        self.pop_mark()

    def do_memoize(self, _):
        self.memo[len(self.memo)] = self.top(object)

    def do_put(self, index):
        self.memo[index] = self.top(object)

    do_binput = do_long_binput = do_put

    def do_get(self, index):
        if index not in self.memo:
            raise ValueError("it refers to what is not there")
        self.push(self.memo[index])

    do_binget = do_long_binget = do_get

    def do_tuple(self, _):
        self.push(tuple(self.pop_mark()))

    def do_list(self, _):
        self.push(self.pop_mark())

    def do_dict(self, _):
        values = self.pop_mark()
        self.push({})
        self._update(self.stack[-1], values)

    def do_frozenset(self, _):
        self.push(_set(self.pop_mark()))

    def do_tuple1(self, _):
        self._tuple(1)

    def do_tuple2(self, _):
        self._tuple(2)

    def do_tuple3(self, _):
        self._tuple(3)

    def _tuple(self, n):
        values = [self.pop() for _ in range(n)]
        self.push(tuple(values[::-1]))

    def do_append(self, _):
        value = self.pop()
        self.top(list).append(value)

    def do_appends(self, _):
        values = self.pop_mark()
        self.top(list).extend(values)

    def do_additems(self, _):
        values = self.pop_mark()
        self.top(set).update(_set(values))

    def do_setitem(self, _):
        value, key = self.pop(), self.pop()
        self._update(self.top(dict), [key, value])

    def do_setitems(self, _):
        values = self.pop_mark()
        self._update(self.top(dict), values)

    def _update(self, target, values):
        if len(values) % 2:
            raise ValueError("it has a key without a value")
        for key, value in zip(values[::2], values[1::2], strict=True):
            target[_key(key)] = value

    def do_global(self, argument):
        module, _, name = argument.partition(" ")
        self._name(module, name)

    def do_stack_global(self, _):
        name, module = self.pop(), self.pop()
        self._name(module, name)

    def _name(self, module, name):
        known = isinstance(module, str) and isinstance(name, str) and NAMES.get((module, name))
        if not known:
            raise ValueError(f"it holds a {module}.{name}, which {REFUSED}")
        self.push(_Named(known))

    def do_reduce(self, _):
        arguments, named = self.pop(), self.pop()
        if not isinstance(named, _Named) or not isinstance(arguments, tuple):
            raise ValueError(f"it calls what {REFUSED}")
        self.push(MAKERS[named.kind](*_checked(named.kind, arguments)))

    def do_build(self, _):
        state, target = self.pop(), self.top(_Type, _Array, dict)
        if isinstance(target, _Type):
            _set_type(target, state)
        elif isinstance(target, _Array):
            _set_array(target, state)
        # Attributes of a dictionary repeat its entries


def _key(key):
    """A key of a dictionary or a member of a set: strings and small numbers, whose hashes differ."""
    plain = key is None or isinstance(key, (str, bytes)) or isinstance(key, int) and abs(key) < 2**60
    if plain or isinstance(key, tuple) and len(key) < 10 and not any(isinstance(k, tuple) for k in key):
        return tuple(_key(part) for part in key) if isinstance(key, tuple) else key
    raise ValueError(f"it has a key that is a {type(key).__name__}")


def _set(values):
    return {_key(value) for value in values}


def _checked(kind, arguments):
    least, most = N_ARGUMENTS[kind]
    if not least <= len(arguments) <= most:
        raise ValueError(f"it makes a {kind} of {len(arguments)} values")
    return arguments


def _make_array(*_):
    return _Array()


def _make_class(*_):
    raise ValueError(f"it makes an array in a way which {REFUSED}")


def _make_dtype(code, *_):
    if isinstance(code, bytes):
        code = code.decode("latin-1")
    if not isinstance(code, str):
        raise ValueError("it has a type of numbers that is no name")
    return _Type(code)


def _make_scalar(kind, data=b""):
    if not isinstance(kind, _Type):
        raise ValueError("it has a number of no type")
    dtype, data = kind.to_numpy(), _bytes(data)
    if len(data) != dtype.itemsize:
        raise ValueError("it has a number of another length than its type")
    return _numbers(data, dtype)[0] if dtype.itemsize else dtype.type()


def _numbers(data, dtype):
    """Array of bytes; texts of characters that do not exist would be an error only when they are used."""
    if dtype.kind == "U" and np.any(
        np.frombuffer(data, np.dtype("u4").newbyteorder(dtype.byteorder)) > 0x10FFFF
    ):
        raise ValueError("it has a text of impossible characters")
    return np.frombuffer(data, dtype)


def _make_buffer(data, kind, shape, order):
    result = _Array()
    _set_array(result, (1, shape, kind, order == "F", data))
    return result.value


def _make_dict(pairs=()):
    if isinstance(pairs, dict):
        return dict(pairs)
    if not isinstance(pairs, (list, tuple)) or any(
        not isinstance(pair, (list, tuple)) or len(pair) != 2 for pair in pairs
    ):
        raise ValueError("it has a dictionary without pairs")
    return {_key(key): value for key, value in pairs}


def _make_set(values=()):
    if not isinstance(values, (list, tuple, set)):
        raise ValueError("it has a set of no list")
    return _set(values)


def _make_complex(real, imaginary=0.0):
    if not all(isinstance(part, (int, float)) for part in (real, imaginary)):
        raise ValueError("it has a complex number of no numbers")
    return complex(real, imaginary)


def _make_bytes(text, encoding):
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ValueError("it has bytes in an unknown coding")
    return text.encode("latin-1")


MAKERS = {
    ARRAY: _make_array,
    ARRAY_CLASS: _make_class,
    DTYPE: _make_dtype,
    SCALAR: _make_scalar,
    BUFFER: _make_buffer,
    DICT: _make_dict,
    SET: _make_set,
    COMPLEX: _make_complex,
    ENCODE: _make_bytes,
    NO_BYTES: bytes,
}
N_ARGUMENTS = {
    ARRAY: (3, 3),
    ARRAY_CLASS: (0, 9),
    DTYPE: (1, 3),
    SCALAR: (1, 2),
    BUFFER: (4, 4),
    DICT: (0, 1),
    SET: (0, 1),
    COMPLEX: (1, 2),
    ENCODE: (2, 2),
    NO_BYTES: (0, 0),
}


def _bytes(data):
    """Data of arrays; Python 2 wrote them as text."""
    if isinstance(data, str):
        return data.encode("latin-1")
    if not isinstance(data, (bytes, bytearray)):
        raise ValueError("it has an array without data")
    return bytes(data)


def _set_type(kind, state):
    """State of a type of numbers: its version, the order of its bytes, and its size for strings."""
    if not isinstance(state, tuple) or len(state) not in (8, 9):
        raise ValueError("it has a type of numbers in an unknown form")
    _, order, base, names, fields = state[:5]
    if (base, names, fields) != (None, None, None):
        raise ValueError("it has an array with columns or of arrays")
    order = order.decode("latin-1") if isinstance(order, bytes) else order
    if order not in ("<", ">", "|", "="):
        raise ValueError("it has numbers in an unknown order of bytes")
    kind.order = order


def _set_array(array, state):
    """State of an array: version, shape, type, order of its axes, and data."""
    if not isinstance(state, tuple) or len(state) not in (4, 5):
        raise ValueError("it has an array in an unknown form")
    shape, kind, fortran, data = state[-4:]
    if array.value is not None or not isinstance(kind, _Type):
        raise ValueError("it has an array in an unknown form")
    whole = isinstance(shape, tuple) and len(shape) <= 8
    if not whole or any(type(n) is not int or not 0 <= n <= LARGEST for n in shape):
        raise ValueError("it has an array of an impossible shape")
    size = 1
    for n in shape:
        size *= n
    if kind.is_object:
        if not isinstance(data, list) or len(data) != size:
            raise ValueError("it has an array of another length than its shape")
        array.value = data[0] if shape == () else list(data)
        return
    dtype, data = kind.to_numpy(), _bytes(data)
    if len(data) != size * dtype.itemsize:
        raise ValueError("it has an array of another length than its shape")
    if not data:
        array.value = np.empty(shape if size == 0 else 0, dtype)
        return
    array.value = _numbers(data, dtype).reshape(shape, order="F" if fortran else "C")


def _finished(value, depth=0, seen=None):
    """A value with its arrays in place, each container once."""
    seen = {} if seen is None else seen
    if depth > DEEPEST:
        raise ValueError(f"it is deeper than {DEEPEST} levels")
    if isinstance(value, (_Named, _Type)):
        raise ValueError("it holds a name or a type in place of a value")
    if isinstance(value, _Array):
        if value.value is None:
            raise ValueError("it has an array without data")
        return value.value if isinstance(value.value, np.ndarray) else _finished(value.value, depth, seen)
    if not isinstance(value, (dict, list, tuple)):
        return value
    if id(value) in seen:
        if seen[id(value)] is None:
            raise ValueError("it holds itself")
        return seen[id(value)]
    seen[id(value)] = None
    if isinstance(value, dict):
        done = {key: _finished(item, depth + 1, seen) for key, item in value.items()}
    else:
        done = [_finished(item, depth + 1, seen) for item in value]
        done = tuple(done) if isinstance(value, tuple) else done
    seen[id(value)] = done
    return done


def plain_pickle(content):
    """Value of a pickle of plain values, without running anything in it.

    Parameters
    ----------
    content : bytes
        Pickle of protocol 2 to 5. Dictionaries, lists, tuples, sets, strings, bytes, numbers, and arrays of
        numbers and strings are read; arrays of objects become lists.

    Returns
    -------
    value : object
        Value.

    Raises
    ------
    ValueError
        If it is damaged or holds anything else.
    """
    try:
        with warnings.catch_warnings():
            # Of the oldest strings, which nothing here writes
            warnings.simplefilter("ignore", DeprecationWarning)
            return _finished(_run(content))
    except (TypeError, OverflowError, UnicodeError) as error:
        raise ValueError(f"it is damaged: {error}") from None


def _run(content):
    machine = _Machine()
    for opcode, argument, _ in pickletools.genops(io.BytesIO(content)):
        if opcode.name == "STOP":
            value = machine.pop()
            if machine.stack or machine.marks:
                raise ValueError("it ends too early")
            return value
        machine.step(opcode.name, argument)
    raise ValueError("it has no end")


def load_results(path):
    """Content of a file that ``numpy.save`` made of one dictionary.

    Parameters
    ----------
    path : path
        File.

    Returns
    -------
    content : object
        Content, normally a dictionary.

    Raises
    ------
    ValueError
        If it is no such file, or holds anything but containers, numbers, strings and arrays of them.
    """
    path = regular_file(path)
    if path.stat().st_size > LARGEST:
        raise ValueError(f"it is larger than {LARGEST / 2**30:.0f} GiB")
    content = path.read_bytes()
    header = HEADER.match(content)
    if header is None:
        raise ValueError("it is no file .npy of one single dictionary")
    return plain_pickle(content[header.end() :])
