"""The command line: arguments into calls, errors into exit codes.

Nothing heavy is imported at module level: ``anybit --help`` must answer at once.
"""

from anybit.cli.app import app, main

__all__ = ["app", "main"]
