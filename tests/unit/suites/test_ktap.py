# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import gzip
import tracemalloc
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.suites import facts, ktap
from harness.suites.facts import KINDS
from harness.suites.ktap import Document, Test, parse
from tests import data_files

DATA = data_files.DATA / "ktap"

HEAD = b"KTAP version 1\n"


def texts(document: Document, weight: str | None = None) -> list[str]:
    return [f.text for f in document.findings if weight in (None, f.weight)]


def paths(tests: list[Test], parent: str = "") -> list[str]:
    found = []
    for test in tests:
        found += [parent + test.name, *paths(test.children, f"{parent}{test.name}.")]
    return found


def test_recorded_stream_of_a_real_guest() -> None:
    document = parse((DATA / "wcprobe.ktap").read_bytes())
    assert document.findings == []
    assert document.ended
    assert [t.name for t in document.tests] == ["ioremap", "ioremap_np", "ioremap_wc"]
    assert all(len(t.children) == t.plan == 6 for t in document.tests)
    assert all(t.ok for t in document.tests)
    device = document.facts[0]
    assert device == facts.Device("0000:00:02.0", "1af4", "1110", 2, 0x8000000000, 0x400000)
    words = [f.value for f in document.facts if isinstance(f, facts.Value) and f.name == "outcome"]
    assert words == ["faults"] * 4 + ["works"] * 2


def test_failure_carries_its_diagnostics() -> None:
    document = parse((DATA / "wcprobe-qemu7.ktap").read_bytes())
    load = document.tests[0].children[4]
    assert (load.name, load.ok) == ("unaligned_load", False)
    assert load.diagnostics == [
        "reason: an unaligned access to Device-nGnRE memory works, it must fault"
    ]


@pytest.mark.parametrize("directive", ktap.DIRECTIVES)
def test_directives(directive: str) -> None:
    document = parse(HEAD + f"1..1\nok 1 name # {directive} the reason\n".encode())
    test = document.tests[0]
    assert (test.name, test.directive, test.reason) == ("name", directive, "the reason")


def test_a_bare_comment_is_a_reason_without_directive() -> None:
    test = parse(HEAD + b"1..1\nnot ok 1 - name # because\n").tests[0]
    assert (test.name, test.directive, test.reason) == ("name", "", "because")


def test_kselftest_nesting() -> None:
    stream = b"""TAP version 13
1..2
# TAP version 13
# 1..2
# # deep diagnostic
# ok 1 a
# not ok 2 b # TIMEOUT 45 seconds
not ok 1 selftests: x # exit=1
# ok so far, this is a remark
ok 2 y
"""
    document = parse(stream)
    assert paths(document.tests) == ["selftests: x", "selftests: x.a", "selftests: x.b", "y"]
    assert document.tests[0].children[1].directive == "TIMEOUT"
    assert document.tests[1].diagnostics == ["ok so far, this is a remark"]
    assert document.findings == []


def test_kunit_nests_with_four_spaces() -> None:
    stream = HEAD + b"1..1\n    # Subtest: s\n    1..1\n        1..1\n        ok 1 deep\n"
    stream += b"    ok 1 mid\nok 1 s\n"
    assert paths(parse(stream).tests) == ["s", "s.mid", "s.mid.deep"]


