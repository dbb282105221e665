"""Functions of the board that agents in the room may call.

    tools = Tools()
    tools.add("lamp", "Switch the lamp.", {"on": flag("lit or not")}, lambda on: pin.value(on))

A function is called with its parameters by name, and returns a text, what JSON has, or nothing. It is called between
two frames of audio, so it must not take long; one that does is async, and has five seconds.
"""

import asyncio

from ..wire.port import const
from ..wire.tools import ToolError, arguments, result_text

_MAX_TOOLS = const(16)
_MAX_RUNNING = const(4)
_TIMEOUT_S = const(5)
_UNSUPPORTED_METHOD = const(1400)  # LiveKit's RpcError codes
_APPLICATION_ERROR = const(1500)
_RESPONSE_TIMEOUT = const(1502)


class Tools:
    """By name, in the order in which they were added."""

    def __init__(self):
        self._tools = {}
        self._running = []

    def add(self, name, description, parameters, function):
        """Offer a function. parameters: name -> schema, made with number, choice, text and flag of wire/tools.py."""
        if name not in self._tools and len(self._tools) >= _MAX_TOOLS:
            raise ValueError("a board has at most %d tools" % _MAX_TOOLS)
        self._tools[name] = (description, parameters, function)

    def messages(self):
        """Return what tells the gateway of each."""
        return [
            {"t": "tool", "name": name, "description": description, "parameters": parameters}
            for name, (description, parameters, _) in self._tools.items()
        ]

    def call(self, message, answer):
        """Take an `rpc` message; answer(rpc_result) is called once, now or later."""
        self._running = [task for task in self._running if not task.done()]
        if message["method"] not in self._tools:
            answer(_error(message, _UNSUPPORTED_METHOD, "this device has no tool of that name"))
        elif len(self._running) >= _MAX_RUNNING:
            answer(_error(message, _APPLICATION_ERROR, "this device is busy with other calls"))
        else:
            self._running.append(asyncio.create_task(self._run(message, answer)))

    def stop(self):
        """End what runs; it is not answered."""
        for task in self._running:
            task.cancel()
        self._running = []

    async def _run(self, message, answer):
        _, parameters, function = self._tools[message["method"]]
        try:
            result = function(**arguments(message["payload"], parameters))
            if hasattr(result, "send"):  # of an async function
                result = await asyncio.wait_for(result, _TIMEOUT_S)
            told = {"t": "rpc_result", "id": message["id"], "payload": result_text(result)}
        except asyncio.TimeoutError:
            told = _error(message, _RESPONSE_TIMEOUT, "the tool took longer than %d s" % _TIMEOUT_S)
        except ToolError as error:
            told = _error(message, _APPLICATION_ERROR, str(error))
        except Exception as error:  # noqa: BLE001 # whatever a function does wrong, the voice goes on
            told = _error(message, _APPLICATION_ERROR, "%s: %s" % (type(error).__name__, error))
        answer(told)


def _error(message, code, text):
    return {"t": "rpc_result", "id": message["id"], "error": {"code": code, "message": text[:200]}}
