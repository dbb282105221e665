"""What can go wrong between a client and a LiveKit server. Texts say what to do; none holds a token."""


class LiveKitError(Exception):
    """Something a LiveKit server refused, or that did not happen in time."""


class JoinError(LiveKitError):
    """The room was not joined. is_final: trying again without a change is of no use."""

    is_final = False


class ServerUnreachable(JoinError):
    """Nothing answers at the URL, or what answers is no LiveKit server; it may come later."""


class MediaUnreachable(JoinError):
    """The server answers, but no media path to it was found. has_relay: it offers a relay that was not tried."""

    has_relay = False


class TokenRefused(JoinError):
    """The server does not take the token."""

    is_final = True


class JoinRefused(JoinError):
    """The server takes the token, but does not let it in: the room is full, or does not exist."""


class UrlUnusable(JoinError):
    """The URL is none of a LiveKit server."""

    is_final = True


class SignallingLost(LiveKitError):
    """The WebSocket is closed."""


class PublishRefused(LiveKitError):
    """The server does not let this participant publish the track."""


class RpcError(LiveKitError):
    """A call failed. code: LiveKit's, 1400 to 1505, or the callee's own."""

    def __init__(self, code: int, message: str, data: str = "") -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message
        self.data = data
