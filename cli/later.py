"""Command groups that import a subcommand only when it is run."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import click


class LaterGroup(click.Group):
    """A group whose `commands_later` maps names of commands to `module:name`.

    A subcommand's modules are imported when it runs, so that a process loads only its own part.
    `sections` are the parts of the help, with the commands of each in their order; other commands
    are hidden. Without them, all are listed by name.
    """

    def __init__(
        self,
        *args: Any,
        commands_later: Mapping[str, str],
        sections: Mapping[str, Sequence[str]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._later = commands_later
        self._sections = sections

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *self._later])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._later:
            return super().get_command(ctx, cmd_name)
        module, _, name = self._later[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self._sections is None:
            super().format_commands(ctx, formatter)
            return
        width = max(len(name) for names in self._sections.values() for name in names)
        limit = formatter.width - width - 6
        for title, names in self._sections.items():
            with formatter.section(title):
                formatter.write_dl(
                    [
                        (name.ljust(width), command.get_short_help_str(limit))
                        for name in names
                        if (command := self.get_command(ctx, name)) is not None
                    ]
                )
