# SPDX-License-Identifier: Apache-2.0
"""What a benchmark yields: rows of samples, ratios between them, and a verdict against a goal."""
from dataclasses import dataclass, field
from typing import Optional


@dataclass
class Row:
    """All samples of one thing measured, in the unit of its figure."""

    label: str
    values: list
    failures: int = 0

    def __post_init__(self):
        self.values = sorted(self.values)

    def quantile(self, share: float) -> float:
        return self.values[min(int(len(self.values) * share), len(self.values) - 1)]

    @property
    def median(self) -> float:
        return self.quantile(0.5)

    def as_dict(self) -> dict:
        row = {"label": self.label, "count": len(self.values), "failures": self.failures}
        if self.values:
            row.update(min=self.values[0], median=self.median, p99=self.quantile(0.99),
                       max=self.values[-1])
        return row


@dataclass
class Goal:
    """A ratio of two medians of the same run, and the bound that it has to keep."""

    what: str
    row: str
    reference: str
    bound: float
    at_least: bool = False  # a rate, where more is better


@dataclass
class Result:
    name: str
    unit: str
    how: str
    rows: list = field(default_factory=list)
    goals: list = field(default_factory=list)
    notes: list = field(default_factory=list)

    def row(self, label: str) -> Optional[Row]:
        return next((row for row in self.rows if row.label == label), None)

    def judge(self) -> list:
        """Each goal with its ratio and a verdict: pass, fail, or not measured."""
        return [self.judge_goal(goal) for goal in self.goals]

    def judge_goal(self, goal: Goal) -> dict:
        row, reference = self.row(goal.row), self.row(goal.reference)
        verdict = {"goal": goal.what, "row": goal.row, "reference": goal.reference,
                   "bound": goal.bound, "at_least": goal.at_least, "verdict": "not measured"}
        if row and row.failures:
            verdict["verdict"] = "fail"
        elif row and reference and row.values and reference.values:
            ratio = row.median / reference.median
            kept = ratio >= goal.bound if goal.at_least else ratio <= goal.bound
            verdict.update(ratio=ratio, verdict="pass" if kept else "fail")
        return verdict

    def as_dict(self) -> dict:
        return {"name": self.name, "unit": self.unit, "how": self.how,
                "rows": [row.as_dict() for row in self.rows], "goals": self.judge(),
                "notes": self.notes}

    def print(self) -> None:
        print(f"\n{self.name}: {self.how}")
        width = max([len(row.label) for row in self.rows] + [len(self.unit)])
        print(f"  {self.unit:{width}} {'min':>10} {'median':>10} {'p99':>10} {'max':>10} {'n':>5}")
        for row in self.rows:
            failed = f"  {row.failures} FAILED" if row.failures else ""
            if row.values:
                numbers = (row.values[0], row.median, row.quantile(0.99), row.values[-1])
                cells = " ".join(f"{number:>10.{3 if number < 10 else 1}f}" for number in numbers)
                print(f"  {row.label:{width}} {cells} {len(row.values):>5}{failed}")
            else:
                print(f"  {row.label:{width}} {'-':>10}{failed}")
        for verdict in self.judge():
            ratio = f"{verdict['ratio']:.2f}x" if "ratio" in verdict else "-"
            print(f"  goal: {verdict['goal']}: {ratio}, {verdict['verdict'].upper()}")
        for note in self.notes:
            print(f"  note: {note}")
