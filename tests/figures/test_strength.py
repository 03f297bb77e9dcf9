"""Accuracy against strength: a line for each run, bars over its seeds' intervals."""

import pandas as pd
import pytest

from pawprint.figures.strength import strength_figure


def table() -> pd.DataFrame:
    rows = [(variant, run, seed, strength, 0.5 + 0.1 * seed, 0.4 + 0.1 * seed, 0.6 + 0.1 * seed)
            for variant, run in (("baseline", "baseline"), ("several", "first"))
            for seed in (0, 1) for strength in (0.2, 0.6, 1.0)]  # fmt: skip
    columns = ["variant", "run", "seed", "strength", "test_accuracy", "test_accuracy_low", "test_accuracy_high"]
    return pd.DataFrame(rows, columns=columns)


@pytest.mark.parametrize(("probe", "unit"), [("brightness", "factor of all pixels"), ("rotation", "degrees")])
def test_each_run_has_its_line_of_means_and_bars_as_far_as_its_seeds_go(probe: str, unit: str) -> None:
    (axes,) = strength_figure(table(), probe).axes
    lines = {container.get_label(): container for container in axes.containers}
    assert list(lines) == ["baseline", "several/first"]
    for container in lines.values():
        line, _, (bars,) = container.lines
        assert line.get_ydata() == pytest.approx([55.0] * 3)
        assert bars.get_segments()[0][:, 1] == pytest.approx([40.0, 70.0])
    assert unit in axes.get_xlabel()
    styles = {line.lines[0].get_linestyle() + line.lines[0].get_marker() for line in lines.values()}
    assert len(styles) == 2  # told apart in black and white
