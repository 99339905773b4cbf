"""How often a client may ask: the generic cell rate algorithm, which keeps one number for each client.

ITU-T I.371 (2004), annex A. Each worker counts for itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from serving.errors import TooManyRequests

PAGES_PER_MINUTE = 600
"""Pages that one signed-in user may open in a minute."""
SIGN_INS_PER_MINUTE = 60
"""Attempts to sign in that may come from one address in a minute, whatever the name."""

_MINUTE = 60.0
_MAX_CLIENTS = 100_000


class RateLimit:
    """A limit on the requests of each client; those of a whole minute may come at once.

    Parameters
    ----------
    per_minute : int or None
        Requests of one client; None for no limit.
    now : callable, optional
        Returns the seconds of a clock that is never set back.
    """

    def __init__(self, per_minute: int | None, now: Callable[[], float] = time.monotonic) -> None:
        self._per_minute, self._now = per_minute, now
        # When all that a client has asked would have come, had it come evenly.
        self._even_times: dict[str, float] = {}

    def count(self, client: str) -> None:
        """Count a request.

        Raises
        ------
        TooManyRequests
            The client has none left; this one does not count.
        """
        if self._per_minute is None:
            return
        now = self._now()
        even_time = max(now, self._even_times.get(client, now)) + _MINUTE / self._per_minute
        if (wait := even_time - now - _MINUTE) > 1e-9:
            raise TooManyRequests(
                f"only {self._per_minute} requests are answered in a minute; the next is in {wait:.0f} s", wait
            )
        if len(self._even_times) >= _MAX_CLIENTS:
            self._even_times = {name: even for name, even in self._even_times.items() if even > now}
        if len(self._even_times) < _MAX_CLIENTS:
            self._even_times[client] = even_time


def network_of(address: str) -> str:
    """Return what one client is counted by: its address, or its network of IPv6, which has more addresses than any."""
    try:
        return str(ip_network((address, 64), strict=False)) if ip_address(address).version == 6 else address
    except ValueError:
        return address


@dataclass(frozen=True)
class RateLimits:
    """The limits of a worker, each by its kind of client: key or CDS client, user, network address."""

    keys: RateLimit
    users: RateLimit
    sign_ins: RateLimit
