# SPDX-License-Identifier: GPL-2.0-only
"""How a bisection is driven: real git, histories of thirty commits, answers from a table."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from harness.base.errors import MachineError, UsageError
from harness.evaluate.bisect.bisect import Result, bisect
from harness.evaluate.bisect.commits import History
from harness.evaluate.events import to_nobody
from harness.evaluate.patch.verdict.check import CheckResult
from harness.kernel.spec import KernelSource, KernelSpec

GOOD, BAD, NONE = (
    CheckResult(True, "works"),
    CheckResult(False, "faults"),
    CheckResult(None, "no output"),
)
COMMITS = 30


def git(folder: Path, *args: str) -> str:
    identity = ("-c", "user.name=D", "-c", "user.email=d@localhost")
    command = ["git", "-C", str(folder), *identity, *args]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("linux")
    git(folder, "init", "-q", "-b", "main")
    for number in range(COMMITS):
        git(folder, "commit", "-q", "--allow-empty", "-m", f"Step {number}")
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("S2EVAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def commits(repository: Path) -> list[str]:
    return git(repository, "rev-list", "--reverse", "main").split()


@pytest.fixture
def history(repository: Path, commits: list[str]) -> History:
    spec = KernelSpec(name="k", source=KernelSource(tree=str(repository)))
    return History(repository, commits[0], commits[-1], lambda _: spec)


class Table:
    """Answers by the number of a commit; what is not in `odd` goes by `first_bad`."""

    def __init__(self, commits: list[str], first_bad: int) -> None:
        self.number = {commit: number for number, commit in enumerate(commits)}
        self.first_bad = first_bad
        self.odd: dict[int, Iterator[CheckResult]] = {}
        self.boots: list[int] = []

    def __call__(self, commit: str) -> CheckResult:
        number = self.number[commit]
        self.boots.append(number)
        if number in self.odd:
            return next(self.odd[number])
        return BAD if number >= self.first_bad else GOOD


class Plain:
    """Boots one after the other, by a function."""

    def __init__(self, boot: Callable[[str], CheckResult]) -> None:
        self.boot = boot
        self.announced: list[Sequence[str]] = []

    def __call__(self, commit: str) -> CheckResult:
        return self.boot(commit)

    def ahead(self, commits: Sequence[str]) -> None:
        self.announced.append(commits)


def find(
    history: History, boot: Callable[[str], CheckResult], shape: str = "", repeat: int = 2
) -> Result:
    return bisect(history, "s.*", shape, Plain(boot), to_nobody, repeat=repeat)


def test_the_ends_that_are_not_known_are_announced(history: History, commits: list[str]) -> None:
    boots = Plain(Table(commits, 17))
    for _ in range(2):
        bisect(history, "s.*", "", boots, to_nobody, repeat=1)
    assert boots.announced == [[history.bad, history.good], []]


def test_answers_to_another_question_are_not_known(history: History, commits: list[str]) -> None:
    """A suite, a machine, QEMU or s2eval has changed: what was seen then says nothing."""
    assert find(history, Table(commits, 17), "one shape").found == commits[17]
    again = find(history, Table(commits, 3), "another shape")
    assert (again.found, again.resumed) == (commits[3], 0)


@pytest.mark.parametrize("first_bad", [1, 13, 14, 15, 28, 29])
def test_the_right_commit_among_broken_hanging_and_flickering_ones(
    first_bad: int, history: History, commits: list[str]
) -> None:
    table = Table(commits, first_bad)
    for number in {5, 6, 12, 16, 22} - {first_bad - 1, first_bad}:
        table.odd[number] = itertools.repeat(NONE)
    # One boot of a good commit says otherwise, and one of a bad one.
    table.odd[7] = itertools.chain([BAD], itertools.repeat(GOOD if first_bad > 7 else BAD))
    table.odd[20] = itertools.chain([GOOD], itertools.repeat(GOOD if first_bad > 20 else BAD))
    result = find(history, table)
    assert result.found == commits[first_bad], [t.subject for t in result.tried]
    assert len(result.tried) < 14


def test_a_flicker_is_booted_again_and_the_odd_boot_told(
    history: History, commits: list[str]
) -> None:
    table = Table(commits, 20)
    table.odd[14] = iter([BAD, GOOD, GOOD, GOOD, GOOD])
    result = find(history, table)
    assert result.found == commits[20] and table.boots.count(14) == 5
    (flickered,) = [t for t in result.tried if t.commit == commits[14]]
    assert (flickered.answer, flickered.why) == ("good", "works (4 of 5 boots)")
    assert (flickered.boots, flickered.dissent) == (5, 1)
    assert result.boots == len(table.boots) and result.flickered == 1
    steady = find(history, Table(commits, 20), "steady")
    assert steady.flickered == 0 and steady.confidence and result.confidence
    assert result.confidence < steady.confidence < 1


def test_a_coin_is_skipped(history: History, commits: list[str]) -> None:
    table = Table(commits, 20)
    table.odd[14] = itertools.cycle([BAD, GOOD])
    result = find(history, table)
    assert result.found == commits[20]
    assert [t.answer for t in result.tried if t.commit == commits[14]] == ["skip"]


def test_what_does_not_boot_is_booted_once(history: History, commits: list[str]) -> None:
    table = Table(commits, 20)
    table.odd[14] = iter([NONE])
    assert find(history, table).found == commits[20]


def test_only_skipped_ones_are_left(history: History, commits: list[str]) -> None:
    table = Table(commits, 12)
    for number in (10, 11, 12):
        table.odd[number] = itertools.repeat(NONE)
    result = find(history, table)
    assert result.found == ""
    assert set(result.left) == set(commits[10:14])
    assert result.confidence is None


# git, as versions that are not here say it: 2.55 quotes the terms, and another one may say nothing
# of what this one says. What it does is the real one's.
WRAPPER = """\
#!/bin/sh
for word; do [ "$word" = bisect ] && said=1; done
[ "$said" ] || exec {git} "$@"
{git} "$@" > "{scratch}.out" 2>&1
status=$?
sed -E "{rewrite}" "{scratch}.out"
exit $status
"""
REWRITES = {
    "quoted": "s/(first|only) (bad|skip)/\\1 '\\2'/; s/'skip'ped/'skip'/",
    "another language": "s/[a-z]/x/g",
}


@pytest.fixture(params=sorted(REWRITES))
def another_wording(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    real = shutil.which("git")
    rewrite = REWRITES[request.param]
    text = WRAPPER.format(git=real, scratch=tmp_path / "said", rewrite=rewrite)
    (folder / "git").write_text(text)
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.usefixtures("another_wording")
def test_what_git_says_is_not_looked_at(history: History, commits: list[str]) -> None:
    assert find(history, Table(commits, 17)).found == commits[17]
    assert find(history, Table(commits, 1), "first").found == commits[1]
    table = Table(commits, 12)
    for number in (10, 11, 12):
        table.odd[number] = itertools.repeat(NONE)
    assert set(find(history, table, "skipped").left) == set(commits[10:14])


@pytest.mark.usefixtures("another_wording")
def test_a_bad_merge_base_is_told_by_the_exit_status(repository: Path, history: History) -> None:
    git(repository, "branch", "-f", "side", "main~5")
    side = git(repository, "commit-tree", "-p", "side", "-m", "x", "side^{tree}").strip()
    other = History(repository, side, history.bad, history.kernel)
    with pytest.raises(UsageError, match="no ancestor of --bad"):
        find(other, lambda commit: GOOD if commit == side else BAD, repeat=1)


def test_neighbours_need_no_question(history: History, commits: list[str]) -> None:
    next_to = History(history.repository, commits[3], commits[4], history.kernel)
    table = Table(commits, 4)
    assert find(next_to, table).found == commits[4] and set(table.boots) == {3, 4}


def test_a_commit_is_not_asked_for_twice(
    history: History, commits: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A git that takes an answer and goes on asking for the same commit."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = f"""#!/bin/sh