@pytest.mark.parametrize(
    ("stream", "finding"),
    [
        (b"ok 1 a\n", "the stream: no plan"),
        (b"1..2\nok 1 a\n", "the stream: 2 tests planned, 1 came"),
        (b"1..1\nok 1 a\nok 2 b\n", "the stream: 1 tests planned, 2 came"),
        (b"1..2\nok 1 a\nok 3 b\n", "'b' has number 3, not 2"),
        (b"1..1\nok a\n", "'a' has no number"),
        (b"1..2\nok 1 a\nok 2 a\n", "the stream: 'a' came 2 times"),
        (b"1..1\n1..1\nok 1 a\n", "the stream: a second plan"),
        (b"Bail out! no memory\n", "Bail out! no memory"),
        (b"1..1\n  1..1\n  # Subtest: s\n  ok 1 a\nok 1 t\n", "'t' ends the tests of 's'"),
        (b"1..1\n  1..2\n  # Subtest: s\n  ok 1 a\n", "s: the line of its result never came"),
        (b"what the kernel says\n", "1 lines are not KTAP"),
        (b"1..1\nok 1 \xff\xfe\n", "1 lines are not UTF-8"),
        (b"# s2eval: nonsense a=b\n", "s2eval line of unknown kind 'nonsense'"),
        (b"# s2eval: begin\n", "s2eval line 'begin' lacks test"),
        (b"# s2eval: begin tset=x\n", "s2eval line 'begin': 'tset=x' is not one of its fields"),
        (
            b"# s2eval: expect test=a offset=x size=1 seed=1\n",
            "s2eval line 'expect': offset=x is not a value",
        ),
        (b" " * 80 + b"ok 1 deep\n", "a line is nested deeper than 16 levels"),
        (HEAD.replace(b"1", b"9"), "KTAP version 9 is not known"),
    ],
)
def test_findings(stream: bytes, finding: str) -> None:
    assert finding in texts(parse(HEAD + stream))


def test_torn_stream_keeps_what_came() -> None:
    whole = (DATA / "wcprobe.ktap").read_bytes()
    cut = whole[: whole.index(b"begin test=ioremap_wc.unaligned_load") + 10]
    document = parse(cut)
    assert not document.ended
    last = document.tests[-1]
    assert (last.name, last.ok, last.plan, len(last.children)) == ("ioremap_wc", None, 6, 4)
    assert "ioremap_wc: 6 tests planned, 4 came" in texts(document, "torn")


def test_two_programs_of_one_suite_follow_each_other() -> None:
    document = parse(HEAD + b"1..1\nok 1 a\n" + HEAD + b"1..2\nok 1 b\nok 2 c\n")
    assert [t.name for t in document.tests] == ["a", "b", "c"]
    assert document.findings == []


def test_noise_between_lines_changes_nothing() -> None:
    clean = parse((DATA / "wcprobe.ktap").read_bytes())
    lines = (DATA / "wcprobe.ktap").read_bytes().split(b"\n")
    noisy = parse(b"\n\x1b[31m[    1.0] printk\xff\x00 noise\n".join(lines))
    assert paths(noisy.tests) == paths(clean.tests)
    assert noisy.facts == clean.facts


def test_names_lose_control_sequences() -> None:
    test = parse(b"ok 1 \x1b]0;owned\x07\x1b[31mred\x1b[0m\x08 # SKIP \x1b[2Jgone\n").tests[0]
    assert (test.name, test.reason) == ("red", "gone")


