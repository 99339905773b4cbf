"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, TypedDict

import click

if TYPE_CHECKING:
    from features.measured_values import CensoredPolicy

DAYS = "DAYS"
COHORT = "A cohort is the name of a shipped manifest (see 'taxokine cohorts list') or the path of a manifest of yours."


def comma_separated(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    """Return the distinct parts of a comma-separated value; a callback of click."""
    return tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))


def choices(names: tuple[str, ...]) -> Callable[[click.Context, click.Parameter, str], tuple[str, ...]]:
    """Return a callback of click that accepts a comma-separated list of these names, each once."""

    def callback(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
        values = comma_separated(ctx, param, value)
        for name in values:
            if name not in names:
                raise click.BadParameter(f"{name!r} is not one of {', '.join(names)}")
        return values

    return callback


class LandmarkOptions(TypedDict):
    """The values of `landmark_options`, as `features.landmark.LandmarkSpec` takes them."""

    landmark: float
    window: float
    sample: Literal["first", "last"]
    by_day: float | None
    censored: CensoredPolicy


def landmark_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of the landmark join, the same for every command that joins."""
    for option in reversed(
        (
            click.option("--landmark", type=float, default=0, show_default=True, metavar=DAYS,
                         help="Last day, on each cohort's clock, whose measurements may enter."),
            click.option("--window", type=click.FloatRange(min=0), default=90, show_default=True, metavar=DAYS,
                         help="Days before the landmark in which a measurement still counts."),
            click.option("--sample", type=click.Choice(["first", "last"]), default="last", show_default=True,
                         help="Which stool sample represents a patient with several."),
            click.option("--by-day", type=float, metavar=DAYS,
                         help="Last day on which a dated adverse event counts; any day when omitted."),
            click.option("--censored", type=click.Choice(["half_limit", "limit", "missing"]), default="half_limit",
                         show_default=True, help="The number used for a value beyond its limit of quantification."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


NumberOption = tuple[str, type[float], str, str]
"""An option that takes a number: its names, the type, what stands for the number in the help, and the help."""


def number_options(options: Sequence[NumberOption]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that adds these options to a command, in their order."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for names, kind, metavar, text in reversed(options):
            command = click.option(*names.split(), type=kind, metavar=metavar, help=text)(command)
        return command

    return decorate
