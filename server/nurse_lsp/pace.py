"""How long to wait before decoding while somebody types fast: a decode that the next key would throw away is not begun.

In: when keys arrive, how long decodes take, and which answers came too late. Out: a delay. A model that is faster than the typist, and a
typist who looks at each answer before the next key, wait for nothing.
"""

from __future__ import annotations

LONGEST_DELAY_S = 0.15
PAUSE_S = 1.0
"""A longer gap between two keys is no typing speed."""
WEIGHT = 0.25
"""Of the latest figure in the running means."""
SHARE = 0.5
"""Of the time between two keys that a decode may take without waiting."""
OFTEN = 0.5
"""Share of answers that the next key overtakes from which on a delay pays."""


class Pace:
    """The typing speed of one editor and the decoding speed of one model."""

    def __init__(self) -> None:
        self._last_key: float | None = None
        self._interval_s = PAUSE_S
        self._decode_s = 0.0
        self._overtaken = 0.0

    def key(self, now: float) -> None:
        """A note was changed at `now`, in seconds of any one clock."""
        if self._last_key is not None:
            self._interval_s += WEIGHT * (min(PAUSE_S, now - self._last_key) - self._interval_s)
        self._last_key = now

    def decoded(self, seconds: float) -> None:
        """A decode took so long, to its end or until it was cancelled."""
        self._decode_s += WEIGHT * (seconds - self._decode_s)

    def answered(self, overtaken: bool) -> None:
        """A request has ended; `overtaken` by a newer one, before or while it was decoded."""
        self._overtaken += WEIGHT * (overtaken - self._overtaken)

    def delay_s(self, now: float) -> float:
        """Seconds to wait for the next key before decoding."""
        if self._last_key is None or now - self._last_key > PAUSE_S or self._overtaken < OFTEN:
            return 0.0
        if self._decode_s <= SHARE * self._interval_s:
            return 0.0
        return max(0.0, min(LONGEST_DELAY_S, self._interval_s) - (now - self._last_key))
