# SPDX-License-Identifier: GPL-2.0-only
"""The patch files in kernels/patches: each is a mail that git takes, and each folder is documented.

Whether a series applies to a kernel and builds is shown where kernels are built; this is only about
what the files say.
"""

import email
import email.policy
import re
import subprocess
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from pathlib import Path, PurePosixPath

import pytest

PATCHES = Path(__file__).resolve().parents[3] / "kernels" / "patches"
MUTANTS = PATCHES / "mutants"
# What KVM/arm64 alone includes: a mutant that stays in here rebuilds in seconds.
KVM_FILES = re.compile(r"arch/arm64/(kvm/.*|include/asm/kvm_\w+\.h)")
IDENTITY = "s2eval <s2eval@localhost>"

FILES = sorted(PATCHES.rglob("*.patch"))
SERIES = sorted({file.parent for file in FILES})
MUTANT_SERIES = [folder for folder in SERIES if folder.parent == MUTANTS]


def name(path: Path) -> str:
    """Return a path below kernels/patches, for the ids of parametrized tests."""
    return path.relative_to(PATCHES).as_posix()


def mail(file: Path) -> EmailMessage:
    """Parse a patch file as the mail that `git format-patch` writes."""
    text = file.read_text(encoding="utf-8")
    first, rest = text.split("\n", 1)
    assert re.fullmatch(r"From 0{40} Mon Sep 17 00:00:00 2001", first), (
        "not written with --zero-commit"
    )
    return email.message_from_string(rest, policy=email.policy.default)


def body(file: Path) -> str:
    """Return the text of a patch file's mail: message, `---`, diff."""
    content = mail(file).get_content()
    assert isinstance(content, str)
    return content


def touched(file: Path, cwd: Path) -> list[tuple[int, int, str]]:
    """Return what git reads in a patch: lines added, lines removed and path of each file.

    `cwd` is a folder outside any repository, where git does not leave out paths.
    """
    done = subprocess.run(
        ["git", "apply", "--numstat", str(file)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t", 2) for line in done.stdout.splitlines()]
    return [(int(added), int(removed), path) for added, removed, path in rows]


def change(file: Path) -> list[str]:
    """Return the lines that a patch adds and removes, without where."""
    return [
        line
        for line in body(file).split("\n---\n", 1)[1].splitlines()
        if re.match(r"[+-](?![+-]{2} )", line)
    ]


def first_column(readme: Path) -> set[str]:
    """Return the code-quoted names in the first column of a README's first table."""
    table = re.search(r"(?:^\|.*\n)+", readme.read_text(encoding="utf-8"), re.M)
    assert table is not None
    return set(re.findall(r"^\| `([^`]+)` \|", table[0], re.M))


def test_there_are_series_and_mutants() -> None:
    assert {"stage2-normal-nc", "stage2-vma-flag"} <= {folder.name for folder in SERIES}
    assert len(MUTANT_SERIES) >= 12


@pytest.mark.parametrize("file", FILES, ids=name)
def test_a_patch_is_a_mail_with_a_commit_message(file: Path) -> None:
    message, _, diff = body(file).partition("\n---\n")
    assert mail(file)["From"] == IDENTITY
    assert parsedate_to_datetime(mail(file)["Date"]).year == 2024
    assert re.fullmatch(r"\[PATCH( \d+/\d+)?\] ([\w/]+: )+[A-Z].*[^.]", mail(file)["Subject"])
    *paragraphs, sign_off = message.strip().split("\n\n")
    assert sign_off == f"Signed-off-by: {IDENTITY}"
    assert paragraphs, "says nothing about why"
    assert max(map(len, message.splitlines())) <= 75
    assert "diff --git " in diff


@pytest.mark.parametrize("file", FILES, ids=name)
def test_git_reads_a_patch_and_it_stays_in_the_tree(file: Path, tmp_path: Path) -> None:
    rows = touched(file, tmp_path)
    assert rows
    for added, removed, path in rows:
        assert added + removed > 0
        assert not PurePosixPath(path).is_absolute()
        assert not {"..", ".git"} & set(PurePosixPath(path).parts)
        assert "=>" not in path, "a rename"


@pytest.mark.parametrize("folder", SERIES, ids=name)
def test_a_series_is_numbered_without_gaps(folder: Path) -> None:
    files = sorted(folder.glob("*.patch"))
    assert [file.name[:5] for file in files] == [f"{n:04}-" for n in range(1, len(files) + 1)]
    tags = [re.match(r"\[PATCH( \d+/\d+)?\]", mail(file)["Subject"]) for file in files]
    expected = [f"[PATCH {n}/{len(files)}]" for n in range(1, len(files) + 1)]
    assert [tag and tag[0] for tag in tags] == (["[PATCH]"] if len(files) == 1 else expected)


@pytest.mark.parametrize("folder", [PATCHES, MUTANTS], ids=lambda path: path.name)
def test_the_readme_lists_the_series_that_are_there(folder: Path) -> None:
    assert first_column(folder / "README.md") == {
        path.name for path in SERIES if path.parent == folder
    }


@pytest.mark.parametrize("folder", MUTANT_SERIES, ids=name)
def test_a_mutant_touches_kvm_only(folder: Path, tmp_path: Path) -> None:
    paths = [path for file in folder.glob("*.patch") for _, _, path in touched(file, tmp_path)]
    assert [path for path in paths if not KVM_FILES.fullmatch(path)] == []


def test_no_two_series_make_the_same_change() -> None:
    changes = [
        "\n".join(line for file in sorted(folder.glob("*.patch")) for line in change(file))
        for folder in SERIES
    ]
    assert "" not in changes
    assert len(set(changes)) == len(changes)


def test_no_patch_names_a_place_on_somebodys_machine() -> None:
    for file in FILES:
        assert not re.search(
            r"(^|[\s\"'=])/(root|home|work|tmp)/", file.read_text(encoding="utf-8")
        ), file
