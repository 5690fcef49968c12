"""Axes that read well: colours, ticks in plain numbers, labels beside what they name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from analysis import notation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, MUTED, GRID = "#1b1f24", "#59636e", "#e3e6ea"
BLUE, ORANGE, GREEN, SKY = "#0072b2", "#d55e00", "#007a5a", "#56b4e9"
"""Okabe and Ito's palette (2008), which the colour-blind tell apart; its green darkened to be read on white."""
FARTHEST = 700.0
"""Natural logarithm beyond which no limit of an axis is put, as a number may not be."""
BAND = 0.18
"""Opacity of an interval."""

STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "text.color": INK,
    "text.parse_math": False,  # a dollar in a name from data is a dollar
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "analysis",
    "lines.solid_capstyle": "round",
}
"""Matplotlib settings of every figure, for `matplotlib.rc_context`."""

_STEPS: tuple[tuple[float, ...], ...] = (
    (1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9),
    (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8),
    (1, 1.5, 2, 3, 4, 6),
    (1, 2, 3, 5),
    (1, 2, 5),
    (1, 3),
    (1,),
)


def log_ticks(lo: float, hi: float, most: int = 6, spacious: bool = False) -> list[float]:
    """Round positions in [lo, hi] for a logarithmic axis: as many as fit `most`, decades or finer as the span asks.

    spacious: what is between decades takes twice the room, as 3 × 10¹² does.
    """
    first, last = max(int(np.floor(np.log10(lo))), -307), min(int(np.ceil(np.log10(hi))), 307)
    for steps in _STEPS:
        ticks = [float(f"{s}e{d}") for d in range(first, last + 1) for s in steps]
        ticks = [t for t in ticks if lo <= t * (1 + 1e-9) and t <= hi * (1 + 1e-9)]
        if len(ticks) <= (most // 2 if spacious and len(steps) > 1 else most):
            break
    else:
        every = -(-len(ticks) // most)
        ticks = [t for t in ticks if round(np.log10(t)) % every == 0]
    return ticks if len(ticks) >= 2 else [t for t in np.linspace(lo, hi, 4)[1:3].tolist()]


def log_axis(
    ax: Axes, which: str, lo: float, hi: float, form: Callable[[float], str], *, spacious: bool = False
) -> None:
    """Make the x or y axis logarithmic from lo to hi, with a few ticks written by `form`; spacious: long labels."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axis = ax.xaxis if which == "x" else ax.yaxis
    getattr(ax, f"set_{which}scale")("log")
    getattr(ax, f"set_{which}lim")(lo, hi)
    axis.set_major_locator(FixedLocator(log_ticks(lo, hi, _room(ax, which), spacious)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: form(value)))
    ax.grid(True, which="major", color=GRID, linewidth=0.7)


def padded(values: ArrayLike, below: float = 0.05, above: float = 0.05) -> tuple[float, float]:
    """Limits of a logarithmic axis that leave shares of the span free around the values above 0."""
    given = np.asarray(values, dtype=np.float64)
    logs = np.log(given[np.isfinite(given) & (given > 0)])
    span = max(float(np.ptp(logs)), 0.05)
    lo, hi = np.clip([logs.min() - below * span, logs.max() + above * span], -FARTHEST, FARTHEST)
    return float(np.exp(lo)), float(np.exp(hi))


def compute(value: float) -> str:
    """A tick of a compute axis: powers of ten, since FLOPs have no plain numbers."""
    return notation.power(value, 2)


def loss(value: float) -> str:
    """A tick of a loss axis."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


class Shades:
    """A colour for each distinct value of an ordered quantity, or along its logarithm where there are more than `most`.

    From dark to light, never too light for white, and told apart by the colour-blind.
    """

    def __init__(self, values: ArrayLike, most: int) -> None:
        finite = np.asarray(values, dtype=np.float64)
        self.values = np.unique(finite[np.isfinite(finite)])
        self.few = len(self.values) <= most
        self._logs = np.log(self.values)

    def __call__(self, value: float) -> Any:
        """The colour of a value; where they are few, that of the nearest."""
        if self.few:
            place = int(np.argmin(np.abs(self._logs - np.log(value)))) / max(len(self.values) - 1, 1)
        else:
            place = float((np.log(value) - self._logs[0]) / (self._logs[-1] - self._logs[0]))
        return shade(place)

    def each(self, values: ArrayLike) -> list[Any]:
        """A colour for each value."""
        return [self(float(value)) for value in np.asarray(values, dtype=np.float64)]


def shade(place: float) -> Any:
    """The colour at a place in 0..1 from dark to light."""
    from matplotlib import colormaps

    return colormaps["viridis"](0.78 * min(max(place, 0.0), 1.0))


def readable(colour: Any) -> Any:
    """The colour darkened until text in it stands out from white by 4.5 to 1 (WCAG 2.2, 1.4.3)."""
    from matplotlib.colors import to_rgb

    channels = np.array(to_rgb(colour))
    while 1.05 / (_luminance(channels) + 0.05) < 4.5:
        channels = 0.95 * channels
    return tuple(channels.tolist())


def _luminance(channels: np.ndarray) -> float:
    """Relative luminance of an sRGB colour, 0 to 1 (WCAG 2.2)."""
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def labels_beside(ax: Axes, x: float, entries: Sequence[tuple[float, str, Any]], size: float = 9.0) -> None:
    """Write labels (y, text, colour) to the right of x, moved apart where they would overlap; limits must be set."""
    if not entries:
        return
    ordered = sorted(entries, key=lambda entry: entry[0])
    pixels = ax.transData.transform([(x, y) for y, _, _ in ordered])[:, 1]
    gap = size * 1.25 * _dpi(ax) / 72
    places = apart(pixels, gap)
    column = ax.transData.transform((x, ordered[0][0]))[0]
    for place, (_, text, colour) in zip(places, ordered, strict=True):
        spot = tuple(ax.transData.inverted().transform((column, place)).tolist())
        ax.annotate(
            text,
            spot,
            xytext=(5, 0),
            textcoords="offset points",
            color=readable(colour),
            fontsize=size,
            va="center",
        )


def apart(places: ArrayLike, gap: float) -> np.ndarray:
    """Ascending places moved as little as may be so that neighbours are at least `gap` apart (pooled neighbours)."""
    blocks: list[list[float]] = []  # each: sum of wanted starts, members
    for rank, place in enumerate(np.asarray(places, dtype=np.float64)):
        blocks.append([float(place) - rank * gap, 1.0])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, members = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += members
    starts = np.concatenate([np.full(int(members), total / members) for total, members in blocks])
    return starts + gap * np.arange(len(starts))


def colour_scale(ax: Axes, name: str, lo: str, hi: str) -> None:
    """A small scale in the upper right: what the shades from dark to light mean, where there are too many to label."""
    inset = ax.inset_axes((0.68, 0.95, 0.3, 0.03))
    inset.imshow([[shade(place) for place in np.linspace(0, 1, 64)]], aspect="auto", extent=(0, 1, 0, 1))
    inset.set_xticks([0, 1], [lo, hi], fontsize=8.5)
    inset.set_yticks([])
    inset.tick_params(length=0, pad=2)
    inset.set_title(name, fontsize=8.5, pad=2, color=MUTED)


def decade(ax: Axes) -> float:
    """Points (1/72 inch) that a factor of 10 takes on the logarithmic x axis."""
    lo, hi = ax.get_xlim()
    return 72 * ax.get_window_extent().width / _dpi(ax) / float(np.log10(hi / lo))


def _room(ax: Axes, which: str) -> int:
    """How many tick labels an axis has room for."""
    box = ax.get_window_extent()
    inches = (box.width if which == "x" else box.height) / _dpi(ax)
    return int(np.clip(inches / (0.62 if which == "x" else 0.42), 3, 9))


def _dpi(ax: Axes) -> float:
    return float(ax.get_figure(root=True).dpi)  # type: ignore[union-attr]
