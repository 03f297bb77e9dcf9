"""Accuracy against the strength of a change to the pictures."""

from matplotlib.figure import Figure


def robustness_curve(strengths: list[float], accuracy: list[float], change: str, title: str) -> Figure:
    """One line: test accuracy (percent) at each strength of `change`, values written beside the points."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    percent = [100 * a for a in accuracy]
    axes.plot(strengths, percent, marker="o", color="#0072B2")
    for x, y in zip(strengths, percent, strict=True):
        axes.annotate(f"{y:.1f}", (x, y), textcoords="offset points", xytext=(0, 8), ha="center", fontsize=9)
    axes.set(xlabel=change, ylabel="test accuracy, %", ylim=(0, 105), title=title)
    axes.set_xticks(strengths)
    axes.grid(alpha=0.3)
    return figure
