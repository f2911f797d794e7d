# SPDX-License-Identifier: GPL-2.0-only
"""The command `s2eval`: parse, call, print; no logic."""

from __future__ import annotations

import io
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.command import Command, end_in_good_order, nobody_reads
from harness.errors import ExitCode, UsageError
from harness.tools import use_sbin

if TYPE_CHECKING:
    from harness.results.records import Run

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(cls=Command, context_settings=CONTEXT)
@click.version_option(package_name="s2eval")
def cli() -> None:
    """What does a kernel patch do to device memory in real KVM guests on arm64?

    \b
    s2eval run plans/quickstart.toml     two kernels, one guest each, the difference
    s2eval show                          the newest run again
    s2eval doctor                        what this machine has and what its emulator can show
    """
    end_in_good_order()


_names = {
    "kernel": click.option("--kernel", "-k", "kernels", multiple=True, help="Kernel, repeatable."),
    "machine": click.option(
        "--machine", "-m", "machines", multiple=True, help="Machine, repeatable."
    ),
    "suite": click.option("--suite", "-s", "suites", multiple=True, help="Suite, repeatable."),
}
_json = click.option(
    "--json", "as_json", is_flag=True, help="One JSON document on standard output."
)
_quiet = click.option("--quiet", "-q", is_flag=True, help="No progress on standard error.")


