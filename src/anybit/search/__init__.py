"""Ranking items by their codes: exact asymmetric quantizer distance at every code length."""

from anybit.search.index import Index, SearchResult

__all__ = ["Index", "SearchResult"]
