"""`pressroom token`: make, list and revoke the tokens that let devices and clients in."""

import datetime
import sys
from pathlib import Path

import rich_click as click

from pressroom_host.cli.output import json_option, print_json, print_table
from pressroom_host.gateway.state import StateFolder
from pressroom_host.gateway.tokens import LIFE_DAYS, IssuedToken, TokenBook, load_or_make_api_key

_ROOM = "pressroom"

_state_dir = click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="The gateway's state folder. Default: where this system keeps such things.",
)


@click.group()
def token() -> None:
    """Makes, lists and revokes tokens.

    A token says who its holder is and which room it may join; whoever has it is let in. These commands work on the
    gateway's state folder, also while the gateway runs: it notices a revocation within a second.

    \b
      pressroom token create kitchen
      pressroom token list
      pressroom token revoke kitchen
    """


@token.command()
@click.argument("identity")
@click.option("--room", default=_ROOM, show_default=True, metavar="NAME", help="The room it may join.")
@click.option("--name", default="", metavar="TEXT", help="How it is shown to others. Default: the identity.")
@click.option(
    "--days", type=float, default=LIFE_DAYS, show_default=True, metavar="N", help="For how long it lets its holder in."
)
@click.option("--agent", "agent_name", default="", metavar="NAME", help="The agent it wants in its room.")
@_state_dir
@json_option
def create(
    identity: str, room: str, name: str, days: float, agent_name: str, state_dir: Path | None, is_json: bool
) -> None:
    """Make a token for IDENTITY and print it.

    It is not kept anywhere: give it to the board (or the client) now. Each board needs an identity of its own.
    Standard output holds the token and nothing else.
    """
    text, issued = _book(state_dir).create(identity, room, name, days, agent_name=agent_name)
    if is_json:
        print_json({"token": text, **_described(issued)})
        return
    print(text)
    until = _date(issued.expires_at_s)
    print(f"for {issued.identity} in room {issued.room}, until {until}; its jti is {issued.jti}", file=sys.stderr)


@token.command(name="list")
@_state_dir
@json_option
def list_tokens(state_dir: Path | None, is_json: bool) -> None:
    """Show for whom tokens were made, and which are revoked. The tokens themselves are not kept."""
    issued = _book(state_dir).issued()
    if is_json:
        print_json({"tokens": [{**_described(each), "is_revoked": is_revoked} for each, is_revoked in issued]})
        return
    print_table(
        ("jti", "identity", "room", "made", "until", ""),
        [
            (
                *(each.jti, each.identity, each.room, _date(each.created_at_s), _date(each.expires_at_s)),
                "revoked" if is_revoked else "",
            )
            for each, is_revoked in issued
        ],
    )


@token.command()
@click.argument("name", metavar="JTI|IDENTITY")
@_state_dir
@json_option
def revoke(name: str, state_dir: Path | None, is_json: bool) -> None:
    """Revoke one token by its jti, or all tokens of an identity.

    A device that is connected with it is sent away within a second, and is not let in again.
    """
    revoked = _book(state_dir).revoke(name)
    if is_json:
        print_json({"revoked": revoked})
    elif revoked:
        print(f"revoked: {', '.join(revoked)}")
    else:
        print("it was revoked before")


def _book(state_dir: Path | None) -> TokenBook:
    folder = StateFolder.open(state_dir)
    return TokenBook(folder, load_or_make_api_key(folder))


def _described(issued: IssuedToken) -> dict[str, str]:
    return {
        "jti": issued.jti,
        "identity": issued.identity,
        "room": issued.room,
        "created_at": _time(issued.created_at_s).isoformat(),
        "expires_at": _time(issued.expires_at_s).isoformat(),
    }


def _time(at_s: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(at_s, datetime.UTC)


def _date(at_s: int) -> str:
    return _time(at_s).date().isoformat()
