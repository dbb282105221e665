"""A picture of the turns: what was said above, what the loudspeaker played below, and the events between. No I/O."""

from html import escape

import numpy as np

from pressroom_host.demo.turn import EVENTS, Turn
from pressroom_host.sim.sound import RATE_HZ, Samples

_WIDTH_PX = 1_200
_MARGIN_PX = 24
_HEAD_PX = 64
_PANEL_PX = 274
_GUTTER_PX = 84  # left of the time axis, for what the waveforms are
_TITLE_PX = 48
_FLAG_PX = 17  # one row of labels
_N_FLAG_ROWS = 3
_WAVE_PX = 34  # half the height of a waveform
_LETTER_PX = 6.2  # of a label, about
_BEFORE_S, _AFTER_S = 0.1, 0.2

_EVENTS_SHOWN = ("press", "packet", "heard", "release", "said", "back")

_STYLE = """
  .paper { fill: #ffffff } .card { fill: #f6f8fa; stroke: #d0d7de }
  text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #57606a }
  .title { font-size: 15px; font-weight: 600; fill: #1f2328 } .head { font-size: 20px; font-weight: 700; fill: #1f2328 }
  .said { fill: #0969da } .back { fill: #8250df } .axis { stroke: #d0d7de }
  .held { fill: #0969da; opacity: .10 }
  .flag { stroke: #57606a; stroke-dasharray: 2 3 } .good { fill: #1a7f37 } .bad { fill: #cf222e }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117 } .card { fill: #161b22; stroke: #30363d }
    text { fill: #9198a1 } .title, .head { fill: #f0f6fc }
    .said { fill: #58a6ff } .back { fill: #bc8cff } .axis { stroke: #30363d }
    .held { fill: #58a6ff; opacity: .14 }
    .flag { stroke: #9198a1 } .good { fill: #3fb950 } .bad { fill: #f85149 }
  }
"""


def draw(turns: list[Turn]) -> str:
    """Return the picture as an SVG document that reads well on light and on dark paper."""
    height_px = _HEAD_PX + len(turns) * (_PANEL_PX + _MARGIN_PX) + _MARGIN_PX
    panels = [
        f'<g transform="translate({_MARGIN_PX} {_HEAD_PX + n * (_PANEL_PX + _MARGIN_PX)})">{_panel(turn)}</g>'
        for n, turn in enumerate(turns)
    ]
    n_good = sum(turn.is_good for turn in turns)
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH_PX} {height_px}" role="img" '
            'aria-label="Waveforms of what was said and what came back">',
            f"<style>{_STYLE}</style>",
            f'<rect class="paper" width="{_WIDTH_PX}" height="{height_px}"/>',
            f'<text class="head" x="{_MARGIN_PX}" y="40">Press the button and be heard</text>',
            f'<text x="{_WIDTH_PX - _MARGIN_PX}" y="40" text-anchor="end">'
            f"{n_good} of {len(turns)} turns came back as they were said</text>",
            *panels,
            "</svg>\n",
        )
    )


class _Scale:
    """From seconds to pixels within a panel."""

    def __init__(self, begin_s: float, end_s: float) -> None:
        self.begin_s = begin_s
        self.width_px = _WIDTH_PX - 2 * _MARGIN_PX
        self.px_per_s = (self.width_px - _GUTTER_PX) / (end_s - begin_s)

    def x(self, at_s: float) -> float:
        return _GUTTER_PX + (at_s - self.begin_s) * self.px_per_s


def _panel(turn: Turn) -> str:
    times_s = turn.times_s
    begin_s = times_s.get("speech", min(times_s.values(), default=0.0)) - _BEFORE_S
    end_s = max([begin_s + 1.0, *times_s.values(), _heard_end_s(turn)]) + _AFTER_S
    scale = _Scale(begin_s, end_s)
    said_px = _TITLE_PX + _N_FLAG_ROWS * _FLAG_PX + _WAVE_PX + 6
    back_px = said_px + 2 * _WAVE_PX + 6
    parts = [f'<rect class="card" width="{scale.width_px}" height="{_PANEL_PX}" rx="8"/>', _title(turn)]
    if "press" in times_s and "release" in times_s:
        x, end = scale.x(times_s["press"]), scale.x(times_s["release"])
        top = said_px - _WAVE_PX
        parts.append(f'<rect class="held" x="{x:.1f}" y="{top}" width="{end - x:.1f}" height="{2 * _WAVE_PX}"/>')
    parts += [_wave("said", turn.speech.samples, times_s.get("speech", begin_s), said_px, scale)]
    if turn.heard is not None:
        parts += [_wave("back", turn.heard.samples, turn.heard.started_at_s, back_px, scale)]
    parts += [
        f'<text x="12" y="{said_px + 4}">said</text>',
        f'<text x="12" y="{back_px + 4}">came back</text>',
        *_flags(turn, scale, back_px + _WAVE_PX),
        *_seconds(turn, scale, begin_s, end_s),
    ]
    return "\n".join(parts)


