"""One figure over several seeds: mean and interval by Student's t."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from anybit.errors import DependencyError, FormatError, OptionError

__all__ = ["Seeded", "value_text"]


@dataclass(frozen=True)
class Seeded:
    """One figure over several seeds.

    Parameters
    ----------
    mean : float
    interval_95 : tuple of (float, float) or None
        95 % confidence interval of the mean by Student's t; None for a single seed.
    values : tuple of float
        One value a seed.
    """

    mean: float
    interval_95: tuple[float, float] | None
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Seeded:
        """Compute mean and 95 % interval of one value a seed.

        Parameters
        ----------
        values : sequence of float
            At least one, all finite.

        Returns
        -------
        Seeded

        Raises
        ------
        OptionError
            If there is no value, or one is not finite.
        DependencyError
            If there are several and SciPy is missing.

        Notes
        -----
        The interval is mean ± t s / sqrt(n), s with n - 1 in its denominator. It speaks of the
        seeds only: data and split are the same in all of them.

        Examples
        --------
        >>> Seeded.of([1.0, 2.0, 3.0]).mean
        2.0
        """
        numbers = tuple(float(value) for value in values)
        if not numbers or not all(math.isfinite(value) for value in numbers):
            raise OptionError(
                f"values must be at least one finite number, one a seed, got {list(values)}."
            )
        n_seeds = len(numbers)
        mean = math.fsum(numbers) / n_seeds
        if n_seeds == 1:
            return cls(mean, None, numbers)
        variance = math.fsum((value - mean) ** 2 for value in numbers) / (n_seeds - 1)
        half = _student_t_975(n_seeds - 1) * math.sqrt(variance / n_seeds)
        return cls(mean, (mean - half, mean + half), numbers)

    @property
    def half_width(self) -> float | None:
        """Half the width of the interval; None for a single seed."""
        if self.interval_95 is None:
            return None
        return (self.interval_95[1] - self.interval_95[0]) / 2

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        interval = None if self.interval_95 is None else list(self.interval_95)
        return {"mean": self.mean, "interval_95": interval, "values": list(self.values)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Seeded:
        """Read what `to_dict` gave; `values` may be missing.

        Raises
        ------
        FormatError
            If the mean is missing or a field is not of its kind.
        """
        try:
            mean = float(content["mean"])
            given = content.get("interval_95")
            interval = None if given is None else (float(given[0]), float(given[1]))
            values = tuple(float(value) for value in content.get("values", [mean]))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as cause:
            raise FormatError(
                f"a value must have mean, interval_95 (two numbers or null) and values, got "
                f"{content!r}."
            ) from cause
        return cls(mean, interval, values)


def value_text(value: Seeded | float | None) -> str:
    """Write a value for people: three decimals, ± half the interval, "-" for none.

    Numbers from 100 on have no decimals and a comma every three digits.

    Examples
    --------
    >>> value_text(Seeded(0.85, (0.84, 0.86), (0.85,))), value_text(0.9423), value_text(2097152.0)
    ('0.850 ± 0.010', '0.942', '2,097,152')
    """
    if value is None:
        return "-"
    number = value.mean if isinstance(value, Seeded) else value
    places = ",.0f" if abs(number) >= 100 else ".3f"
    half = value.half_width if isinstance(value, Seeded) else None
    return f"{number:{places}}" if half is None else f"{number:{places}} ± {half:{places}}"


def _student_t_975(n_degrees: int) -> float:
    """Return the 97.5 % point of Student's t."""
    try:
        from scipy.stats import t as student_t
    except ImportError as cause:
        raise DependencyError(
            "an interval over seeds needs SciPy: pip install 'anybit[papers]'."
        ) from cause
    return float(student_t.ppf(0.975, n_degrees))
