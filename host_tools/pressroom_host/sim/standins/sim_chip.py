"""The simulated chip: its clock, its pins, and what is connected to them."""

from sim_audio import Loudspeaker, Microphone


class Gpio:
    """One pin's level and who wants to hear of its edges."""

    def __init__(self, level):
        self.level = level
        self.handler = None
        self.trigger = 0
        self.owner = None


class Chip:
    """What the stand-in modules share. There is one, as there is one chip under a real firmware."""

    def __init__(self, clock, control, work_folder, clock_ppm=0, wifi_delay_ms=0):
        self.clock = clock
        self.report = control.report  # report(kind, us=None, **fields)
        self.pump = control.pump
        self.halt = control.halt
        self.work_folder = work_folder
        self.clock_ppm = clock_ppm
        self.wifi_delay_ms = wifi_delay_ms
        self.i2s = {}
        self.gpio = {}
        self.microphone = Microphone(clock)
        self.loudspeaker = Loudspeaker(work_folder + "/speaker.raw", control.report)

    def run_dma(self):
        for i2s in self.i2s.values():
            i2s.run_dma()

    def pin(self, number, level=1):
        if number not in self.gpio:
            self.gpio[number] = Gpio(level)
        return self.gpio[number]

    def drive_pin(self, number, level):
        """The outside world puts a level on a pin: an edge calls the handler, as an interrupt would."""
        gpio = self.pin(number)
        rises = level > gpio.level
        falls = level < gpio.level
        gpio.level = level
        if gpio.handler is not None and ((rises and gpio.trigger & 1) or (falls and gpio.trigger & 2)):
            gpio.handler(gpio.owner)


chip = None  # power_on makes it, before the firmware is imported


def power_on(*parts):
    global chip
    chip = Chip(*parts)
    return chip
