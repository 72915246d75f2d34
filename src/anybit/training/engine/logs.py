"""What a run leaves to read: JSON lines, CSV, and TensorBoard where it is installed."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from anybit.codes import write_errors

__all__ = ["RunLog"]


class RunLog:
    """Append measurements to ``metrics.jsonl``; write ``metrics.csv`` at the end of an epoch.

    Parameters
    ----------
    folder : Path
    last_step : int
        Lines of later steps are dropped: a resumed run writes them again.
    """

    def __init__(self, folder: Path, last_step: int = 0) -> None:
        self._lines, self._table = folder / "metrics.jsonl", folder / "metrics.csv"
        with write_errors(self._lines):
            folder.mkdir(parents=True, exist_ok=True)
            kept = [row for row in self.rows() if row["step"] <= last_step]
            self._lines.write_text("".join(json.dumps(row) + "\n" for row in kept))
        self._board: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=last_step + 1)

    def rows(self) -> list[dict[str, Any]]:
        """Return every complete measurement so far."""
        rows = []
        if self._lines.is_file():
            for line in self._lines.read_text().splitlines():
                try:
                    rows.append(json.loads(line))
                except ValueError:  # the line that a killed run was writing
                    break
        return rows

    def add(self, step: int, values: dict[str, Any]) -> None:
        """Append one measurement."""
        with write_errors(self._lines), open(self._lines, "a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        if self._board is not None:
            for name, value in values.items():
                if isinstance(value, float):
                    self._board.add_scalar(name, value, step)

    def write_table(self) -> None:
        """Write all measurements as CSV; lists become text."""
        rows = self.rows()
        names = list(dict.fromkeys(name for row in rows for name in row))
        with write_errors(self._table), open(self._table, "w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)

    def close(self) -> None:
        """Finish all files."""
        self.write_table()
        if self._board is not None:
            self._board.close()
