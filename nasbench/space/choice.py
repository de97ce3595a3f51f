"""A choice: a name and the values that a sampler may give it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nasbench.space.architecture import Scalar


@dataclass(frozen=True, slots=True)
class Steps:
    """Evenly spaced numbers from `low` to `high`, both included; whole numbers when all three are."""

    low: int | float
    high: int | float
    step: int | float

    @property
    def whole(self) -> bool:
        """Say whether every value is an int."""
        return all(isinstance(value, int) for value in (self.low, self.high, self.step))

    def __len__(self) -> int:
        return int((self.high - self.low) / self.step + 1e-9) + 1

    def __getitem__(self, index: int) -> int | float:
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        value = self.low + index * self.step
        return value if self.whole else round(float(value), 10)

    def __iter__(self) -> Iterator[int | float]:
        return (self[index] for index in range(len(self)))

    def nearest(self, value: float) -> int | float:
        """Give the member closest to `value`."""
        return self[min(max(round((value - self.low) / self.step), 0), len(self) - 1)]

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return abs(self.nearest(value) - value) < 1e-9


@dataclass(frozen=True, slots=True)
class Choice:
    """What a definition leaves open. `name` is its path, such as `stage1.kernel` or `stage1.kernel.2`."""

    name: str
    values: tuple[Scalar, ...] | Steps

    def find(self, value: object) -> Scalar | None:
        """Give the member equal to `value`, or None when there is none; `true` is not 1."""
        if isinstance(self.values, Steps):
            return self.values.nearest(value) if value in self.values else None  # type: ignore[arg-type]
        for member in self.values:
            if member == value and isinstance(member, bool) == isinstance(value, bool):
                return member
        return None

    def describe(self) -> str:
        """Show the values as a definition writes them."""
        if isinstance(self.values, Steps):
            return f"{self.values.low} to {self.values.high} step {self.values.step}"
        return ", ".join(str(value) for value in self.values)


Pick = Callable[[Choice], Scalar]
"""Gives one of a choice's values. While a space is decoded it is asked once for each choice that exists, no other."""
