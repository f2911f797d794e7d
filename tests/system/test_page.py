# SPDX-License-Identifier: GPL-2.0-only
"""The page of real runs in a real browser, and real runs in other tools' formats."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from junitparser import JUnitXml
from kcidb_io.schema import V5_3

from benchmarks.page import large_run, write
from harness.base.paths import cache_dir
from tests.system.browser import CHROMIUM, Browser, browser
from tests.system.commands import KERNEL, S2Eval, make_machine, make_suite
from tests.system.conftest import Finished

# What the guest prints: markup in the message about a parameter, then control sequences and bytes
# that are no text; reading the kernel's log never comes to an end.
MARKUP = "</pre><script>document.title='hit'</script><img/src=x/onerror=alert(2)>"
HOSTILE = f"""
extends = "provoke"
script = '''
insmod provoke.ko how={MARKUP}
insmod provoke.ko how=garbage count=3
stream /proc/kmsg
'''
"""
IMPATIENT = 'extends = "flat-tcg"\n[limits]\nsilence = 6\n'

SHOWN = "[...document.querySelectorAll('#grid td[data-c]:not(.off)')].length"
FAILURES = "[...document.querySelectorAll('.failure')].filter(f => !f.hidden).length"


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine")
    with browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture(autouse=True)
def quiet(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test may end with a script's error, a refused resource or a request for another file."""
    yield
    if "tab" in request.fixturenames:
        opened: Browser = request.getfixturevalue("tab")
        assert opened.complaints == []
        assert all(re.match("file:.*[.]html|about:blank", url) for url in opened.requests)
        opened.requests.clear()


@pytest.fixture(scope="module")
def page(quickstart: Finished) -> Path:
    ran = quickstart.s2eval("report")
    path = quickstart.s2eval.folder() / "report.html"
    assert (ran.code, ran.err) == (0, "") and ran.out.startswith("report: ")
    assert Path(ran.out.removeprefix("report: ").strip()).name == path.name
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """500 cells: 25 kernels on 20 machines, every other kernel with a failure."""
    s2eval = S2Eval(tmp_path_factory.mktemp("large"))
    folder = write(large_run(), s2eval.results)
    assert s2eval("report", str(folder)).code == 0
    return folder / "report.html"


def test_it_shows_the_run(tab: Browser, page: Path) -> None:
    tab.shape(1300)
    tab.open(page)
    text = tab.run("document.body.innerText")
    assert text.startswith("PASS") and "All that failed was expected." in text
    assert "S2 Device-nGnRE" in text and "S2 Normal-NC" in text
    assert "ioremap_wc.unaligned_load: VM killed -> works" in text
    assert tab.run("document.querySelectorAll('figure svg text').length") > 10


@pytest.mark.parametrize(("width", "dark"), [(1300, False), (1300, True), (390, False)])
def test_it_fits_and_can_be_read(tab: Browser, page: Path, width: int, dark: bool) -> None:
    tab.shape(width, dark=dark)
    tab.open(page)
    assert tab.run("document.documentElement.scrollWidth") <= width
    assert tab.run("getComputedStyle(document.body).fontSize") == "14px"
    colours = [
        [int(n) for n in re.findall(r"\d+", tab.run(f"getComputedStyle({element}).{what}"))[:3]]
        for element, what in (
            ("document.body", "color"),
            ("document.documentElement", "backgroundColor"),
        )
    ]
    assert (sum(colours[0]) > sum(colours[1])) is dark
    assert abs(sum(colours[0]) - sum(colours[1])) > 500
    drawn = tab.run("getComputedStyle(document.querySelector('figure svg text')).fill")
    assert [int(n) for n in re.findall(r"\d+", drawn)[:3]] == colours[0]


def test_filters_by_keyboard(tab: Browser, page: Path) -> None:
    tab.shape(1300)
    tab.open(page)
    assert (tab.run(SHOWN), tab.run(FAILURES)) == (2, 1)
    for key in "/+stage2":
        tab.press(key)
    assert tab.run("document.activeElement.name") == "text"
    assert (tab.run(SHOWN), tab.run(FAILURES)) == (1, 0)
    assert tab.run("document.querySelector('#filter output').textContent") == "1 of 2 cells"
    tab.press("Escape")
    while tab.run(SHOWN) != 2:  # the form is cleared after the event
        pass
    assert tab.run("location.hash") == ""
    tab.run("document.querySelector('#filter input').focus()")
    assert tab.run("document.activeElement.value") in ("PASS", "FAIL")
    tab.press(" ")
    assert tab.run(SHOWN) == 1
    tab.press("Tab")
    assert tab.run("document.activeElement.value") == "FAIL"


def test_everything_can_be_reached_by_tab(tab: Browser, page: Path) -> None:
    tab.shape(1300)
    tab.open(page)
    wanted = tab.run("document.querySelectorAll('main summary, .grid a').length")
    reached = set()
    for _ in range(300):
        tab.press("Tab")
        where = tab.run(
            "[...document.querySelectorAll('main summary, .grid a')]"
            ".indexOf(document.activeElement)"
        )
        reached.add(where)
        if len(reached - {-1}) == wanted - tab.run(
            "[...document.querySelectorAll('main details:not([open]) summary')]"
            ".filter(s => !s.checkVisibility()).length"
        ):
            return
    raise AssertionError(f"{len(reached)} of {wanted}")


def test_a_filter_is_an_address(tab: Browser, page: Path) -> None:
    tab.shape(1300)
    tab.open(page, "#status=FAIL&text=unsupported+fsc")
    assert (tab.run(SHOWN), tab.run(FAILURES)) == (1, 1)
    assert tab.run("document.querySelector('[name=text]').value") == "unsupported fsc"
    tab.open(page, "#machine=nested-tcg&kernel=debian-6.1")
    assert tab.run(SHOWN) == 1
    columns = "[...document.querySelectorAll('table.side thead th')].filter(h => !h.hidden).length"
    assert tab.run(columns) == 1


