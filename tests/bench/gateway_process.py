"""A gateway and its room in a process of their own, whose CPU time is asked for by line.

    python tests/bench/gateway_process.py STATE_FOLDER

It prints {"device_url", "room_url"} and then answers each line of its input with a JSON line:
    usage                     {"cpu_s"}: user and system time of this process, by getrusage
    device IDENTITY ROOM      {"token"}: of a device that publishes and hears nobody
    client IDENTITY ROOM      {"token"}: of an official client
"""
