"""How the commands show their usage, and what they answer to words that people reach for."""

from __future__ import annotations

import shlex
from typing import Any

from typer.core import TyperArgument, TyperGroup

INSTEAD = {
    "add": "meltanodata new TENANT --write",
    "create": "meltanodata new TENANT --write",
    "validate": "meltanodata check",
    "lint": "meltanodata check",
    "preview": "meltanodata plan",
    "diff": "meltanodata plan",
    "apply": "meltanodata up",
    "login": "meltanodata credentials TENANT",
    "password": "meltanodata credentials TENANT",
    "shell": "meltanodata ssh TENANT",
    "import": "meltanodata adopt",
    "list": "meltanodata page FILE, which writes a page of all tenants; meltanodata stacks lists the stacks",
    "ls": "meltanodata page FILE, which writes a page of all tenants; meltanodata stacks lists the stacks",
    # No command removes a tenant. An edit does, and the plan shows what it deletes.
    "remove": "an edit of tenants.yaml, see docs/how-to/tenants.md. To see what it deletes: meltanodata plan",
    "delete": "an edit of tenants.yaml, see docs/how-to/tenants.md. To see what it deletes: meltanodata plan",
    "destroy": "an edit of tenants.yaml, see docs/how-to/tenants.md. To see what it deletes: meltanodata plan",
}
"""Words from other programs, and what does that here."""

_WHOLE_STACK = ("plan", "up", "deploy", "drift")
"""Commands after which people name a tenant, and that take none."""


class Commands(TyperGroup):
    """A program's commands. Placeholders have one style in usage and help: NAME if required, [NAME] if optional."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        """Take typer's commands and change how their arguments are shown."""
        super().__init__(*arguments, **settings)
        for command in self.commands.values():
            for parameter in command.params:
                if isinstance(parameter, TyperArgument):
                    parameter.__class__ = _Argument


class OperatorCommands(Commands):
    """The commands of `meltanodata`, which answer to the words of other programs."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        """Find the command that the arguments begin with; for a word from another program say what does it here."""
        if args and args[0] not in self.commands and args[0] in INSTEAD:
            ctx.fail(f"There is no command {args[0]!r}. Instead: {INSTEAD[args[0]]}")
        if args and args[0] in _WHOLE_STACK and args[1:] and not args[1].startswith("-"):
            name = shlex.quote(args[1])
            ctx.fail(
                f"`{args[0]}` works on the whole stack and takes no tenant. Leave {name} out:"
                f" meltanodata {args[0]}. To examine one instance: meltanodata doctor {name}"
            )
        return super().resolve_command(ctx, args)


class _Argument(TyperArgument):
    """An argument whose placeholder says enough: no braces, no Python type."""

    def get_usage_pieces(self, ctx: object) -> list[str]:  # noqa: ARG002 - the base class has it
        name = self.display_name_raw if self.required else f"[{self.display_name_raw}]"
        return [name if self.nargs == 1 else f"{name}..."]

    def display_type(self, ctx: object) -> str:  # noqa: ARG002 - likewise
        return ""
