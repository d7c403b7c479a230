# Licensed under a 3-clause BSD style license - see LICENSE
"""Errors of validation in plain words."""

from difflib import get_close_matches

__all__ = ["validation_text"]

#: What is wrong, by the type of the error that pydantic gives; others keep its message.
WORDS = {
    "missing": "is missing",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be a text",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "too_short": "needs at least {min_length} values",
    "too_long": "must have at most {max_length} values",
    "tuple_type": "must be a list",
    "model_type": "must hold entries by name",
    "dict_type": "must hold entries by name",
}
#: Errors that are told, at most.
MOST = 3


def validation_text(error, model=None):
    """What is wrong, by entry, without the words of the library that found it.

    Parameters
    ----------
    error : `~pydantic.ValidationError`
        Error.
    model : type, optional
        Model that was to be made, whose entries are named in place of unknown ones.

    Returns
    -------
    text : str
        One line.
    """
    errors = error.errors()
    told = [_told(one, model) for one in errors[:MOST]]
    more = [f"and {len(errors) - MOST} more"] if len(errors) > MOST else []
    return "; ".join([*told, *more])


def _told(error, model):
    where = ".".join(str(part) for part in error["loc"])
    kind = error["type"]
    if kind == "extra_forbidden":
        return f"there is no entry {where!r}{_meant(error['loc'], model)}"
    words = WORDS.get(kind, error["msg"].removeprefix("Value error, "))
    words = words.format(**error.get("ctx", {})) if kind in WORDS else words
    got = "" if kind in ("missing", "value_error") else f", got {str(error['input'])[:60]!r}"
    return f"{where} {words}{got}".strip() if kind in WORDS else f"{where}: {words}".removeprefix(": ")


def _meant(place, model):
    """Name of an entry that is near to an unknown one."""
    for name in place[:-1]:
        model = getattr(getattr(model, "model_fields", {}).get(name), "annotation", None)
    known = _entries(model)
    near = get_close_matches(str(place[-1]), [name.rpartition(".")[2] for name in known], 1)
    found = [name for name in known if near and name.rpartition(".")[2] == near[0]]
    return f", did you mean {found[0]!r}?" if found else ""


def _entries(model, before=""):
    """Names of the entries of a model and of the models in it."""
    names = []
    for name, field in getattr(model, "model_fields", {}).items():
        names += [f"{before}{name}", *_entries(field.annotation, f"{before}{name}.")]
    return names