def test_a_link_opens_its_failure(tab: Browser, page: Path) -> None:
    tab.shape(1300)
    tab.open(page)
    assert tab.run("document.querySelector('.failure').open") is False
    tab.run("document.querySelector('.grid a[href^=\"#f\"]').click()")
    while not tab.run("document.querySelector('.failure').open"):
        pass
    assert "sh again.sh" in tab.run("document.querySelector('.failure').innerText")


def test_without_scripts_all_is_there(tmp_path: Path, page: Path) -> None:
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine")
    with browser(tmp_path) as plain:
        plain.without_scripts()
        plain.show(page)
        html = plain.html()
    assert 'id="filter" role="search" hidden' in html
    assert "Unsupported FSC" in html and "Normal-NC" in html


def test_on_paper(tab: Browser, page: Path) -> None:
    tab.shape(1000, media="print")
    tab.open(page)
    assert tab.run("getComputedStyle(document.getElementById('filter')).display") == "none"
    tab.run("dispatchEvent(new Event('beforeprint'))")
    assert tab.run("document.querySelectorAll('details:not([open])').length") == 0
    tab.run("dispatchEvent(new Event('afterprint'))")
    assert tab.run("document.querySelectorAll('details:not([open])').length") > 0


def test_what_a_guest_prints_is_text(
    tab: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    s2eval = S2Eval(tmp_path_factory.mktemp("hostile"))
    machine = make_machine(s2eval.home / "impatient.toml", IMPATIENT)
    suite = make_suite(s2eval.home / "hostile", HOSTILE)
    s2eval("run", "-k", KERNEL, "-m", machine, "-s", suite)
    raw = b"".join(path.read_bytes() for path in s2eval.folder().glob("*/*.log"))
    assert MARKUP.encode() in raw and b"\x1b" in raw
    assert s2eval("report").code == 0
    tab.shape(1300)
    tab.open(s2eval.folder() / "report.html")
    shown = tab.run("document.querySelector('.failure').innerText")
    assert f"how={MARKUP} is unknown" in shown
    assert "\x1b" not in shown and "\ufffd" in shown
    assert tab.run("document.title") != "hit"
    assert tab.run("document.images.length") == 0
    assert tab.run("document.scripts.length") == 1


def test_500_cells(tab: Browser, large: Path) -> None:
    assert large.stat().st_size <= 5_000_000
    tab.shape(1300)
    tab.open(large)
    assert (tab.run(SHOWN), tab.run(FAILURES)) == (500, 260)
    tab.open(large, "#machine=machine-3&status=PASS")
    assert (tab.run(SHOWN), tab.run(FAILURES)) == (12, 0)
    tab.open(large, "#text=s7%2Fmachine-3")
    assert tab.run(SHOWN) == 1
    tab.shape(390)
    tab.open(large)
    assert tab.run("document.documentElement.scrollWidth") <= 390


# -- formats ----------------------------------------------------------------------------------


def test_the_kernels_own_parser_reads_ktap(quickstart: Finished) -> None:
    ran = quickstart.s2eval("export", "--format", "ktap")
    parsers = cache_dir("sources").glob("*/*/tools/testing/kunit/kunit.py")
    parser = max(parsers, default=None, key=str)
    if parser is None:
        pytest.skip("no kernel source with kunit.py in the cache")
    parsed = subprocess.run(
        ["python3", "-B", str(parser), "parse"],
        input=ran.out,
        cwd=parser.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert parsed.returncode == 0, parsed.stdout
    assert re.search(r"Ran \d+ tests: passed: \d+, skipped: 1$", parsed.stdout.strip())
    assert "error" not in parsed.stdout.lower()


def test_junit_kcidb_markdown_and_json(quickstart: Finished, tmp_path: Path) -> None:
    def exported(name: str, *options: str) -> str:
        path = tmp_path / name
        ran = quickstart.s2eval("export", "-f", name, "-o", str(path), *options)
        assert (ran.code, ran.out, ran.err) == (0, "", "")
        return path.read_text()

    junit = JUnitXml.fromstring(exported("junit").encode())
    assert (junit.failures, junit.errors) == (0, 0) and junit.tests > 50
    kcidb: dict[str, Any] = json.loads(exported("kcidb", "--origin", "my_lab"))
    V5_3.validate(kcidb)
    assert len(kcidb["builds"]) == 2 and any("number" in test for test in kcidb["tests"])
    patched = kcidb["checkouts"][1]["patchset_hash"]
    assert re.fullmatch("[0-9a-f]{64}", patched)
    assert exported("markdown").startswith("# PASS: ")
    assert json.loads(exported("json"))["status"] == "PASS"


def test_errors_are_one_line(quickstart: Finished, tmp_path: Path) -> None:
    s2eval = quickstart.s2eval
    for args, words in (
        (("export", "-f", "kcidb", "--origin", "My Lab"), "only a-z, 0-9 and _"),
        (("export", "-f", "junit", "-o", str(tmp_path / "no" / "x")), "No such file"),
        (("report", "-o", str(tmp_path / "no" / "x")), "No such file"),
        (("report", "2026"), "run '2026'"),
        (("export", "-f", "xml"), "is not one of"),
    ):
        ran = s2eval(*args)
        assert ran.code == 2 and words in ran.one_line()
    url = f"sqlite:///{tmp_path / 'none.sqlite'}"
    ran = s2eval("report", "--history", "--url", url)
    assert ran.code == 2 and "s2eval history --rebuild" in ran.one_line()
    assert not (tmp_path / "none.sqlite").exists()
