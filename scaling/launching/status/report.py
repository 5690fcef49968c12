"""What `status` says in a terminal and on its page alike: a status with its early fit and its bill, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scaling.launching.cost.pace import same_kind
from scaling.launching.cost.prices import Price, amount
from scaling.launching.display import duration
from scaling.launching.status.active import Active
from scaling.launching.status.early_fit import EarlyFit
from scaling.launching.status.status import Status
from scaling.spec import count

UNKNOWN = "not known"


@dataclass(frozen=True)
class Bill:
    """What the device-hours cost, by a table of prices."""

    spent: float | None
    """None where the table has no price for the device."""
    left: float | None
    currency: str
    note: str = ""


def bill_of(status: Status, prices: Sequence[Price], table: str) -> Bill:
    """What the study has cost and will, all its device-hours at the price of the kind of device that trains it."""
    if not status.device:
        return Bill(None, None, "", "not known before a device is")
    price = next((price for price in prices if same_kind(price.device, status.device)), None)
    if price is None:
        there = ", ".join(price.device for price in prices)
        return Bill(None, None, "", f"{table} has no price of {status.device}, only of {there}: add a row")
    an_hour, totals = price.an_hour, status.totals
    left = totals.device_seconds_left
    note = f"at {an_hour:g} {price.currency} an hour of {price.device}"
    spent = an_hour * totals.device_seconds / 3600
    return Bill(spent, None if left is None else an_hour * left / 3600, price.currency, note)


@dataclass(frozen=True)
class Report:
    """All that is said of a study at one moment."""

    status: Status
    early: EarlyFit | None = None
    fitting: bool = False
    """Whether a fit is being made."""
    bill: Bill | None = None

    @property
    def progress(self) -> str:
        """FLOPs done of all."""
        totals = self.status.totals
        return f"{percent(totals.share)} of {totals.flops:.3g} FLOPs"

    @property
    def finished(self) -> str:
        """Runs, of which diverged."""
        status = self.status
        lost = f", {status.diverged} of them diverged" if status.diverged else ""
        return f"{status.finished} of {status.runs} runs are finished{lost}"

    @property
    def jobs(self) -> str:
        """Jobs in each state."""
        return ", ".join(f"{number} {state.replace('_', ' ')}" for state, number in self.status.jobs.items())

    @property
    def spent(self) -> str:
        """Device-hours so far."""
        seconds = self.status.totals.device_seconds
        return device_time(seconds) if seconds else "none recorded yet"

    @property
    def left(self) -> str:
        """Device-hours and time left."""
        totals = self.status.totals
        if totals.flops_left == 0:
            return "nothing"
        if totals.device_seconds_left is None:
            return f"{UNKNOWN} before some training is recorded"
        said = f"about {device_time(totals.device_seconds_left)} at the pace so far"
        if totals.seconds_left is None:
            return f"{said}; no device is known to be at work"
        several = "s" if totals.devices > 1 else ""
        when = "" if self.status.jobs else ", while it is trained"
        return f"{said}: {duration(totals.seconds_left)} on {totals.devices} device{several}{when}"

    @property
    def cost(self) -> str:
        """Money so far and left; empty where no prices were given."""
        if self.bill is None:
            return ""
        parts = [
            f"{amount(money)} {self.bill.currency} {when}"
            for money, when in ((self.bill.spent, "so far"), (self.bill.left, "left"))
            if money is not None
        ]
        return "; ".join([*parts, *([self.bill.note] if self.bill.note else [])]) or UNKNOWN

    @property
    def fit(self) -> tuple[str, ...]:
        """The early fit in sentences; none where none was asked for."""
        if self.early is None:
            return ("being made from the runs that are finished",) if self.fitting else ()
        again = " A newer one is being made." if self.fitting else ""
        if not self.early.law:
            return (f"{self.early.headline}: {self.early.sentence}.{again}",)
        warning = ""
        if self.status.finished < self.status.runs:
            warning = " It is early, and will move as runs come in."
        elif self.early.rows:
            warning = " It is made in haste: `python -m analysis report` says how sure it is."
        base = f"From {self.early.rows} runs that count, of {self.status.runs} in all.{warning}{again}"
        return (f"{self.early.headline}.", self.early.sentence, base)

    @property
    def tensorboard(self) -> str:
        """The command that shows its curves; empty where it has no event files."""
        return f"tensorboard --logdir {self.status.path}/tensorboard" if self.status.tensorboard else ""


def percent(share: float) -> str:
    """Of all, never rounded up to all."""
    return f"{min(100 * share, 99.9 if share < 1 else 100.0):.{0 if share >= 1 else 1}f} %"


def device_time(seconds: float) -> str:
    """Device-seconds in hours, or minutes where they are few."""
    return f"{seconds / 3600:.3g} device-hours" if seconds >= 3600 else f"{seconds / 60:.2g} device-minutes"


def speed(job: Active) -> str:
    """Tokens a second."""
    return count(job.tokens_per_second) if job.tokens_per_second is not None else ""


def mfu(job: Active) -> str:
    """Model FLOPs utilisation; empty where no peak is known."""
    return f"{100 * job.mfu:.1f} %" if job.mfu is not None else ""


def attempt(job: Active) -> str:
    """Which attempt this is, and why not the first."""
    if not job.attempt:
        return ""
    return f"{job.attempt} (lost {job.lost})" if job.lost else str(job.attempt)


def elapsed(job: Active) -> str:
    """Time of this attempt."""
    return duration(job.seconds) if job.seconds is not None else ""