@cli.command()
@click.argument("plan", required=False, type=click.Path(path_type=Path))
@_names["kernel"]
@_names["machine"]
@_names["suite"]
@_json
@_quiet
@click.pass_context
def run(
    ctx: click.Context,
    plan: Path | None,
    kernels: tuple[str, ...],
    machines: tuple[str, ...],
    suites: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Run PLAN, or the matrix of the kernels, machines and suites given.

    \b
    s2eval run plans/quickstart.toml
    s2eval run -k debian-6.1 -k debian-6.1+stage2-vma-flag -m nested-tcg -s wcprobe
    s2eval run -k tree:~/linux@HEAD -m nested-tcg-cortex-a72 -s wcprobe --json > run.json
    s2eval run -k debian-6.1 -m ./my-machine.toml -s ./my-suite

    A machine or a suite with a slash in its name is a file or a folder of yours.
    Exit code: 0 all as expected, 1 a FAIL or an unmet expectation, 2 bad input, 125 a kernel that
    does not build or a fault of the harness or the machine (git bisect run skips), 130 interrupted.
    """
    from harness.run import plan_of, run_plan

    wanted = plan_of(plan, list(kernels), list(machines), list(suites))
    ready = "harness.report.terminal" if not as_json else "json"
    outcome = run_plan(
        wanted, str(plan or ""), sys.argv, quiet=quiet, idle=lambda: import_module(ready)
    )
    try:
        _show(outcome.run, outcome.folder, as_json=as_json)
    except BrokenPipeError:
        nobody_reads()
    ctx.exit(outcome.exit_code)


@cli.command()
@click.argument("run_name", metavar="[RUN]", default="latest")
@_json
@click.option("--reproduce", metavar="CELL", help="A shell script that runs CELL again by itself.")
def show(run_name: str, as_json: bool, reproduce: str | None) -> None:
    """Show RUN (a folder, a name in results/, default the newest) again.

    \b
    s2eval show
    s2eval show 20260117-101530-quickstart --json | jq .cells[0].observations
    s2eval show --reproduce debian-6.1/nested-tcg/wcprobe > again.sh && sh again.sh
    """
    from harness.results.store import load_run, run_folder

    folder = run_folder(run_name)
    record = load_run(folder)
    if reproduce:
        from harness.reproduce import stored_script

        click.echo(stored_script(record, folder, reproduce), nl=False)
        return
    _show(record, folder, as_json=as_json)


@cli.command()
@click.argument("kernels", nargs=-1, required=True, metavar="KERNEL...")
@click.option("--update", is_flag=True, help="Take the newest point release of a Debian source.")
@_json
@_quiet
def build(kernels: tuple[str, ...], update: bool, as_json: bool, quiet: bool) -> None:
    """Build each KERNEL, or find it in the store.

    \b
    s2eval build debian-6.1
    s2eval build debian-6.1+stage2-normal-nc tree:~/linux@v6.12
    """
    from harness.build_cmd import build_kernels

    for line in build_kernels(list(kernels), update=update, as_json=as_json, quiet=quiet):
        click.echo(line)


@cli.command()
@click.argument("kernel")
@click.argument("machine", default="nested-tcg")
@click.option("--suite", "-s", default="wcprobe", show_default=True, help="Suite that L2 gets.")
@_quiet
def boot(kernel: str, machine: str, suite: str, quiet: bool) -> None:
    """Boot KERNEL on MACHINE with a shell in L1; Ctrl-A X leaves.

    \b
    s2eval boot debian-6.1
    s2eval boot debian-6.12 nested-tcg-cortex-a72
    """
    from harness.boot import boot as boot_shell

    boot_shell(kernel, machine, suite, quiet=quiet)


@cli.command(name="list")
@click.option("--all", "every", is_flag=True, help="Name each series, mutants too.")
@_json
def list_(every: bool, as_json: bool) -> None:
    """List the kernels, series, machines, suites and plans there are.

    \b
    s2eval list
    s2eval list --json | jq -r .machines[].name
    """
    from harness.listing import listing, render

    found = listing()
    click.echo(found.model_dump_json(indent=2) if as_json else render(found, every=every))


@cli.command()
@_json
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Show what this machine has, what is missing, and what its emulator can show.

    \b
    s2eval doctor
    s2eval doctor --json | jq .machines
    """
    from harness.doctor import doctor as examine
    from harness.doctor import render

    report = examine()
    click.echo(report.model_dump_json(indent=2) if as_json else "\n".join(render(report)))
    ctx.exit(ExitCode.OK if report.ok else ExitCode.UNDECIDED)


@cli.command()
@click.option("--gdb", required=True, metavar="SOCKET", help="QEMU's gdb stub: path or host:port.")
@click.option("--va", required=True, metavar="0x…", help="Virtual address in the guest.")
@click.option("--vcpu", type=int, help="This vCPU; default: the first seen in a guest.")
@click.option("--memory", type=click.Path(path_type=Path), help="File behind the VM's RAM.")
@_json
@click.pass_context
def audit(
    ctx: click.Context, gdb: str, va: str, vcpu: int | None, memory: Path | None, as_json: bool
) -> None:
    """Walk stage 1 and stage 2 of an address in any running QEMU arm64 VM.

    The VM is stopped for milliseconds and always left running (docs/audit.md).

    \b
    qemu-system-aarch64 … -gdb unix:/tmp/gdb,server=on,wait=off
    s2eval audit --gdb /tmp/gdb --va 0xffff800008920000
    """
    from harness.audit_cmd import audit as look
    from harness.audit_cmd import number

    answer = look(gdb, number(va), vcpu=vcpu, memory=memory)
    click.echo(json.dumps(answer.document, indent=2) if as_json else "\n".join(answer.lines))
    if answer.problem:
        click.echo(f"s2eval: {answer.problem}", err=True)
        ctx.exit(ExitCode.UNDECIDED)


@cli.command()
@click.argument("kind", metavar="KIND")
@click.argument("values", nargs=-1, required=True)
@click.option("--fwb/--no-fwb", default=None, help="With or without FEAT_S2FWB.")
@click.option("--level", type=int, help="Level of a descriptor.")
@click.option("--granule", default="4k", show_default=True, help="4k, 16k or 64k.")
@click.option("--mair", help="MAIR_EL1, to name the type of a stage-1 descriptor.")
@click.option("--lpa", is_flag=True, help="52-bit output addresses.")
def decode(kind: str, values: tuple[str, ...], **options: Any) -> None:
    """Say what a descriptor, a MAIR, an ESR or a MemAttr means.

    \b
    s2eval decode esr 0x92000061
    s2eval decode mair 0x40044ffff
    s2eval decode memattr 0x5 --fwb
    s2eval decode s1 0x68008000020f0f --mair 0x40044ffff
    s2eval decode s2 0x400080000007c7
    s2eval decode combine Normal-NC 0x1
    """
    from harness.decode import decode as words

    click.echo("\n".join(words(kind, values, **options)))


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of SHELL.

    \b
    s2eval completion bash > ~/.local/share/bash-completion/completions/s2eval
    """
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    if made is None:
        raise UsageError(f"no completion for {shell}")
    click.echo(made(cli, {}, "s2eval", "_S2EVAL_COMPLETE").source())


def _show(record: Run, folder: Path, *, as_json: bool) -> None:
    from harness.report.terminal import print_run

    if as_json:
        click.echo(record.model_dump_json(indent=2, by_alias=True))
    else:
        print_run(record, folder)
    sys.stdout.flush()  # a reader that has left is told here, not at Python's own end


def main() -> None:
    """The entry point."""
    use_sbin()
    for stream in (sys.stdout, sys.stderr):  # a terminal that has no such character
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    cli(prog_name="s2eval")