def _title(turn: Turn) -> str:
    verdict = "came back whole" if turn.is_good else "; ".join(turn.reasons)
    kind = "good" if turn.is_good else "bad"
    return (
        f'<text class="title" x="12" y="23">{turn.number}  {escape(turn.speech.title)}</text>'
        f'<text class="{kind}" x="12" y="42">{escape(verdict)}</text>'
    )


def _wave(kind: str, samples: Samples, at_s: float, middle_px: float, scale: _Scale) -> str:
    """Draw the envelope: for each pixel the least and the greatest sample."""
    axis = f'<line class="axis" x1="{_GUTTER_PX}" x2="{scale.width_px}" y1="{middle_px}" y2="{middle_px}"/>'
    if not len(samples):
        return axis
    n_px = max(int(len(samples) / RATE_HZ * scale.px_per_s), 1)
    edges = np.linspace(0, len(samples), n_px, endpoint=False).astype(int)
    loudest = max(int(np.abs(samples.astype(int)).max()), 1)
    up = np.maximum.reduceat(samples, edges) / loudest * _WAVE_PX
    down = np.minimum.reduceat(samples, edges) / loudest * _WAVE_PX
    xs = scale.x(at_s) + np.arange(n_px)
    there = [f"{x:.0f} {middle_px - max(y, 0.4):.1f}" for x, y in zip(xs, up, strict=True)]
    back = [f"{x:.0f} {middle_px - min(y, -0.4):.1f}" for x, y in zip(xs[::-1], down[::-1], strict=True)]
    return f'{axis}<path class="{kind}" d="M{"L".join(there + back)}Z"/>'


def _flags(turn: Turn, scale: _Scale, bottom_px: float) -> list[str]:
    """Name the events above the waveforms, in rows so that no label covers another."""
    free_from_px = [0.0] * _N_FLAG_ROWS
    parts = []
    events = sorted((turn.times_s[name], name) for name in _EVENTS_SHOWN if name in turn.times_s)
    for at_s, name in events:
        x = scale.x(at_s)
        label = EVENTS[name] + _since(turn, name)
        width_px = _LETTER_PX * len(label) + 12
        left = min(x + 4, scale.width_px - width_px)
        row = next((n for n, free_px in enumerate(free_from_px) if free_px <= left), _N_FLAG_ROWS - 1)
        free_from_px[row] = left + width_px
        y = _TITLE_PX + (row + 1) * _FLAG_PX
        parts.append(f'<line class="flag" x1="{x:.1f}" x2="{x:.1f}" y1="{y - 10}" y2="{bottom_px}"/>')
        parts.append(f'<text x="{left:.1f}" y="{y}">{escape(label)}</text>')
    return parts


def _since(turn: Turn, name: str) -> str:
    """Say how long after its cause an event came."""
    cause = {"packet": "press", "heard": "press", "said": "release", "back": "release"}.get(name)
    after_ms = None if cause is None else turn.ms_between(cause, name)
    return "" if after_ms is None else f" +{after_ms:.0f} ms"


def _seconds(turn: Turn, scale: _Scale, begin_s: float, end_s: float) -> list[str]:
    """Number the seconds from the press on."""
    zero_s = turn.times_s.get("press", begin_s)
    parts = []
    for n in range(int(end_s - zero_s) + 1):
        x = scale.x(zero_s + n)
        parts.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{_PANEL_PX - 28}" y2="{_PANEL_PX - 22}"/>')
        parts.append(f'<text x="{x:.1f}" y="{_PANEL_PX - 9}" text-anchor="middle">{n} s</text>')
    return parts


def _heard_end_s(turn: Turn) -> float:
    return 0.0 if turn.heard is None else turn.heard.time_of(len(turn.heard.samples))
