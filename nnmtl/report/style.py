"""How every figure looks, and how it gets into a page."""

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito (2008): distinguishable with any color vision.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, YELLOW = "#CC79A7", "#56B4E9", "#F0E442"
CYCLE = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)
INK, MUTED, FAINT = "#1f2933", "#5f6b7a", "#d8dee6"
WATERMARK = "PHANTOM - NOT PATIENT DATA"

# matplotlib types the keys as one literal of all settings.
_RC: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.8,
    "savefig.facecolor": "white",
    # Equal results give equal bytes.
    "svg.hashsalt": "nnmtl",
}


@contextmanager
def figure(width_in: float, height_in: float, *, is_phantom: bool) -> Iterator[Figure]:
    """A figure in our style; a phantom's carries its watermark."""
    with mpl.rc_context(_RC):
        new = Figure(figsize=(width_in, height_in), layout="constrained")
        yield new
        if is_phantom:
            new.text(
                0.5,
                0.5,
                WATERMARK,
                rotation=18,
                ha="center",
                va="center",
                fontsize=min(26, 4.2 * width_in),
                weight="bold",
                color=MUTED,
                alpha=0.16,
                zorder=100,
                in_layout=False,
            )


def svg_uri(drawn: Figure) -> str:
    """The figure as an SVG data URI: sharp at any size, and shut off from the page's names."""
    with mpl.rc_context(_RC):
        buffer = io.BytesIO()
        drawn.savefig(buffer, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def png_bytes(drawn: Figure, *, dpi: int = 130) -> bytes:
    """The figure as PNG, for pictures with many pixels."""
    with mpl.rc_context(_RC):
        buffer = io.BytesIO()
        drawn.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def png_uri(drawn: Figure) -> str:
    """The figure as a PNG data URI."""
    return f"data:image/png;base64,{base64.b64encode(png_bytes(drawn)).decode()}"


def unit_square(axes: Axes) -> None:
    """Equal axes from 0 to 1 with the diagonal."""
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1.2, zorder=0)
    axes.set(xlim=(-0.015, 1.015), ylim=(-0.015, 1.015), aspect="equal")
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
