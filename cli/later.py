"""Command groups that import a subcommand only when it is asked for."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LaterGroup(click.Group):
    """`commands_later` says where commands are found, as `module:name` by their names.

    What a subcommand needs is imported when it runs, so that each process holds only its own part.
    """

    def __init__(self, *args: Any, commands_later: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._later = commands_later

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *self._later])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._later:
            return super().get_command(ctx, cmd_name)
        module, _, name = self._later[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command
