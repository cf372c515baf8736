"""CSVLogger: one row of a table for each epoch."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable

from kerasmirror._export import export
from kerasmirror.callbacks.callback import Callback


@export("callbacks.CSVLogger")
class CSVLogger(Callback):
    """Writes each epoch's logs as a row, on disk before the next epoch starts.

    Columns: "epoch", then the first epoch's logs by name; without validation in it, also their
    "val_..." twins, filled with "NA" until there is some.

    Args: `separator` stands between the values; `append` continues a file that is there.
    Source: Keras 3.15 `keras.callbacks.CSVLogger`.
    """

    def __init__(self, filename, separator=",", append=False):
        super().__init__()
        self.sep = separator
        self.filename = os.fspath(filename)
        self.append = append
        self.writer = None
        self.keys = None
        self.append_header = True
        self.csv_file = None

    def on_train_begin(self, logs=None):
        self._close()
        cut_row = False
        if self.append and os.path.exists(self.filename):
            with open(self.filename, "rb") as file:
                self.append_header = not file.readline()
                file.seek(max(file.seek(0, os.SEEK_END) - 1, 0))
                cut_row = file.read() not in (b"", b"\n")
        self.csv_file = open(  # noqa: SIM115 - stays open until on_train_end
            self.filename, "a" if self.append else "w", newline="", encoding="utf-8"
        )
        if cut_row:
            # A run that was killed while writing must not spoil the first row of this one.
            self.csv_file.write("\r\n")
        self.writer = None
        self.keys = None

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        if self.keys is None:
            self.keys = sorted(logs)
            if not any(key.startswith("val_") for key in self.keys):
                self.keys += [f"val_{key}" for key in self.keys]
        if self.writer is None:
            self.writer = csv.DictWriter(
                self.csv_file, fieldnames=["epoch", *self.keys], delimiter=self.sep
            )
            if self.append_header:
                self.writer.writeheader()
        row = {key: _cell(logs.get(key, "NA")) for key in self.keys}
        self.writer.writerow({"epoch": epoch, **row})
        self.csv_file.flush()
        os.fsync(self.csv_file.fileno())

    def on_train_end(self, logs=None):
        self._close()

    def _close(self):
        if self.csv_file is not None and not self.csv_file.closed:
            self.csv_file.close()
        self.writer = None


def _cell(value):
    listed = isinstance(value, Iterable) and not isinstance(value, str)
    if listed and getattr(value, "ndim", 1) != 0:
        return f'"[{", ".join(map(str, value))}]"'
    return value
