"""Stand-in for the plugin `random`: RandomPassword, the one of its resources that keeps its value out of the id."""

from __future__ import annotations

import secrets
import string
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import bcrypt

from sandbox.plugins.package import Call, Created, Found, Package, Plan, ProviderError, Resource, State
from sandbox.plugins.schema import Difference, Failure, Field, Fields, MapOf, difference
from sandbox.plugins.values import UNKNOWN, Properties, Unknown

if TYPE_CHECKING:
    from collections.abc import Sequence

_ID = "none"
_META = '{"schema_version":"3"}'
"""What the bridge keeps beside a state; without it the official plugin takes that for one of an old version."""
_SPECIAL = "!@#$%&*()-_=+[]{}<>:?"
_CLASSES = {
    # option: (option for the least count, characters)
    "lower": ("minLower", string.ascii_lowercase),
    "upper": ("minUpper", string.ascii_uppercase),
    "numeric": ("minNumeric", string.digits),
    "special": ("minSpecial", _SPECIAL),
}
_HASHED_BYTES = 72
"""bcrypt reads no more of a password."""


class RandomPassword(Resource[None]):
    """A password made once and kept in the state; any change of an option makes another one."""

    token = "random:index/randomPassword:RandomPassword"  # noqa: S105 -- a type's name
    inputs: ClassVar[Fields] = {
        "length": Field("integer", required=True, replaces=True),
        "lower": Field("boolean", replaces=True),
        "upper": Field("boolean", replaces=True),
        "numeric": Field("boolean", replaces=True),
        "number": Field("boolean", replaces=True),  # the older name of `numeric`
        "special": Field("boolean", replaces=True),
        "minLower": Field("integer", replaces=True),
        "minUpper": Field("integer", replaces=True),
        "minNumeric": Field("integer", replaces=True),
        "minSpecial": Field("integer", replaces=True),
        "overrideSpecial": Field("string", replaces=True),
        "keepers": Field(MapOf("string"), replaces=True),
    }
    computed = frozenset({"id", "result", "bcryptHash"})
    secret_outputs = frozenset({"result", "bcryptHash"})

    def check(self, inputs: Properties) -> list[Failure]:
        """Some class of characters is wanted, and the length has room for what is wanted of each."""
        values = _effective(inputs)
        if any(isinstance(value, Unknown) for value in values.values()):
            return []
        least = sum(values[minimum] for minimum, _ in _CLASSES.values())
        failures = []
        if values["length"] < 1:
            failures.append(Failure("length", f"value must be at least 1, got: {values['length']}"))
        elif values["length"] < least:
            reason = "value must be at least sum of min_upper + min_lower + min_numeric + min_special"
            failures.append(Failure("length", f"{reason}, got: {values['length']}"))
        if not any(values[name] for name in _CLASSES):
            reason = f"At least one attribute out of [{','.join(_CLASSES)}] must be specified as true"
            failures.append(Failure("numeric", reason))
        return failures

    def plan(self, old: State, inputs: Properties, ignored: Sequence[str]) -> Plan:
        """Which options changed, and nothing of how."""
        return replace(super().plan(old, inputs, ignored), detailed=False)

    def diff(self, old: State, inputs: Properties) -> Difference:
        """An option that is set to its default has not changed."""
        return difference(self.inputs, _effective(old.inputs), _effective(inputs))

    def preview_create(self, inputs: Properties) -> Properties:
        """All but the password and its hash."""
        return {**_effective(inputs), **dict.fromkeys(self.computed, UNKNOWN)}

    async def create(self, call: Call[None], inputs: Properties) -> Created:
        """Make a password."""
        del call
        if "number" in inputs and inputs["number"] != inputs.get("numeric", inputs["number"]):
            raise ProviderError("number and numeric are both set, to different values: use numeric only")
        values = _effective(inputs)
        return Created(_ID, values | _outputs(_password(values)))

    async def read(self, call: Call[None], id_: str, old: State | None) -> Found | None:
        """The state is all there is; an import takes the id for the password."""
        del call
        if old is not None:
            return Found(_ID, old)
        inputs = {"length": len(id_), **dict.fromkeys((*_CLASSES, "number"), True)}
        return Found(_ID, State(inputs, _effective(inputs) | _outputs(id_)))


def _effective(inputs: Properties) -> Properties:
    """The inputs with the defaults of what is not set."""
    numeric = inputs.get("numeric", inputs.get("number", True))
    return {
        **dict.fromkeys(_CLASSES, True),
        **{minimum: 0 for minimum, _ in _CLASSES.values()},
        **inputs,
        "numeric": numeric,
        "number": numeric,
    }


def _password(values: Properties) -> str:
    """First the least of each class, then any of the wanted ones, in random order."""
    alphabets = {name: characters for name, (_, characters) in _CLASSES.items()}
    if values.get("overrideSpecial"):
        alphabets["special"] = values["overrideSpecial"]
    chosen = [secrets.choice(alphabets[name]) for name in _CLASSES for _ in range(values[_CLASSES[name][0]])]
    wanted = "".join(alphabets[name] for name in _CLASSES if values[name])
    chosen += [secrets.choice(wanted) for _ in range(values["length"] - len(chosen))]
    secrets.SystemRandom().shuffle(chosen)
    return "".join(chosen)


def _outputs(password: str) -> dict[str, Any]:
    salt = bcrypt.gensalt(rounds=10, prefix=b"2a")
    hashed = bcrypt.hashpw(password.encode()[:_HASHED_BYTES], salt)
    return {"id": _ID, "result": password, "bcryptHash": hashed.decode(), "__meta": _META}


PACKAGE = Package(name="random", version="4.21.4", resources=(RandomPassword(),), configure=lambda _: None)
