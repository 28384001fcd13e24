"""Keeps the figures of a run, for the tables and plots that `plots.py` makes of them.

A file of figures/ has the rows of one run, each number as text with the digits that are shown.
"""

import csv
import pathlib

FOLDER = pathlib.Path(__file__).parent / "figures"


class Record:
    """The rows of one run."""

    def __init__(self, name, *columns):
        self.name, self.columns, self.rows = name, columns, []

    def add(self, *values):
        assert len(values) == len(self.columns), (self.columns, values)
        self.rows.append([str(value) for value in values])

    def write(self):
        """Takes the place of the run that was recorded before."""
        with (FOLDER / f"{self.name}.csv").open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([self.columns, *self.rows])


def read(name):
    """The rows of the recorded run, each by the names of its columns."""
    with (FOLDER / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))
