"""The options of every command that can join the rooms of a LiveKit server instead of having its own."""

import functools
import os
from collections.abc import Callable
from typing import Any

import rich_click as click

from pressroom_host.errors import UserError
from pressroom_host.gateway.server import LiveKitServer
from pressroom_host.livekit_client.errors import UrlUnusable
from pressroom_host.livekit_client.signalling import http_url, is_on_loopback

_FROM_ENVIRONMENT = "from the environment"


class LiveKitUnusable(UserError):
    """The LiveKit server is not named as it has to be."""


def livekit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --livekit and --livekit-plain; the command gets `livekit`, a LiveKitServer or None."""

    @click.option(
        "--livekit",
        "url",
        envvar="LIVEKIT_URL",
        is_flag=False,
        flag_value=_FROM_ENVIRONMENT,
        metavar="[URL]",
        help="Join the rooms of this LiveKit server (wss://...) instead of rooms of this process. Without URL, and "
        "without the option, $LIVEKIT_URL is taken if it is set. Its key: $LIVEKIT_API_KEY and $LIVEKIT_API_SECRET.",
    )
    @click.option(
        "--livekit-plain",
        "is_livekit_plain",
        is_flag=True,
        help="Allow ws:// to a LiveKit server on another machine: tokens then pass in the clear.",
    )
    @functools.wraps(command)
    def with_server(*args: Any, url: str | None, is_livekit_plain: bool, **options: Any) -> Any:
        return command(*args, livekit=server(url, is_livekit_plain), **options)

    return with_server


def server(url: str | None, is_plain_allowed: bool) -> LiveKitServer | None:
    """Return the server at url, with the key of the environment. Raises LiveKitUnusable."""
    if url == _FROM_ENVIRONMENT:
        url = os.environ.get("LIVEKIT_URL", "")
        if not url:
            raise LiveKitUnusable("--livekit: no URL; name one, or set LIVEKIT_URL")
    if not url:
        return None
    try:
        is_plain = http_url(url).startswith("http:")
    except UrlUnusable as error:
        raise LiveKitUnusable(str(error)) from None
    if is_plain and not is_plain_allowed and not is_on_loopback(url):
        raise LiveKitUnusable(
            "a LiveKit server elsewhere is reached by wss://, so that no token passes in the clear; "
            "--livekit-plain allows ws:// all the same"
        )
    key, secret = os.environ.get("LIVEKIT_API_KEY", ""), os.environ.get("LIVEKIT_API_SECRET", "")
    if not key or not secret:
        raise LiveKitUnusable("set LIVEKIT_API_KEY and LIVEKIT_API_SECRET to those of the LiveKit server")
    return LiveKitServer(url, key, secret)
