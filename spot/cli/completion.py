"""``spot completion``: the script that teaches a shell to complete ``spot`` commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from spot.cli.group import cli

__all__ = ["command"]


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script for SHELL.

    \b
      bash:  echo 'eval "$(spot completion bash)"' >> ~/.bashrc
      zsh:   echo 'eval "$(spot completion zsh)"' >> ~/.zshrc
      fish:  spot completion fish > ~/.config/fish/completions/spot.fish
    """  # noqa: D301  click: a \b keeps a paragraph's lines
    completion = get_completion_class(shell)
    if completion is None:  # pragma: no cover  click has all three
        raise click.UsageError(f"click knows no completion for {shell}")
    click.echo(completion(cli, {}, "spot", "_SPOT_COMPLETE").source())
