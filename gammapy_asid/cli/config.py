# Licensed under a 3-clause BSD style license - see LICENSE
"""Configuration of a command in a YAML file: its arguments and options by their names."""

from contextlib import contextmanager
from difflib import get_close_matches

import click

from .common import expanded

__all__ = ["config_option", "print_config", "print_config_option", "reads_only"]

#: Where the context keeps that the configuration is to be printed.
PRINT = f"{__name__}.print"


def config_option():
    """Option --config, which gives defaults to all others.

    Returns
    -------
    option : `click.Option`
        Option.
    """
    return click.Option(
        ["--config"],
        metavar="FILE",
        is_eager=True,
        expose_value=False,
        callback=_read,
        help="YAML file with options of this command by name; those of the command line go before them.",
    )


def print_config_option():
    """Option --print-config.

    Returns
    -------
    option : `click.Option`
        Option.
    """

    def keep(ctx, param, value):
        ctx.meta[PRINT] = value

    return click.Option(
        ["--print-config"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=keep,
        help="Print the options as YAML for --config, and do nothing else.",
    )


def _names(command):
    """Parameters of a command by the names that they have in a file."""
    return {_name(param): param for param in command.params if param.expose_value}


def _name(param):
    """Name of an argument, or of an option without its dashes."""
    if isinstance(param, click.Argument):
        return param.name
    return max(param.opts, key=len).lstrip("-")


def _read(ctx, param, value):
    """Take over the settings of a file as defaults."""
    if value is None:
        return
    from ..utils.plain_yaml import read_yaml

    path = expanded(value)
    content = read_yaml(path, "configuration")
    content = {} if content is None else content
    if not isinstance(content, dict):
        raise click.BadParameter(f"{path} holds no options by name", ctx, param)
    names = _names(ctx.command)
    settings = {}
    for key, setting in content.items():
        name = str(key).replace("_", "-") if str(key).replace("_", "-") in names else str(key)
        if name not in names:
            near = get_close_matches(name, names, 1)
            meant = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(names))}"
            raise click.BadParameter(f"{path} has the unknown option {str(key)!r}: {meant}", ctx, param)
        if setting is not None:
            settings[names[name].name] = _fitting(names[name], setting, path, ctx, param)
    ctx.default_map = settings


def _fitting(param, setting, path, ctx, own):
    """Setting of a file in the form that its parameter needs."""
    several = param.nargs != 1 or getattr(param, "multiple", False)
    if isinstance(setting, dict) or (isinstance(setting, list) and not several):
        raise click.BadParameter(f"{path}: {_name(param)} must be one value, got {setting}", ctx, own)
    if getattr(param, "is_flag", False) and not isinstance(setting, bool):
        raise click.BadParameter(f"{path}: {_name(param)} must be true or false, got {setting}", ctx, own)
    if several and not isinstance(setting, list):
        setting = [setting]
    # Numbers of names and dates are texts of the command line
    return [_text(one) for one in setting] if several else _text(setting)


def _text(value):
    return value if isinstance(value, bool | int | float) else str(value)


@contextmanager
def reads_only(command, args):
    """Nothing is missing for a command that only prints its configuration.

    Parameters
    ----------
    command : `click.Command`
        Command.
    args : list of str
        Its command line.
    """
    required = [param for param in command.params if param.required and "--print-config" in args]
    for param in required:
        param.required = False
    try:
        yield
    finally:
        for param in required:
            param.required = True


def print_config(ctx):
    """Print the settings of a command, if that is wanted.

    Parameters
    ----------
    ctx : `click.Context`
        Context with all parameters.

    Returns
    -------
    printed : bool
        Whether it was.
    """
    if not ctx.meta.get(PRINT):
        return False
    import yaml

    click.echo(f"# {ctx.command_path} --config FILE")
    for name, param in _names(ctx.command).items():
        value = ctx.params[param.name]
        plain = [_plain(one) for one in value] if isinstance(value, list | tuple) else _plain(value)
        text = yaml.safe_dump(plain, default_flow_style=True, allow_unicode=True, width=10**6)
        click.echo(f"{name}: {text.removesuffix('...' + chr(10)).strip()}")
    return True


def _plain(value):
    return value if value is None or isinstance(value, bool | int | float) else str(value)
