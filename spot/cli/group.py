"""The group of commands: their names and lines of help, how they are loaded, and their errors."""

from __future__ import annotations

import importlib

import click
from click.shell_completion import CompletionItem

from spot import __version__
from spot.errors import SpotError

__all__ = ["COMMANDS", "cli", "run_command_line"]

COMMANDS = {
    "up": "Start a cluster and show it.",
    "status": "Show nodes, links and traffic.",
    "logs": "Show the logs of the nodes.",
    "down": "End a cluster.",
    "publish": "Publish one message.",
    "subscribe": "Print messages as they come.",
    "topics": "List topics and their hosts.",
    "fault": "Break a link or a node, and prove it.",
    "heal": "Undo faults.",
    "scenario": "Run a plan of faults, and check the guarantees.",
    "report": "List runs, show one, or write a page over all.",
    "doctor": "Check what clusters need, and say how to get it.",
    "node": "Run one node in the foreground.",
    "completion": "Print a completion script for a shell.",
}
"""What each command does, in the order in which a newcomer meets them.

Each is ``spot.cli.<name>.command``. The lines stand here so that help need not import the commands.
"""

EXIT_FAILED = 1


class LazyGroup(click.Group):
    """Imports a command when it is called. Help and completion of their names import none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"spot.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        commands = [
            CompletionItem(name, help=text)
            for name, text in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]


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
      spot up mesh                     start three nodes that know one another
      spot status --watch              watch them
      spot subscribe '*:data'          listen to all of them
      spot publish a:data hello        publish a message
      spot fault cut a b               cut a link; 'spot heal' undoes it
      spot down                        end the cluster

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no answer.
    """  # noqa: D301  click: a \b keeps a paragraph's lines


def run_command_line() -> int:
    """Runs the command of ``sys.argv``; returns its exit code. Expected errors become one line."""
    try:
        cli(prog_name="spot")
    except SpotError as error:
        return _failed(str(error))
    except RuntimeError as error:
        # Imported only here, as a node program never needs the testbed.
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
