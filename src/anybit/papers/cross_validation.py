"""One option of a method chosen by cross-validation on the training items of a protocol."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from anybit.errors import OptionError
from anybit.papers.artefact_runs import wanted_artefact
from anybit.papers.protocol_runs import planned_run, prepared_data, run_of
from anybit.papers.protocols.splits import Prepared
from anybit.papers.results.seeded import Seeded
from anybit.papers.run_options import RunListener, RunOptions
from anybit.papers.runs.configurations import Configuration, configuration
from anybit.papers.runs.run import Run, perform
from anybit.training import resolved_preset
from anybit.types import ProgressCallback

__all__ = ["CrossValidation", "OptionScore", "TunedOption", "cross_validate", "option_scores"]

SCORE = (
    "held-back mAP: the items of a fold are not trained on; a third of them is queried, the "
    "others are searched"
)
"""What a value is scored by, as a result says it."""


@dataclass(frozen=True)
class CrossValidation:
    """What is chosen, and how.

    Parameters
    ----------
    option : str
        Field of the method's preset that holds one number, such as
        ``losses.quantization_weight``.
    values : tuple of float
        At least two.
    method : str or None
        A configuration; None takes the first of the artefact.
    bits : int or None
        Code length of the models; None takes the longest of the protocol.
    n_folds : int
    """

    option: str
    values: tuple[float, ...]
    method: str | None = None
    bits: int | None = None
    n_folds: int = 5

    def __post_init__(self) -> None:
        if len(set(self.values)) < 2 or len(set(self.values)) != len(self.values):
            raise OptionError(
                f"values must be at least two different numbers, got {list(self.values)}."
            )
        if self.n_folds < 2:
            raise OptionError(f"n_folds must be at least 2, got {self.n_folds}.")


@dataclass(frozen=True)
class OptionScore:
    """The score of one value.

    Parameters
    ----------
    value : float
    score : Seeded
        Mean and interval over the folds.
    """

    value: float
    score: Seeded


@dataclass(frozen=True)
class TunedOption:
    """The scores of all values of an option.

    Parameters
    ----------
    artefact, protocol, method, option : str
    bits, n_folds, seed : int
    scores : tuple of OptionScore
        In the order of the values.
    best : float
        The value of the highest mean score, the first of equal ones.
    """

    artefact: str
    protocol: str
    method: str
    option: str
    bits: int
    n_folds: int
    seed: int
    scores: tuple[OptionScore, ...]
    best: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values, with the definition of the score."""
        return {
            **asdict(self),
            "scores": [{"value": one.value, **one.score.to_dict()} for one in self.scores],
            "score": SCORE,
        }


def cross_validate(
    name: str,
    choice: CrossValidation,
    options: RunOptions,
    on_run: RunListener | None = None,
    progress: ProgressCallback | None = None,
) -> TunedOption:
    """Train a method with each value on all folds but one, and score it on the fold left out.

    Parameters
    ----------
    name : str
        A table or figure that needs data; its protocol is divided, and only the training items
        are used.
    choice : CrossValidation
    options : RunOptions
        Data, cache, recipe and what replaces parts of it. The first seed is that of the training.
    on_run, progress : callable, optional
        As `run`.

    Returns
    -------
    TunedOption

    Raises
    ------
    OptionError
        If the artefact has no protocol, the method or code length is not there, or the option is
        no number of the method's preset.
    DataError
        If the data set is missing, or a class has fewer training items than folds.

    Notes
    -----
    The protocol's queries and database are not read. Finished runs are kept in the cache.

    References
    ----------
    Cao et al., "Deep Quantization Network for Efficient Image Retrieval", AAAI 2016: lambda of the
    joint objective L + lambda Q is chosen by cross-validation. The score of the paper is not
    printed. It cannot be the joint loss itself, which grows with lambda; here it is the mAP of the
    codes.
    """
    wanted = wanted_artefact(name, options.data)
    rule = wanted.protocol(options.protocol)
    method = configuration(choice.method or wanted.methods[0])
    bits = choice.bits or rule.bits[-1]
    if bits not in rule.bits:
        lengths = ", ".join(map(str, rule.bits))
        raise OptionError(f"bits must be one of {lengths}, as protocol {rule.name}, got {bits}.")
    seed = options.seeds[0]
    base = run_of(rule, method, (bits,), seed, options)
    whole = prepared_data(wanted, options)
    scores = option_scores(base, whole, choice, options, on_run, progress)
    best = max(scores, key=lambda one: one.score.mean)
    return TunedOption(
        wanted.name,
        rule.name,
        method.name,
        choice.option,
        bits,
        choice.n_folds,
        seed,
        scores,
        best.value,
    )


def option_scores(
    base: Run,
    whole: Prepared,
    choice: CrossValidation,
    options: RunOptions,
    on_run: RunListener | None = None,
    progress: ProgressCallback | None = None,
) -> tuple[OptionScore, ...]:
    """Score every value of an option on the folds of the training items.

    Parameters
    ----------
    base : Run
        What is trained, at one code length, but for the option.
    whole : Prepared
    choice : CrossValidation
    options : RunOptions
        Cache and device.
    on_run, progress : callable, optional
    """
    preset = resolved_preset(base.train_options())
    values = _typed(preset, choice)
    folds = [whole.fold(number, choice.n_folds) for number in range(choice.n_folds)]
    scores = []
    for number, value in enumerate(values):
        one = replace(base, configuration=_with_option(base.configuration, choice.option, value))
        found = []
        for place, fold in enumerate(folds):
            planned = planned_run(one, fold, options)
            if on_run is not None:
                what = f"{choice.option} {value:g}, fold {place + 1}"
                announced = replace(planned, name=f"{planned.name}, {what}")
                on_run(announced, number * len(folds) + place, len(values) * len(folds))
            result = perform(one, fold, planned.folder, device=options.device, progress=progress)
            found.append(_score(result))
        scores.append(OptionScore(value, Seeded.of(found)))
    return tuple(scores)


def _with_option(method: Configuration, option: str, value: float) -> Configuration:
    """Return a configuration with one more override."""
    *parts, last = option.split(".")
    overrides = dict(method.overrides)
    inner = overrides
    for part in parts:
        inner[part] = dict(inner.get(part, {}))
        inner = inner[part]
    inner[last] = value
    return replace(method, overrides=overrides)


def _typed(preset: object, choice: CrossValidation) -> list[float]:
    """Return the values of the kind that the option has: whole numbers for counts."""
    current = preset
    for part in choice.option.split("."):
        known = current if isinstance(current, dict) else getattr(current, "__dict__", {})
        if part not in known:
            raise OptionError(
                f"option must name a number of the method's preset, such as "
                f"losses.quantization_weight, got {choice.option!r}: {part} is none of "
                f"{', '.join(known) or 'its fields'}."
            )
        current = known[part]
    if isinstance(current, bool) or not isinstance(current, int | float):
        raise OptionError(f"option must name one number, {choice.option} is {current!r}.")
    if isinstance(current, float):
        return list(choice.values)
    if any(value != int(value) for value in choice.values):
        raise OptionError(f"{choice.option} takes whole numbers, got {list(choice.values)}.")
    return [int(value) for value in choice.values]


def _score(found: dict[str, Any]) -> float:
    """Return the mAP of the only length of a run."""
    (length,) = found["evaluation"]["lengths"]
    return next(float(one["value"]) for one in length["measures"] if one["name"] == "map_at")
