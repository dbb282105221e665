"""What the simulated chip does before main.py: put the stand-ins in place, show the firmware its own filesystem.

Run by SimulatedBoard, with a JSON object in the environment: its options, and the descriptor of the channel to it.
"""

import asyncio
import json
import os
import sys

import esp32  # noqa: F401 (the stand-ins are imported while their folder can be seen)
import machine
import neopixel  # noqa: F401
import network  # noqa: F401
import sim_chip
import vfs
from micropython import const
from sim_clock import MonotonicClock
from sim_control import Control

_HOUSEKEEPING_MS = const(50)  # how far the loudspeaker's file may lag behind an idle firmware


def power_on(fd, options):
    clock = MonotonicClock()
    control = Control(fd, clock)
    machine.I2S.chip = sim_chip.power_on(clock, control, "/sim", options["clock_ppm"], options["wifi_delay_ms"])
    control.handlers["pin"] = drive_pin
    control.handlers["mic"] = lay_clip
    return control


def drive_pin(command):
    now_us = sim_chip.chip.clock.now_us()
    sim_chip.chip.drive_pin(command["pin"], command["level"])
    return {"us": now_us}


def lay_clip(command):
    path = "/sim/" + command["file"]
    return {"us": sim_chip.chip.microphone.lay(path, command["n_frames"], command["at_us"])}


def serve_in_every_loop(control):
    """Let the control channel live in the firmware's event loop, and in each that replaces it."""
    new_event_loop = asyncio.new_event_loop

    def serving_loop():
        loop = new_event_loop()
        asyncio.create_task(control.serve())
        asyncio.create_task(keep_dma_running())
        return loop

    asyncio.new_event_loop = serving_loop
    serving_loop()


async def keep_dma_running():
    while True:
        sim_chip.chip.run_dma()
        await asyncio.sleep_ms(_HOUSEKEEPING_MS)


class Folder:
    """A folder of the host as a filesystem: VfsPosix with a root, whose rename (until August 2026) renames nothing."""

    def __init__(self, root):
        self._root = root
        self._inside = vfs.VfsPosix(root)
        self._host = vfs.VfsPosix()

    def rename(self, old, new):
        self._host.rename(self._host_path(old), self._host_path(new))

    def _host_path(self, path):
        return self._root + path if path.startswith("/") else path

    def __getattr__(self, name):
        return getattr(self._inside, name)


def mount(flash_folder, work_folder):
    vfs.umount("/")
    vfs.mount(Folder(flash_folder), "/")
    vfs.mount(Folder(work_folder), "/sim")
    os.chdir("/")
    sys.path[:] = ["", ".frozen", "/lib"]


def main():
    options = json.loads(os.getenv("SIMULATED_BOARD"))
    mount(options["flash_folder"], options["work_folder"])
    control = power_on(options["channel"], options)
    serve_in_every_loop(control)
    control.report("boot")
    with open("/main.py") as file:
        source = file.read()
    exec(source, {"__name__": "__main__"})


main()
