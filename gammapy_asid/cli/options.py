# Licensed under a 3-clause BSD style license - see LICENSE
"""Options that several commands have, and values that are checked before any work."""

import math

import click

__all__ = [
    "Number",
    "device_option",
    "extension_option",
    "jobs_option",
    "model_option",
    "overwrite_option",
    "rising",
    "threshold_option",
    "width_option",
]


class Number(click.ParamType):
    """Finite number in a range, which NaN is not.

    Parameters
    ----------
    low, high : float
        Smallest and largest value.
    above, below : float, optional
        Values that it must not reach.
    """

    name = "number"

    def __init__(self, low=-math.inf, high=math.inf, above=None, below=None):
        self.low, self.high, self.above, self.below = low, high, above, below

    def convert(self, value, param, ctx):
        try:
            number = float(value)
        except (TypeError, ValueError):
            self.fail(f"{value!r} is no number", param, ctx)
        inside = math.isfinite(number) and self.low <= number <= self.high
        inside = inside and (self.above is None or number > self.above)
        if not (inside and (self.below is None or number < self.below)):
            self.fail(f"{value} is no possible value: give {self._range()}", param, ctx)
        return number

    def _range(self):
        limits = [] if self.above is None else [f"above {self.above:g}"]
        limits += [f"from {self.low:g}"] if math.isfinite(self.low) else []
        limits += [] if self.below is None else [f"below {self.below:g}"]
        limits += [f"up to {self.high:g}"] if math.isfinite(self.high) else []
        return " ".join(["a number", *limits])


def rising(ctx, param, value):
    """Callback of an option with two numbers, the second of which is the larger.

    Parameters
    ----------
    ctx, param, value
        Those of a callback of click.

    Returns
    -------
    value : tuple of float
        The same.
    """
    if value and not value[0] < value[1]:
        raise click.BadParameter(
            f"{value[0]:g} to {value[1]:g} is no range: give the smaller number first", ctx, param
        )
    return value


class _Device(click.ParamType):
    """Device that is there."""

    name = "device"

    def convert(self, value, param, ctx):
        from ..utils.devices import as_device

        try:
            as_device(value)
        except (TypeError, ValueError) as error:
            self.fail(str(error), param, ctx)
        return value


device_option = click.option(
    "--device",
    type=_Device(),
    help="Where networks run, such as cpu or cuda; by default the accelerator if there is one.",
)
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace existing files.")
model_option = click.option("--model", default="lat", show_default=True, help="Model name or weight file.")
threshold_option = click.option(
    "--threshold", default=0.5, show_default=True, type=Number(0, 1), help="Smallest probability to be real."
)
jobs_option = click.option(
    "--jobs", "-j", default=1, show_default=True, type=click.IntRange(min=1), help="Number of processes."
)
width_option = click.option(
    "--width",
    default=4.0,
    show_default=True,
    type=Number(above=0, high=30),
    help="Side of the region of each fit, deg.",
)
extension_option = click.option("--extension", is_flag=True, help="Test each candidate for extension too.")