case "$*" in *"bisect good"*|*"bisect bad"*) exit 0 ;; esac
exec {shutil.which("git")} "$@"
"""
    (folder / "git").write_text(script)
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    table = Table(commits, 17)
    with pytest.raises(MachineError, match=r"asks for [0-9a-f]{12} again, which was answered"):
        find(history, table)
    assert len(set(table.boots)) == 3


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the code looks at it."""


@pytest.mark.parametrize("boots", [1, 3, 5, 6, 9])
def test_killed_and_started_again_it_goes_on(
    boots: int, history: History, commits: list[str]
) -> None:
    table = Table(commits, 17)
    whole = find(history, table)
    again = Table(commits, 17)

    def die(commit: str) -> CheckResult:
        if len(again.boots) == boots:
            raise Killed
        return again(commit)

    def question(boot: Callable[[str], CheckResult]) -> Result:
        return find(history, boot, "another")

    with pytest.raises(Killed):
        question(die)
    known = set(again.boots[: boots - boots % 2])
    result = question(again)
    assert result.found == whole.found == commits[17]
    assert result.resumed == len(known)
    for number in known:
        assert again.boots.count(number) == 2, "an answer was asked for twice"
    # All over: nothing is booted any more.
    count = len(again.boots)
    assert question(again).found == commits[17] and len(again.boots) == count


