from __future__ import annotations

import pytest

from meltanodata.config.influence import Influences, Kind, SettingsChange, kind, linked


@pytest.mark.parametrize(
    ("file", "is_a"),
    [
        ("tenants.yaml", Kind.FLEET),
        ("other.yaml", Kind.PROGRAM),
        ("Pulumi.prod.yaml", Kind.SETTINGS),
        ("Pulumi.yaml", Kind.PROGRAM),
        ("requirements.lock", Kind.PROGRAM),
        ("pyproject.toml", Kind.PROGRAM),
        ("__main__.py", Kind.PROGRAM),
        ("yaml.py", Kind.PROGRAM),
        ("yaml/__init__.py", Kind.PROGRAM),
        ("meltanodata/rollout/guard.py", Kind.PROGRAM),
        ("meltanodata/files/README.md", Kind.PROGRAM),
        (".gitattributes", Kind.PROGRAM),
        ("Makefile", Kind.WORKFLOW),
        (".ci/run", Kind.WORKFLOW),
        (".github/workflows/preview.yml", Kind.WORKFLOW),
        (".github/CODEOWNERS", Kind.WORKFLOW),
        ("../.github/workflows/preview.yml", Kind.WORKFLOW),
        ("../program/__main__.py", Kind.PROGRAM),
        ("../website/index.html", Kind.HARMLESS),
        ("README.md", Kind.HARMLESS),
        ("docs/how-to/tenants.md", Kind.HARMLESS),
        ("tests/unit/rollout/test_guard.py", Kind.HARMLESS),
        ("tenants.schema.json", Kind.HARMLESS),
    ],
)
def test_each_kind_of_file(file: str, is_a: Kind) -> None:
    assert kind(file, {"tenants.yaml"}, "../program") is is_a


@pytest.mark.parametrize("program", ["docs", "sandbox/program"])
def test_the_programs_folder_is_the_programs_whatever_it_is_called(program: str) -> None:
    assert kind(f"{program}/__main__.py", (), program) is Kind.PROGRAM
    assert kind("docs2/x.md", (), program) is Kind.PROGRAM
    assert kind("tests/x.py", (), program) is Kind.HARMLESS


@pytest.mark.parametrize(
    ("links", "counts"),
    [
        ({}, []),
        ({"meltanodata/prices.py": "../docs/prices.py"}, ["docs/prices.py"]),
        ({"Pulumi.prod.yaml": "docs/a/b"}, ["docs/a/b"]),
        ({"yaml": "docs/a"}, ["docs/a/b"]),
        ({"yaml": "./docs//a/"}, ["docs/a/b"]),
        ({"x.py": "docs/x.py", "docs/x.py": "a/b"}, ["docs/a/b"]),  # by another link
        ({"x.py": "docs/c/b", "docs/c": "a"}, ["docs/a/b"]),  # through another link
        ({"everything": "."}, ["docs/a/b", "docs/prices.py", "docs/other.md"]),
        ({"everything": "../.."}, ["docs/a/b", "docs/prices.py", "docs/other.md"]),
        ({"x.py": "/home/runner/work/x/x/docs/prices.py"}, ["docs/a/b", "docs/prices.py", "docs/other.md"]),
        ({"docs/prices.py": "../meltanodata/prices.py", "tests/x": "../docs"}, []),
        ({"README.md": "docs/other.md"}, []),
    ],
)
def test_what_has_another_name_is_what_that_is(links: dict[str, str], counts: list[str]) -> None:
    reached = linked(links, {"tenants.yaml"})
    files = ["docs/a/b", "docs/prices.py", "docs/other.md"]
    assert [file for file in files if kind(file, {"tenants.yaml"}, "", reached) is Kind.PROGRAM] == counts
    assert kind("tenants.yaml", {"tenants.yaml"}, "", reached) is Kind.FLEET


def test_links_in_a_circle_end() -> None:
    assert linked({"a": "docs/b", "docs/b": "../c", "c": "a"}) == {"docs/b", "c", "a"}


def test_influences_are_described_in_one_line_of_limited_length() -> None:
    changed = Influences(
        program=tuple(f"meltanodata/{number:02}.py" for number in range(12)),
        settings=(SettingsChange("Pulumi.prod.yaml", ("guard", "tokens")), SettingsChange("Pulumi.b.yaml", ())),
        workflows=("evil\n\x1b[2J" + "x" * 300,),
    )
    text = str(changed)
    assert text.startswith("program (meltanodata/00.py, meltanodata/01.py, ")
    assert "meltanodata/09.py and 2 more)" in text
    assert "settings in Pulumi.prod.yaml (guard, tokens) and Pulumi.b.yaml" in text
    assert text.isprintable()
    assert len(text) < 600
    assert not Influences()
