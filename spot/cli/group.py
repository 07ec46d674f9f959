"""The group of commands: what there is, where each is found, what happens to errors."""

from __future__ import annotations

import importlib

import click

from spot import __version__
from spot.errors import SpotError

__all__ = ["COMMANDS", "cli", "run_command_line"]

COMMANDS = (
    "up",
    "status",
    "logs",
    "down",
    "publish",
    "subscribe",
    "topics",
    "fault",
    "heal",
    "scenario",
    "report",
    "doctor",
    "node",
    "completion",
)
"""Each is ``spot.cli.<name>.command``, in the order in which a newcomer meets them."""

EXIT_FAILED = 1


class LazyGroup(click.Group):
    """Imports a command when it is called: ``spot node`` needs nothing of the testbed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"spot.cli.{cmd_name}").command
        return command


def _show_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    click.echo(f"spot {__version__}")
    ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_version,
    help="Show the version and leave.",
)
def cli() -> None:
    """Clusters of SPOT nodes: start one, watch it, talk to it.

    \b
      spot up mesh                     three nodes that know one another
      spot status --watch              what they do
      spot subscribe '*:data'          listen to all of them
      spot publish a:data hello        say something
      spot fault cut a b               break something, and watch it heal: spot heal
      spot down

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no answer.
    """  # noqa: D301  click: a \b keeps a paragraph's lines


def run_command_line() -> int:
    """Runs the command of ``sys.argv``; returns its exit code. Expected errors become one line."""
    try:
        cli(prog_name="spot")
    except SpotError as error:
        return _failed(str(error))
    except RuntimeError as error:
        # Imported only now, as a node program never needs the testbed.
        from spot.testbed.errors import ClusterError

        if not isinstance(error, ClusterError):
            raise
        return _failed(str(error))
    except OSError as error:
        return _failed(str(error))
    return 0


def _failed(text: str) -> int:
    click.echo(f"spot: {text}", err=True)
    return EXIT_FAILED
