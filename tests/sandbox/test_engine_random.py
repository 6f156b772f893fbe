"""The engine with the random plugin: the whole life of a password."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.sandbox.programs import Program

PASSWORD = """
    import pulumi
    import pulumi_random as random

    password = random.RandomPassword("password", length=24, keepers={{"generation": "{generation}"}}, min_upper=3)
    pulumi.export("password", password.result)
    pulumi.export("hash", password.bcrypt_hash)
"""


def test_a_password_lives_until_its_keeper_changes(program: Program) -> None:
    program.write(PASSWORD.format(generation=1))
    assert program.plan() == [("create", "password")]
    program.up()
    program.unchanged()
    first = program.outputs()["password"]
    assert len(first) == 24
    program.pulumi("refresh", "--yes", "--skip-preview")
    program.pulumi("refresh", "--yes", "--run-program")
    program.unchanged()
    assert program.outputs()["password"] == first

    program.write(PASSWORD.format(generation=2))
    assert program.plan() == [("replace", "password")]
    program.up()
    second = program.outputs()["password"]
    assert len(second) == 24
    assert second != first

    program.pulumi("destroy", "--yes")
    assert program.resources() == {}


def test_a_password_is_nowhere_in_the_open(program: Program) -> None:
    program.write(PASSWORD.format(generation=1))
    said = program.up() + program.pulumi("preview", "--diff") + program.pulumi("stack")
    outputs = program.outputs()
    state = program.state()
    for secret in (outputs["password"], outputs["hash"]):
        assert secret not in said
        assert secret not in state
    assert "[secret]" in said


def test_an_import_keeps_the_password(program: Program) -> None:
    program.write("""
        import pulumi
        import pulumi_random as random

        password = random.RandomPassword("password", length=6, opts=pulumi.ResourceOptions(import_="s3cret"))
        pulumi.export("password", password.result)
    """)
    program.up()
    program.unchanged()
    assert program.outputs()["password"] == "s3cret"


def test_impossible_options_are_refused_before_anything_is_made(program: Program) -> None:
    program.write("""
        import pulumi_random as random

        random.RandomPassword("password", length=3, min_upper=2, min_lower=2)
    """)
    assert "must be at least sum of min_upper + min_lower + min_numeric + min_special" in program.up(status=1)
    assert "password" not in program.resources()
