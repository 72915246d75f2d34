"""Protocols as data, and the division of a data set by one."""
