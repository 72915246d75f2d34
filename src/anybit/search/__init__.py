"""Ranking items by their codes: exact quantizer distances at every code length."""

from anybit.search._levels import kernel, simd_level, simd_levels
from anybit.search._queries import CodedQueries, RawQueries, prepare_queries
from anybit.search.index import Index, SearchResult

__all__ = [
    "CodedQueries",
    "Index",
    "RawQueries",
    "SearchResult",
    "kernel",
    "prepare_queries",
    "simd_level",
    "simd_levels",
]
