# Licensed under a 3-clause BSD style license - see LICENSE
"""YAML files of users: plain values of a bounded size, each key once."""

from collections import Counter

import yaml

from .files import regular_file

__all__ = ["read_yaml"]

#: Largest file in bytes, and values in it where every reference is written out.
LARGEST, MOST = 2**24, 10**6

#: That of libyaml bounds the depth, and needs no more time for deep files.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path, what="YAML file"):
    """Content of a YAML file.

    Parameters
    ----------
    path : str or path
        File.
    what : str
        What it is, for messages.

    Returns
    -------
    content : object
        Dictionaries, lists, strings, numbers, dates.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no file, no YAML, has a key twice, or is too large with all references written out.
    """
    path = regular_file(path, what)
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path} is larger than {LARGEST >> 20} MiB, no {what}")
    try:
        loader = LOADER(path.read_text(encoding="utf-8"))
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _check(node, {})
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a valid {what}: it is no text") from None
    except yaml.MarkedYAMLError as error:
        place = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ValueError(f"{path} is not a valid {what}: {place}{error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a valid {what}: {str(error) or 'it is too deep'}") from None


def _check(node, sizes):
    """Number of values of a node with all references written out; keys must differ."""
    if id(node) in sizes:
        if sizes[id(node)] is None:
            raise ValueError("it refers to itself")
        return sizes[id(node)]
    sizes[id(node)] = None
    size = 1
    if isinstance(node, yaml.MappingNode):
        keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        twice = [key for key, n in keys.items() if n > 1]
        if twice:
            raise ValueError(f"it has the key {twice[0]!r} twice")
        size += sum(_check(part, sizes) for pair in node.value for part in pair)
    elif isinstance(node, yaml.SequenceNode):
        size += sum(_check(part, sizes) for part in node.value)
    if size > MOST:
        raise ValueError(f"it has more than {MOST} values with all references written out")
    sizes[id(node)] = size
    return size
