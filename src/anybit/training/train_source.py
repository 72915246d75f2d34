"""`train`: from a source to a trained model."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anybit.codes import check_writable
from anybit.data import Source, open_source
from anybit.errors import DataError, OptionError
from anybit.quantizers import VectorQuantizer, train_on_vectors
from anybit.training.engine.train_options import TrainOptions
from anybit.training.registry import IMAGE_METHODS
from anybit.types import ProgressCallback

if TYPE_CHECKING:
    from anybit.models import ImageModel

__all__ = ["train"]

_log = logging.getLogger(__name__)


def train(
    source: str | Path | Source,
    options: TrainOptions | None = None,
    *,
    output: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: ProgressCallback | None = None,
    **settings: Any,
) -> ImageModel | VectorQuantizer:
    """Train a model: a network on labelled images, or a quantiser on vectors.

    A method on vectors takes images, too: their vectors are then the features of a backbone with
    given weights, which is not trained. Labels are needed only where the method needs them.

    Parameters
    ----------
    source : str, Path or Source
        Images, or vectors (see `anybit.data.open_source`).
    options : TrainOptions, optional
    output : str or Path, optional
        Model folder to write. Checkpoints and logs go to the folder ``OUTPUT.run`` beside it.
    resume : bool
        Go on from the newest checkpoint of ``OUTPUT.run``, or start if there is none.
    overwrite : bool
        Replace an earlier model and run.
    progress : callable, optional
        Called with (steps done, steps in all).
    **settings
        Fields of `TrainOptions`, in place of `options`.

    Returns
    -------
    ImageModel or VectorQuantizer
        Both have ``save_pretrained`` and ``export_codebooks``; the method names the class.

    Raises
    ------
    OptionError
        If options contradict each other, or the output is there already.
    DataError
        If the source is empty, lacks labels, or too much of it cannot be used.

    Examples
    --------
    >>> model = train("photos/", bits=32, output="model/")  # doctest: +SKIP
    """
    if options is not None and settings:
        raise OptionError("give options or single settings, not both.")
    options = options or TrainOptions(**settings)
    target = Path(output) if output is not None else None
    if target is not None and target.exists() and not (overwrite or resume):
        raise OptionError(f"{target} must not exist yet. Choose another path, or overwrite.")
    if target is not None:
        check_writable(target)
    opened = source if isinstance(source, Source) else open_source(Path(source), options.source)
    _log.info("%s", opened.describe())
    if len(opened) == 0:
        raise DataError(f"the source must hold at least one item, got none in {source}.")
    options = options.for_kind(opened.kind)
    if opened.kind == "vectors":
        return _train_vectors(opened, options, target, overwrite or resume, progress)
    folder = None if target is None else target.with_name(target.name + ".run")
    if folder is not None and folder.exists():
        if overwrite and not resume:
            shutil.rmtree(folder, ignore_errors=True)
        elif not resume:
            raise OptionError(
                f"{folder} holds an unfinished run. Resume it (--resume), or start again "
                "(--overwrite)."
            )
    # Only images need torch.
    from anybit.training.frozen import train_frozen
    from anybit.training.network import train_network

    is_first_process, model = True, None
    if options.method in IMAGE_METHODS:
        model, is_first_process = train_network(opened, options, folder, resume, progress)
    else:
        model = train_frozen(opened, options, folder, progress)
    if target is not None and is_first_process:
        model.save_pretrained(target, overwrite=overwrite or resume)
    return model


def _train_vectors(
    source: Source,
    options: TrainOptions,
    target: Path | None,
    overwrite: bool,
    progress: ProgressCallback | None,
) -> VectorQuantizer:
    """Fit a quantiser to fixed features."""
    if options.backbone not in ("none", TrainOptions.backbone):
        raise OptionError(f"vectors need no backbone, got {options.backbone!r}. Leave it out.")
    model = train_on_vectors(
        source.vectors(0, len(source)),
        options.method,
        progress,
        n_levels=options.n_levels,
        n_codewords=options.n_codewords,
        metric=options.metric or "ip",
        seed=options.seed,
        labels=source.labels,
    )
    for text in model.summary["warnings"]:
        _log.warning("%s", text)
    if target is not None:
        model.save_pretrained(target, overwrite=overwrite)
    return model
