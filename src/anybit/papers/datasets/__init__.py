"""Data sets of the papers, one file each, as their authors distribute them."""

from anybit.papers.datasets.dataset import DataSet, join_labels
from anybit.papers.datasets.open_dataset import dataset_names, expected_files, open_dataset
from anybit.papers.datasets.pictures import join_sources

__all__ = [
    "DataSet",
    "dataset_names",
    "expected_files",
    "join_labels",
    "join_sources",
    "open_dataset",
]
