"""Names beside points, placed so that they do not lie on each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

Place = tuple[float, float, Literal["left", "right", "center"], Literal["top", "bottom", "center"]]

# Where a name may stand, in points from its point, with the corner that touches. The first of the best is taken.
_NEAR: tuple[Place, ...] = (
    (5, -4, "left", "top"),
    (5, 4, "left", "bottom"),
    (-5, 4, "right", "bottom"),
    (-5, -4, "right", "top"),
    (0, -6, "center", "top"),
    (0, 6, "center", "bottom"),
    (-6, 0, "right", "center"),
    (6, 0, "left", "center"),
)
_PLACES: tuple[Place, ...] = tuple(
    (dx * far, dy * far, h, v) for far in (1.0, 2.5, 4.0, 6.0, 8.0) for dx, dy, h, v in _NEAR
)


def place_labels(
    axes: Axes, points: Sequence[tuple[float, float, str]], obstacles: Sequence[tuple[float, float, float]]
) -> None:
    """Write each name near its point, clear of other names, of the frame and as far as possible of `obstacles`.

    Call it when the layout is final.

    Args:
        axes: where the points are.
        points: (x, y, name) in data coordinates.
        obstacles: (x, y, weight); a name goes up to `weight` points further away rather than on top of one.
    """
    renderer: Any = axes.figure.canvas.get_renderer()  # type: ignore[attr-defined]
    frame = axes.get_window_extent(renderer)
    reach = 3.5 * axes.figure.dpi / 72  # half the size of a star, in pixels
    places = np.asarray([place[:2] for place in obstacles], dtype=np.float64).reshape(-1, 2)
    dots, weights = axes.transData.transform(places), np.asarray([weight for _, _, weight in obstacles])
    taken: list[Bbox] = []
    for x, y, name in sorted(points):
        text = axes.annotate(name, (x, y), (0, 0), textcoords="offset points", fontsize=7, zorder=6)
        text.set_in_layout(False)

        def judge(place: Place, text: Annotation = text) -> float:
            _move(text, place)
            box = text.get_window_extent(renderer)
            outside = box.x0 < frame.x0 or box.x1 > frame.x1 or box.y0 < frame.y0 or box.y1 > frame.y1
            clashes = sum(map(box.overlaps, taken)) + outside
            low, high = np.asarray(box.min) - reach, np.asarray(box.max) + reach
            hidden = weights[((dots >= low) & (dots <= high)).all(axis=1)].sum()
            return float(1000 * clashes + hidden + abs(place[0]) + abs(place[1]))

        best = min(_PLACES, key=judge)
        _move(text, best)
        taken.append(text.get_window_extent(renderer))
        if max(abs(best[0]), abs(best[1])) > 6:
            line = {"arrowstyle": "-", "lw": 0.5, "color": "0.3", "shrinkA": 0, "shrinkB": 3}
            pointer = axes.annotate("", (x, y), best[:2], textcoords="offset points", arrowprops=line, zorder=5)
            pointer.set_in_layout(False)


def _move(text: Annotation, place: Place) -> None:
    text.set_position(place[:2])
    text.set_horizontalalignment(place[2])
    text.set_verticalalignment(place[3])
