"""The papers' protocols, data sets and tables as data, and their artefacts, run again.

What trains is loaded when it is first used: it brings torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from anybit.papers.datasets import DataSet, dataset_names, expected_files, open_dataset
from anybit.papers.protocols.protocol import (
    Protocol,
    RecordedName,
    SplitRule,
    all_protocols,
    protocol,
    recorded_protocol,
)
from anybit.papers.protocols.split_checks import Finding, check_split
from anybit.papers.protocols.split_manifest import PartItems, SplitManifest, SplitSources
from anybit.papers.protocols.splits import Prepared, prepare, split
from anybit.papers.results.published import PublishedTable, published, published_tables
from anybit.papers.results.result import ArtefactResult, Seeded, read_result, table_of, value_text

if TYPE_CHECKING:
    from anybit.papers.artefact import Artefact
    from anybit.papers.artefact_runs import check, plan, run
    from anybit.papers.artefacts import ARTEFACTS, artefact, members
    from anybit.papers.cross_validation import (
        CrossValidation,
        OptionScore,
        TunedOption,
        cross_validate,
    )
    from anybit.papers.pages.pages import write_pages
    from anybit.papers.run_options import PlannedRun, RunOptions
    from anybit.papers.runs.configurations import Configuration, Recipe, configuration, recipe
    from anybit.papers.runs.run import features_of

__all__ = [
    "ARTEFACTS",
    "Artefact",
    "ArtefactResult",
    "Configuration",
    "CrossValidation",
    "DataSet",
    "Finding",
    "OptionScore",
    "PartItems",
    "PlannedRun",
    "Prepared",
    "Protocol",
    "PublishedTable",
    "Recipe",
    "RecordedName",
    "RunOptions",
    "Seeded",
    "SplitManifest",
    "SplitRule",
    "SplitSources",
    "TunedOption",
    "all_protocols",
    "artefact",
    "check",
    "check_split",
    "configuration",
    "cross_validate",
    "dataset_names",
    "expected_files",
    "features_of",
    "members",
    "open_dataset",
    "plan",
    "prepare",
    "protocol",
    "published",
    "published_tables",
    "read_result",
    "recipe",
    "recorded_protocol",
    "run",
    "split",
    "table_of",
    "value_text",
    "write_pages",
]

_MODULE_OF = {
    "ARTEFACTS": "artefacts",
    "Artefact": "artefact",
    "Configuration": "runs.configurations",
    "CrossValidation": "cross_validation",
    "OptionScore": "cross_validation",
    "PlannedRun": "run_options",
    "Recipe": "runs.configurations",
    "RunOptions": "run_options",
    "TunedOption": "cross_validation",
    "artefact": "artefacts",
    "check": "artefact_runs",
    "features_of": "runs.run",
    "members": "artefacts",
    "configuration": "runs.configurations",
    "cross_validate": "cross_validation",
    "plan": "artefact_runs",
    "recipe": "runs.configurations",
    "run": "artefact_runs",
    "write_pages": "pages.pages",
}


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(import_module(f"anybit.papers.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'anybit.papers' has no attribute {name!r}")
