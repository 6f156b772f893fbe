"""The fleet's page in a real browser: Debian's Chromium, where it is installed."""

from __future__ import annotations

import datetime as dt
import http.server
import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from meltanodata.config.placement import Use
from meltanodata.render.page import Page, State, Team, render
from sandbox.browser import program as browser_program
from tests.fakes.http import listening
from tests.unit.render.samples import entry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHROMIUM = browser_program()
ALONE = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--virtual-time-budget=5000"),
]
"""Without a screen, and without a word to anybody but our server."""

PHONE, DESKTOP = 390, 1280

# The page in frames as wide as a phone and a screen: the browser itself refuses windows below 500 pixels.
FRAMES = f"""<!DOCTYPE html><body>
<iframe id="phone" width="{PHONE}" height="3000" src="/"></iframe>
<iframe id="desktop" width="{DESKTOP}" height="3000" src="/"></iframe>
<script>
addEventListener("load", () => {{
  const measured = {{}};
  for (const name of ["phone", "desktop"]) {{
    const page = document.getElementById(name).contentDocument;
    const cell = page.querySelector("td[data-label=Meltano]");
    const search = (text) => {{
      page.getElementById("find").value = text;
      page.getElementById("find").dispatchEvent(new Event("input"));
      return [...page.querySelectorAll("tbody tr")].filter((row) => row.offsetHeight > 0).length;
    }};
    measured[name] = {{
      overflow: page.documentElement.scrollWidth - page.documentElement.clientWidth,
      labelled: page.defaultView.getComputedStyle(cell, "::before").content,
      head: page.querySelector("thead").offsetHeight,
      bars: [...page.querySelectorAll("svg .used")].map((bar) => Math.round(bar.getBoundingClientRect().width
        / bar.parentElement.getBoundingClientRect().width * 100)),
      all: search(""), found: search("Bolt "), nobody: search("nobody is called so"),
    }};
  }}
  const result = document.createElement("pre");
  result.textContent = "measured:" + JSON.stringify(measured) + ":measured";
  document.body.append(result);
}});
</script>"""


@pytest.fixture
def served() -> Iterator[tuple[str, list[str]]]:
    """The page and its frames on loopback, and the paths that were asked for."""
    long = "a-very-long-tenant-name-that-somebody-thought-to-be-a-good-idea"
    tenants = [entry("acme"), entry("bolt", state=State.UNFINISHED, note="x" * 80), entry(long, demo=True)]
    uses = {"droplets": Use("Meltano", 3, 500), "databases": Use("MeltanoData DBs 10", 45, 60, full=True)}
    teams = [Team(use, kind) for kind, use in uses.items()]
    page = render(Page("meltanodata.com", dt.datetime.now(dt.UTC), "abc1234", tenants, teams))
    files = {"/": page, "/frames": FRAMES}
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            content = files.get(self.path, "").encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with listening(Handler) as url:
        yield url, asked


@pytest.mark.skipif(CHROMIUM is None, reason="without Chromium (apt-get install chromium)")
def test_the_page_on_a_phone_and_on_a_screen(served: tuple[str, list[str]], tmp_path: Path) -> None:
    url, asked = served
    command = [CHROMIUM or "", *ALONE, f"--user-data-dir={tmp_path}", "--dump-dom", f"{url}/frames"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    (found,) = re.findall(r"measured:(\{.*\}):measured</pre>", done.stdout)
    measured: dict[str, dict[str, Any]] = json.loads(found)
    for seen in measured.values():
        assert seen["overflow"] == 0
        assert seen["bars"] == [0, 75]
        assert (seen["all"], seen["found"], seen["nobody"]) == (3, 1, 0)
    assert measured["phone"]["labelled"] == '"Meltano"'
    assert measured["phone"]["head"] <= 1
    assert measured["desktop"]["labelled"] == "none"
    assert measured["desktop"]["head"] > 10
    assert set(asked) <= {"/", "/frames", "/favicon.ico"}
    assert asked.count("/favicon.ico") <= 1  # for the frames' page; ours has an icon of its own