@pytest.mark.parametrize(
    "line", [b"A" * 65536, b"ok 1 a\n", b"  1..1\nok 1 a\n", b"# x\n", b"\xff\n", b"1..9\n  "]
)
def test_megabytes_of_garbage_take_little_memory(
    line: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ktap, "MAX_LINES", 5000)
    monkeypatch.setattr(ktap, "MAX_TESTS", 2000)
    piece = line * (65536 // len(line))
    parser = ktap.Parser()
    tracemalloc.start()
    for _ in range(64):
        parser.feed(piece)
    document = parser.close()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20
    assert len(paths(document.tests)) <= 2 * ktap.MAX_TESTS  # each may have an unnamed parent
    assert len(document.findings) <= ktap.MAX_FINDINGS + 8
    assert any("more than" in text or "longer than" in text for text in texts(document))


def test_facts_come_as_soon_as_their_line_is_whole() -> None:
    parser = ktap.Parser()
    assert parser.feed(b"# s2eval: audit mapping=m va=0x10 ipa=0x2") == []
    assert parser.feed(b"0 size=0x1000\n# s2") == [facts.Audit("m", 0x10, 0x20, 0x1000)]
    assert parser.line("# s2eval: end") == [facts.End()]


def test_values() -> None:
    line = "# s2eval: value test=a name=b value=2.5 unit=ns samples=1,2.5,3 representative=0"
    fact = ktap.parse_lines([line]).facts[0]
    assert fact == facts.Value("a", "b", 2.5, "ns", (1.0, 2.5, 3.0), representative=False)


@pytest.mark.parametrize(
    ("text", "value"),
    [("0x10", 16), ("-1.5", -1.5), ("works", "works"), ("nan", "nan"), ("1e999", "1e999")],
)
def test_a_value_is_a_figure_only_when_json_has_it(text: str, value: object) -> None:
    fact = ktap.parse_lines([f"# s2eval: value test=a name=b value={text}"]).facts[0]
    assert fact == facts.Value("a", "b", value)  # type: ignore[arg-type]


@given(st.binary(max_size=4000))
def test_no_bytes_raise(data: bytes) -> None:
    parse(data)


_PIECES = (
    *("KTAP version 1", "1..3", "1..1 # SKIP all", "ok 1 a", "not ok 2 b", "ok", "Bail out!"),
    *("# Subtest: s", "# note", "# s2eval: begin test=a", "# s2eval: end", ""),
    "# s2eval: value test=a name=b value=nan unit=s samples=1e999,x",
)
_LINE = st.one_of(
    st.sampled_from(_PIECES),
    st.text(max_size=30),
)


@given(st.lists(st.tuples(st.integers(0, 40), st.booleans(), _LINE), max_size=60))
def test_no_order_of_ktap_lines_raises(lines: list[tuple[int, bool, str]]) -> None:
    stream = "\n".join(("# " * n if kself else " " * n) + text for n, kself, text in lines)
    document = parse(stream.encode())
    assert len(document.tests) <= len(lines)


@given(st.binary(max_size=2000), st.integers(1, 50))
def test_pieces_make_no_difference(data: bytes, size: int) -> None:
    parser = ktap.Parser()
    for start in range(0, len(data), size):
        parser.feed(data[start : start + size])
    assert parser.close() == parse(data)


# -- a tree that is rendered parses back ------------------------------------------------------

_NAME = st.text("abcdefghijklmnopqrstuvwxyz_-:. ", min_size=1, max_size=20).map(
    lambda s: "n" + s.strip()
)


def _test(name: str, ok: bool, directive: str, diagnostics: list[str]) -> Test:
    return Test(
        name,
        ok,
        directive=directive,
        reason="why" if directive else "",
        diagnostics=diagnostics,
    )


_LEAF = st.builds(
    _test,
    _NAME,
    st.booleans(),
    st.sampled_from(("", *ktap.DIRECTIVES)),
    st.lists(st.sampled_from(["one", "reason: two"]), max_size=2),
)


def _with_children(test: Test, children: list[Test]) -> Test:
    test.children, test.plan = children, len(children)
    test.diagnostics = []
    return test


def _siblings(inner: st.SearchStrategy[Test]) -> st.SearchStrategy[list[Test]]:
    return st.lists(inner, min_size=1, max_size=4, unique_by=lambda t: t.name)


_TREE = _siblings(
    st.recursive(_LEAF, lambda inner: st.builds(_with_children, _LEAF, _siblings(inner)))
)


def _render(tests: list[Test], prefix: str, step: str) -> list[str]:
    lines = [f"{prefix}KTAP version 1", f"{prefix}1..{len(tests)}"]
    for number, test in enumerate(tests, 1):
        test.number = number
        if test.children:
            lines += _render(test.children, prefix + step, step)
        lines += [f"{prefix}# {text}" for text in test.diagnostics]
        directive = f" # {test.directive} {test.reason}" if test.directive else ""
        lines.append(f"{prefix}{'ok' if test.ok else 'not ok'} {number} {test.name}{directive}")
    return lines


@given(_TREE, st.sampled_from(["  ", "    ", "# "]))
def test_rendered_tree_parses_back(tests: list[Test], step: str) -> None:
    document = parse("\n".join(_render(tests, "", step)).encode())
    assert document.findings == []
    assert document.tests == tests


def test_recorded_bar_belongs_to_the_recorded_stream() -> None:
    """Used by test_observe; here only that the recording is whole."""
    assert len(gzip.decompress((DATA / "wcprobe.bar.gz").read_bytes())) == 256 << 10


@pytest.mark.parametrize("kind", KINDS)
def test_each_field_of_a_fact_has_a_reader(kind: str) -> None:
    fact, readers = KINDS[kind]
    assert set(readers) == {field.name for field in fields(fact)}
