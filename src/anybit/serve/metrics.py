"""What the server tells Prometheus."""

from __future__ import annotations

import os
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

__all__ = ["Metrics"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_BATCHES = (1, 2, 4, 8, 16, 32)
_SHARED = "PROMETHEUS_MULTIPROC_DIR"


class Metrics:
    """Counters of one server; those of several worker processes are added up.

    Several workers share the folder that the environment variable ``PROMETHEUS_MULTIPROC_DIR``
    names; it must be set before this module is imported.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        own: dict[str, Any] = {"registry": self._registry}
        live: dict[str, Any] = {**own, "multiprocess_mode": "livesum"}
        self.requests = Counter(
            "anybit_requests", "Requests answered.", ["method", "route", "status"], **own
        )
        self.request_seconds = Histogram(
            "anybit_request_seconds", "Time to the end of an answer.", ["route"],
            buckets=_SECONDS, **own,
        )  # fmt: skip
        self.stage_seconds = Histogram(
            "anybit_stage_seconds", "Time of a part of a search: decode, encode, search.",
            ["stage"], buckets=_SECONDS, **own,
        )  # fmt: skip
        self.batch_images = Histogram(
            "anybit_batch_images", "Images of one forward pass.", buckets=_BATCHES, **own
        )
        self.waiting = Gauge("anybit_waiting", "Searches and writes in work or waiting.", **live)
        self.items = Gauge(
            "anybit_items",
            "Items of the collection.",
            multiprocess_mode="max",
            registry=self._registry,
        )
        self.decoder_restarts = Counter(
            "anybit_decoder_restarts", "Decoding processes that were killed or died.", **own
        )

    def text(self) -> bytes:
        """Return all figures in Prometheus' text format."""
        if _SHARED not in os.environ:
            return generate_latest(self._registry)
        shared = CollectorRegistry()
        MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
        return generate_latest(shared)
