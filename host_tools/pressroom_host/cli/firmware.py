"""`pressroom firmware`: the firmware as machine code for every kind of chip."""

import sys
from pathlib import Path

import rich_click as click

from pressroom_host import assets
from pressroom_host.cli.output import json_option, print_json, print_table
from pressroom_host.firmware.build import ARCHS, Module, build, executable_bytes, tree_hash, workspace_bytes

_MUCH_CONSTANT_BYTES = 1_000


@click.group()
def firmware() -> None:
    """Makes the firmware ready for boards.

    \b
      pressroom firmware compile
      pressroom firmware compile --into build/firmware --json
    """


@firmware.command("compile")
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("build/firmware"),
    show_default=True,
    metavar="FOLDER",
    help="Gets a folder for each kind of chip; what is in those is replaced.",
)
@json_option
def compile_all(into: Path, is_json: bool) -> None:
    """Compile the firmware for every kind of chip, and say how large it is.

    xtensawin is for ESP32, -S2 and -S3; rv32imc for -C3, -C6, -H2 and -P4; x64 for the simulated board. The same
    sources give the same bytes: the SHA-256 of a set says which it is.
    """
    source = assets.firmware_folder()
    sets = {}
    for arch in ARCHS:
        print(f"compiling for {arch} ...", file=sys.stderr, flush=True)
        sets[arch] = build(source, into / arch, arch)
    workspaces = workspace_bytes(source)
    if is_json:
        told = {arch: _told(modules) for arch, modules in sets.items()}
        print_json({"folder": str(into), "sets": told, "codec_workspace_bytes": workspaces})
        return
    print_table(("machine code, bytes (executable RAM)", *ARCHS, "constants"), _rows(sets, workspaces))
    for arch, modules in sets.items():
        n_bytes = sum(each.n_file_bytes for each in modules)
        print(f"{into / arch}: {len(modules)} files, {n_bytes:,} bytes, sha256 {tree_hash(modules)}")


def _told(modules: list[Module]) -> dict[str, object]:
    return {
        "sha256": tree_hash(modules),
        "n_file_bytes": sum(each.n_file_bytes for each in modules),
        "codec_executable_bytes": executable_bytes(modules),
        "codec_constant_bytes": sum(each.n_constant_bytes for each in modules if "/opus/" in each.path),
    }


def _rows(sets: dict[str, list[Module]], workspaces: dict[str, int]) -> list[tuple[str, ...]]:
    """Return a row for each module that takes room, then the codec's sums."""
    of_path = {arch: {each.path: each for each in modules} for arch, modules in sets.items()}
    rows = []
    for each in sets[ARCHS[0]]:
        if each.n_machine_bytes or each.n_constant_bytes > _MUCH_CONSTANT_BYTES:
            machine = [f"{of_path[arch][each.path].n_machine_bytes:,}" for arch in ARCHS]
            rows.append((each.path, *machine, f"{each.n_constant_bytes:,}"))
    for way in ("encoder", "decoder", "both"):
        n_workspace = sum(workspaces.values()) if way == "both" else workspaces[way]
        executable = [f"{executable_bytes(modules)[way]:,}" for modules in sets.values()]
        rows.append((f"codec, {way}", *executable, f"workspace {n_workspace:,}"))
    return rows
