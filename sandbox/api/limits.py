"""How many requests a token may make."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass
class Window:
    """At most `limit` requests in any `seconds` seconds."""

    limit: int
    seconds: float
    times: deque[float] = field(default_factory=deque)

    def wait(self, now: float) -> float:
        """Seconds until one more is allowed; 0 when it is."""
        while self.times and self.times[0] <= now - self.seconds:
            self.times.popleft()
        if len(self.times) < self.limit:
            return 0.0
        return self.times[0] + self.seconds - now

    def add(self, now: float) -> None:
        """Count a request that was let in."""
        self.times.append(now)


class TokenLimits:
    """One token's limits (API reference, "Rate limit"); a request that is refused counts for none of them."""

    def __init__(self) -> None:
        self.hour = Window(5000, 3600)
        self.minute = Window(250, 60)
        self.ssh_keys = Window(10, 60)

    def admit(self, method: str, path: str, now: float) -> float:
        """Count a request, or say how many seconds it has to wait.

        Args:
            method: such as `GET`.
            path: such as `/v2/account/keys`, whose list has a limit of its own.
            now: seconds since the epoch.

        Returns:
            0.0 when the request is let in.
        """
        windows = [self.hour, self.minute]
        if method == "GET" and path.rstrip("/") == "/v2/account/keys":
            windows.append(self.ssh_keys)
        wait = max(window.wait(now) for window in windows)
        if wait == 0.0:
            for window in windows:
                window.add(now)
        return wait

    def headers(self, now: float) -> dict[str, str]:
        """`RateLimit-*` as sent with every answer; reset is when the oldest request of the hour falls out."""
        self.hour.wait(now)
        oldest = self.hour.times[0] if self.hour.times else now
        return {
            "ratelimit-limit": str(self.hour.limit),
            "ratelimit-remaining": str(self.hour.limit - len(self.hour.times)),
            "ratelimit-reset": str(int(oldest + self.hour.seconds)),
        }
