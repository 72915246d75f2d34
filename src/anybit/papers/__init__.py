"""The papers' protocols, data sets and tables as data, and their artefacts, run again.

What trains is loaded when it is first used: it brings torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from anybit.papers.datasets import DataSet, dataset_names, expected_files, open_dataset
from anybit.papers.protocols.protocol import Protocol, SplitRule, all_protocols, protocol
from anybit.papers.protocols.split_checks import Finding, check_split
from anybit.papers.protocols.split_manifest import PartItems, SplitManifest, SplitSources
from anybit.papers.protocols.splits import Prepared, prepare, split
from anybit.papers.results.published import PublishedTable, published, published_tables
from anybit.papers.results.result import ArtefactResult, Seeded, read_result, table_of, value_text

if TYPE_CHECKING:
    from anybit.papers.artefacts import ARTEFACTS, Artefact, artefact, members
    from anybit.papers.pages.pages import write_pages
    from anybit.papers.planning import PlannedRun, RunOptions, check, plan, run
    from anybit.papers.runs.configurations import Configuration, Recipe, configuration, recipe
    from anybit.papers.runs.run import features_of

__all__ = [
    "ARTEFACTS",
    "Artefact",
    "ArtefactResult",
    "Configuration",
    "DataSet",
    "Finding",
    "PartItems",
    "PlannedRun",
    "Prepared",
    "Protocol",
    "PublishedTable",
    "Recipe",
    "RunOptions",
    "Seeded",
    "SplitManifest",
    "SplitRule",
    "SplitSources",
    "all_protocols",
    "artefact",
    "check",
    "check_split",
    "configuration",
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
    "run",
    "split",
    "table_of",
    "value_text",
    "write_pages",
]

_MODULE_OF = {
    "ARTEFACTS": "artefacts",
    "Artefact": "artefacts",
    "Configuration": "runs.configurations",
    "PlannedRun": "planning",
    "Recipe": "runs.configurations",
    "RunOptions": "planning",
    "artefact": "artefacts",
    "check": "planning",
    "features_of": "runs.run",
    "members": "artefacts",
    "configuration": "runs.configurations",
    "plan": "planning",
    "recipe": "runs.configurations",
    "run": "planning",
    "write_pages": "pages.pages",
}


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(import_module(f"anybit.papers.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'anybit.papers' has no attribute {name!r}")
