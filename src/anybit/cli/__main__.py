"""``python -m anybit.cli``, for where the script is not on the path."""

from anybit.cli.app import main

main()
