"""Figures of a table, ours and the papers'."""
