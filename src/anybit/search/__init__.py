"""Ranking items by their codes: exact asymmetric quantizer distance at every code length."""

from anybit.search._dispatch import kernel, simd_level, simd_levels
from anybit.search.index import Index, SearchResult

__all__ = ["Index", "SearchResult", "kernel", "simd_level", "simd_levels"]
