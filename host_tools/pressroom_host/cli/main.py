"""The command `pressroom`: finds the file of a command, runs it, and turns mistakes into one line and an exit code.

    0    done
    1    it ran, and the answer is no (the demo was not heard); or Pressroom has a bug, and shows a traceback
    2    it could not do as asked: a wrong option, a port in use, a file that is not there (one line says what to do)
    130  Ctrl-C

Set PRESSROOM_DEBUG=1 to see the traceback behind a one-line mistake.
"""

import importlib
import os
import sys
import traceback
from collections.abc import Sequence

import rich_click as click

from pressroom_host.cli.output import print_error
from pressroom_host.errors import UserError

# In the order a newcomer meets them. Each is a file of this package, imported when it is asked for.
COMMANDS = ("demo", "up", "gateway", "sim", "token", "firmware")

_INTERRUPTED = 130  # 128 + SIGINT, as a shell counts it


class _CommandFiles(click.RichGroup):
    """The group whose commands are the files of this package."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the one file a command needs, so that none waits for the libraries of the others."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"pressroom_host.cli.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Answer a word that is no command with those that are."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f"there is no command {args[0]!r}; choose one of {', '.join(COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_CommandFiles, context_settings={"help_option_names": ["-h", "--help"]})
@click.rich_config({"text_paragraph_linebreaks": "\n\n", "max_width": 100})
@click.version_option(package_name="pressroom", message="%(prog)s %(version)s")
def cli() -> None:
    """Press a button on a five-dollar board, and you are in the room.

    Pressroom brings voice devices (ESP32, stock MicroPython) into LiveKit rooms. No hardware is needed to start.
    Every command explains itself: pressroom demo --help

    \b
      pressroom demo                  a simulated board talks in a room and is answered
      pressroom up                    the same, and it keeps running: join the room yourself
      pressroom gateway               the gateway alone, for real devices
      pressroom token create kitchen  a token for a device called kitchen
    """


def run(args: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    is_json = "--json" in args
    try:
        result = cli.main(list(args), prog_name="pressroom", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except (KeyboardInterrupt, click.Abort):
        return _INTERRUPTED
    except click.ClickException as mistake:
        _show_traceback_if_debugging()
        print_error(type(mistake).__name__, _with_hint(mistake), is_json=is_json)
        return mistake.exit_code
    except UserError as mistake:
        _show_traceback_if_debugging()
        print_error(type(mistake).__name__, str(mistake), is_json=is_json)
        return mistake.exit_code
    except BrokenPipeError:  # the reader went away (`pressroom token list | head -1`); nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def main() -> None:
    """Entry point of the console script."""
    sys.exit(run(sys.argv[1:]))


def _with_hint(mistake: click.ClickException) -> str:
    if isinstance(mistake, click.UsageError) and mistake.ctx is not None:
        return f"{mistake.format_message().rstrip('.')} (see {mistake.ctx.command_path} --help)"
    return mistake.format_message()


def _show_traceback_if_debugging() -> None:
    if os.environ.get("PRESSROOM_DEBUG") == "1":
        traceback.print_exc()


if __name__ == "__main__":
    main()
