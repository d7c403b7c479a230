# Licensed under a 3-clause BSD style license - see LICENSE
"""Pickles of plain values, followed without running what they hold.

Pickles are programs that may call any function. Here nothing is called: the few instructions that write
dictionaries, lists, strings, numbers and arrays of numbers are followed, and any other is refused.
"""

import io
import pickletools
import warnings

import numpy as np

from .pickled_arrays import PickledArray, PickledType
from .pickled_values import NAMES, REFUSED, make_value, plain_key, plain_set

__all__ = ["DEEPEST", "plain_pickle"]

#: Largest depth of what a pickle holds: more than fermipy writes, less than Python's stack bears.
DEEPEST = 50

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
        self.push(plain_set(self.pop_mark()))

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
        self.top(set).update(plain_set(values))

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
            target[plain_key(key)] = value

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
        self.push(make_value(named.kind, arguments))

    def do_build(self, _):
        state, target = self.pop(), self.top(PickledType, PickledArray, dict)
        # Attributes of a dictionary repeat its entries
        if not isinstance(target, dict):
            target.set_state(state)


def _finished(value, depth=0, seen=None):
    """A value with its arrays in place, each container once."""
    seen = {} if seen is None else seen
    if depth > DEEPEST:
        raise ValueError(f"it is deeper than {DEEPEST} levels")
    if isinstance(value, (_Named, PickledType)):
        raise ValueError("it holds a name or a type in place of a value")
    if isinstance(value, PickledArray):
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
