"""Which hosts are given nothing more while there are others. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from scaling.launching.engine import Ending

MOST = 3
"""Different tasks in a row that failed on a host before it is avoided."""


@dataclass
class Hosts:
    """Hosts by what was told of attempts on them."""

    avoid: dict[str, str] = field(default_factory=dict)
    """Those that are avoided, with the reason that the last ending gave."""
    _failed: dict[str, set[str]] = field(default_factory=dict)
    """Tasks that failed there since one got on."""

    def heard(self, task_id: str, ending: Ending) -> bool:
        """An attempt has ended; whether its host is avoided from now on and was not before."""
        host = ending.host
        if not host:
            return False
        if ending.kind == "finished" or ending.steps:
            self._failed.pop(host, None)
            self.avoid.pop(host, None)
        elif ending.kind == "failed":
            self._failed.setdefault(host, set()).add(task_id)
        refuses = ending.kind == "refused" and ending.at_fault == "node"
        bad = host not in self.avoid and (refuses or len(self._failed.get(host, ())) >= MOST)
        if bad:
            self.avoid[host] = ending.reason
        return bad
