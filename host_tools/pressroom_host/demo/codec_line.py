"""What the link was encoded with, and what the gateway did with it, as its counters tell."""

from typing import Any

from pressroom_host.gateway.stats import SessionStats

_PACKETS_PER_S = 50


def as_json(codec_up: str, codec_dn: str, stats: SessionStats) -> dict[str, dict[str, Any]]:
    """Return what report.json holds of both directions. n_passed: went on as they came."""
    n_up = stats.n_up_packets
    return {
        "up": {
            "name": codec_up,
            "bitrate_bps": round(8 * _PACKETS_PER_S * stats.n_up_bytes / n_up) if n_up else 0,
            "n_passed": stats.n_up_passed,
            "n_transcoded": stats.n_up_transcoded,
        },
        "dn": {"name": codec_dn, "n_passed": stats.n_dn_passed, "n_transcoded": stats.n_dn_transcoded},
    }


def line(told: dict[str, dict[str, Any]]) -> str:
    """Return it for a person: `opus 32 kbit/s: up passed through, down transcoded`."""
    up, dn = told["up"], told["dn"]
    name_up = f"{up['name']} {up['bitrate_bps'] / 1000:.0f} kbit/s"
    if up["name"] == dn["name"]:
        return f"{name_up}: up {_did(up)}, down {_did(dn)}"
    return f"{name_up} up: {_did(up)}; {dn['name']} down: {_did(dn)}"


def _did(way: dict[str, Any]) -> str:
    if way["n_passed"] and way["n_transcoded"]:
        n_packets = way["n_passed"] + way["n_transcoded"]
        return f"{way['n_passed']} of {n_packets} passed through"
    if way["n_passed"]:
        return "passed through"
    return "transcoded" if way["n_transcoded"] else "nothing"
