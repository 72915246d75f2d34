"""``anybit train``: learn codes from labelled images, or codebooks from vectors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anybit.cli.advise import advise_model
from anybit.cli.command import EXIT_SOME_FAILED, command, int_list
from anybit.cli.console import Console
from anybit.cli.source_flags import SourceFlags, open_said
from anybit.training import AUTO_IMAGE_METHOD, IMAGE_METHODS, image_method

if TYPE_CHECKING:
    from anybit.data import Source
    from anybit.training import TrainOptions

__all__ = ["TrainFlags", "train", "train_model"]

_BY_STAGE = "; for ".join(
    f"{method.name} one for each of its stages ({', '.join(method.stages)}), with commas"
    for method in IMAGE_METHODS.values()
    if method.stages
)


@dataclass(frozen=True)
class TrainFlags:
    """What to learn, with which network, for how long."""

    method: Annotated[
        str,
        typer.Option(
            help=f"Images: {', '.join(IMAGE_METHODS)}; auto is {AUTO_IMAGE_METHOD}. Vectors: rq "
            "(auto) and others; these take images whose backbone has --weights, too. "
            "`anybit methods` lists them all with their papers."
        ),
    ] = "auto"
    bits: Annotated[
        int, typer.Option(help="Length of the full code; with drq every prefix is a code, too.")
    ] = 32
    n_codewords: Annotated[
        int,
        typer.Option("--codewords", help="Codewords of a level: 256 is 8 bits a level, 16 is 4."),
    ] = 256
    backbone: Annotated[
        str,
        typer.Option(help="resnet-small, alexnet, or any network of torchvision or timm by name."),
    ] = "resnet-small"
    backbone_options: Annotated[
        str, typer.Option(help='For the network, as JSON: {"widths": [24, 48, 96]}.')
    ] = "{}"
    weights: Annotated[
        Path | None, typer.Option(help="File of pretrained weights for the backbone.")
    ] = None
    is_pretrained: Annotated[
        bool, typer.Option("--pretrained", help="Fetch pretrained weights (needs the network).")
    ] = False
    preset: Annotated[str, typer.Option(help="anybit, paper or official.")] = "anybit"
    preset_overrides: Annotated[
        str,
        typer.Option(
            help='Fields of the preset, as JSON: {"losses": {"classification_weight": 0}}.'
        ),
    ] = "{}"
    label_vectors: Annotated[
        Path | None, typer.Option(help="One row of numbers per class; else orthogonal ones.")
    ] = None
    input_px: Annotated[int | None, typer.Option(help="Side of the square network input.")] = None
    input_mean: Annotated[
        float | None, typer.Option(help="Mean of RGB in [0, 1] that the weights want.")
    ] = None
    input_std: Annotated[
        float | None, typer.Option(help="Its standard deviation: 0.5 and 0.5 for -1 to 1.")
    ] = None
    epochs: Annotated[
        str | None,
        typer.Option(help=f"One number for all epochs; for {_BY_STAGE}; else the preset's."),
    ] = None
    batch_size: Annotated[int | None, typer.Option(help="Else the preset's.")] = None
    learning_rate: Annotated[float | None, typer.Option(help="Else the preset's.")] = None
    augmentation: Annotated[
        str,
        typer.Option(
            help="flip_crop, flip_shift (thumbnails), flip, crop, shift (writing) or none."
        ),
    ] = "flip_crop"
    metric: Annotated[str | None, typer.Option(help="ip, l2 or cosine; else the preset's.")] = None
    seed: Annotated[int, typer.Option(help="The same seed gives the same codes here.")] = 0
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto"
    n_devices: Annotated[int, typer.Option("--devices", help="Processes to train with.")] = 1
    precision: Annotated[str, typer.Option(help="32-true or bf16-mixed.")] = "32-true"

    def options(self, source: SourceFlags) -> TrainOptions:
        """Return the options that `anybit.training.train` takes."""
        from anybit.training import TrainOptions

        fields: dict[str, Any] = vars(self) | {
            "backbone_options": _json_object(self.backbone_options, "--backbone-options"),
            "preset_overrides": _json_object(self.preset_overrides, "--preset-overrides"),
            "epochs": self._epochs(),
            "source": source.options(),
        }
        return TrainOptions(**fields)

    def _epochs(self) -> tuple[int, ...] | int | None:
        if self.epochs is None:
            return None
        epochs = int_list(self.epochs, "--epochs")
        is_of_images = self.method == "auto" or self.method in IMAGE_METHODS
        stages = image_method(self.method).stages if is_of_images else ()
        if min(epochs) < 0 or (stages and len(epochs) != len(stages)):
            wanted = f"{len(stages)} numbers, one for each stage" if stages else "0 or more"
            raise typer.BadParameter(
                f"must be {wanted}, got {self.epochs!r}.",
                param_hint="--epochs",
            )
        return epochs[0] if len(epochs) == 1 else epochs


def _json_object(text: str, flag: str) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise typer.BadParameter(f"must be a JSON object, got {text!r}.", param_hint=flag)
    return fields


@command
def train(
    source: Annotated[
        Path, typer.Argument(help="Folder of images by class, manifest, Parquet file, or array.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Model folder to write.")],
    flags: TrainFlags,
    source_flags: SourceFlags,
    console: Console,
    is_resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint of this output.")
    ] = False,
    is_overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a model that is there.")
    ] = False,
    is_advised: Annotated[
        bool, typer.Option("--advise", help="Then tell how many bits are enough for this source.")
    ] = False,
) -> None:
    """Learn sequential codes, write a model folder.

    Images with labels train a network and its codes together; vectors get codebooks alone.
    """
    options = flags.options(source_flags)
    items = open_said(source, source_flags, console)
    model = train_model(
        items, options, output, console, is_resume=is_resume, is_overwrite=is_overwrite
    )
    advice: dict[str, Any] = {}
    if is_advised and model.fingerprint:  # only the process that has saved has one
        advice = {"advice": advise_model(output, items, console, flags.device).to_dict()}
    console.result(
        {"model": str(output), "fingerprint": model.fingerprint, **model.summary, **advice},
        f"{output}: a model of {flags.bits} bits, fingerprint {model.fingerprint[:12]}",
    )
    if n_bad := model.summary.get("n_bad", 0):
        listed = output.with_name(f"{output.name}.run") / "bad_items.csv"
        console.warn(f"{n_bad:,} items could not be used; listed in {listed}")
        raise typer.Exit(EXIT_SOME_FAILED)


def train_model(
    source: Source,
    options: TrainOptions,
    output: Path,
    console: Console,
    *,
    is_resume: bool = False,
    is_overwrite: bool = False,
) -> Any:
    """Train with progress, and return the model."""
    from anybit.training import train as learn

    with console.progress("training") as progress:
        return learn(
            source,
            options,
            output=output,
            resume=is_resume,
            overwrite=is_overwrite,
            progress=progress,
        )