def test_an_answer_that_was_cut_off_is_asked_for_again(
    history: History, commits: list[str], cache: Path
) -> None:
    find(history, Table(commits, 17))
    (kept,) = cache.glob("bisect/*/answers.jsonl")
    text = kept.read_text()
    kept.write_text(text[: len(text) - 20])
    table = Table(commits, 17)
    assert find(history, table).found == commits[17]
    assert len(set(table.boots)) == 1


def test_the_ends_must_be_what_they_are_said_to_be(history: History, commits: list[str]) -> None:
    cases = {
        "both meet the check": Table(commits, 99),
        "both do not meet the check": Table(commits, 0),
    }
    for said, table in cases.items():
        with pytest.raises(UsageError, match=said):
            find(history, table, said, repeat=1)
    with pytest.raises(UsageError, match="--bad comes before --good: turn the two"):
        find(
            History(history.repository, history.bad, history.good, history.kernel),
            Plain(lambda commit: BAD if commit == history.good else GOOD),
            "turned",
            repeat=1,
        )
    with pytest.raises(UsageError, match="is bad: turn the two, or use !="):
        backwards = History(history.repository, history.bad, history.good, history.kernel)
        find(backwards, Table(commits, 9), "b", repeat=1)
    silent = Table(commits, 9)
    silent.odd[0] = itertools.repeat(NONE)
    with pytest.raises(UsageError, match=r"--good .* cannot be judged: no output"):
        find(history, silent, "c", repeat=1)


def test_a_good_one_on_another_branch(repository: Path, history: History) -> None:
    git(repository, "branch", "-f", "side", "main~5")
    side = git(repository, "commit-tree", "-p", "side", "-m", "x", "side^{tree}").strip()
    other = History(repository, side, history.bad, history.kernel)
    answers = {side: GOOD, history.bad: BAD}
    result = find(other, lambda c: answers.get(c, GOOD), repeat=1)
    assert result.found == history.bad
    with pytest.raises(UsageError, match="no ancestor of --bad"):
        find(other, lambda c: answers.get(c, BAD), "x", repeat=1)


def test_two_at_once_do_not_mix_their_answers(history: History, commits: list[str]) -> None:
    def boot(commit: str) -> CheckResult:
        with pytest.raises(UsageError, match="going on already"):
            find(history, Table(commits, 9))
        return Table(commits, 9)(commit)

    assert find(history, boot, repeat=1).found == commits[9]


def test_the_repository_is_not_written_to(repository: Path, history: History) -> None:
    before = [(p, p.stat().st_mtime_ns) for p in sorted(repository.rglob("*"))]
    find(history, Table(git(repository, "rev-list", "--reverse", "main").split(), 9))
    assert [(p, p.stat().st_mtime_ns) for p in sorted(repository.rglob("*"))] == before
