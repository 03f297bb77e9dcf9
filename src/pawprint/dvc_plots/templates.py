"""The charts of `dvc plots`, as Vega-Lite specifications that DVC fills with the rows of a CSV.

Color and shape are the run, so that a print without colors still tells runs apart; the dashes of a line are the
revision, so that `dvc plots diff` lays revisions over each other. What a chart asks, and the unit of its loss, stand in
its first row.
"""

from __future__ import annotations

from typing import Any

from pawprint.figures.style import COLORS

Spec = dict[str, Any]

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
DATA, TITLE = "<DVC_METRIC_DATA>", "<DVC_METRIC_TITLE>"  # filled by DVC
X, X_LABEL = "<DVC_METRIC_X>", "<DVC_METRIC_X_LABEL>"
TABLE = "rows"
ASKED, UNIT = f"data('{TABLE}')[0].question", f"data('{TABLE}')[0].loss"

WIDTH, HEIGHT = 270, 180  # pixels of a panel
N_COLUMNS = 3
BAR_STEP, CELL_STEP = 22, 12  # pixels from bar to bar, from class to class
N_MARKED = 6  # points of a line that carry the run's shape
BAND, RAW, UNPICKED = 0.16, 0.25, 0.05  # opacities
GREY = "#555"
DASHES = [[1, 0], [6, 3], [2, 2], [9, 2, 2, 2], [4, 2]]
SHAPES = [
    *("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left"),
    *("M-1,-1L1,1M-1,1L1,-1", "M0,-1L0,1M-1,0L1,0", "M-1,-1L1,-1L-1,1L1,1Z", "M-1,-1L-1,1L1,-1L1,1Z"),
    *("M-1,0L-.5,-.9L.5,-.9L1,0L.5,.9L-.5,.9Z", "M-1,.3L1,.3L1,-.3L-1,-.3Z"),
]

BY_EXAMPLES, BY_STEP = "examples seen", "optimizer steps"
NORMS = {"Gradient norm, total": "gradient_norm_total", "Gradient norm, mean": "gradient_norm_mean"}
SCORES = {"accuracy": "val_accuracy", "balanced accuracy": "val_balanced_accuracy", "macro-F1": "val_macro_f1"}
RATE, PLAIN, PERCENT, THOUSANDS = ".2~e", "~g", ".0%", "~s"  # formats of d3
NUMBERS = (  # columns that are none are text, as DVC hands on all
    *("step", "examples_seen", "learning_rate", "training_loss", "training_loss_smoothed", "val_loss"),
    *(f"{norm}{end}" for norm in NORMS.values() for end in ("", "_smoothed")),
    *SCORES.values(),
    *("test_accuracy", "test_accuracy_low", "test_accuracy_high", "noise", "against_accuracy"),
    *("lr", "val_error", "loss", "smoothed", "share", "factor", "degrees"),
)
NOISE = "a stroke where the run it is held against is, whiskers as far as luck may move the change."
LABEL = {  # as `pawprint.labels.label` has it
    "calculate": "isValid(datum.label) ? datum.label : datum.variant"
    " + (datum.run === datum.variant ? '' : '/' + datum.run)"
    " + (datum.pretrained_on ? ' (' + datum.pretrained_on + ')' : '')",
    "as": "label",
}
CONFIG = {
    "font": "system-ui, sans-serif",
    "axis": {"labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal", "gridColor": "#e8e8e8"},
    "title": {"anchor": "start", "fontSize": 12, "subtitleFontSize": 12, "subtitleColor": GREY},
    "header": {"labelFontSize": 12, "labelFontWeight": "bold", "labelAnchor": "start", "title": None},
    "legend": {"labelLimit": 400, "labelFontSize": 12, "symbolSize": 90, "symbolStrokeWidth": 2},
    "view": {"stroke": "#ddd"},
}


def templates() -> dict[str, Spec]:
    """Name → specification, as `template:` of dvc.yaml names it."""
    return {
        "question": question(),
        "rates": rates(),
        "scores": scores(),
        "strength": strength(),
        "confusion": confusion(),
        "range_test": range_test(),
    }


def question() -> Spec:
    """How the runs of one question were trained, over examples or steps, and what came of it."""
    panels = [
        _panel("Learning rate", "learning_rate", log=RATE),
        _panel({"expr": f"'Training loss, smoothed: ' + {UNIT}"}, "training_loss_smoothed", PLAIN, "training_loss"),
        _panel("Validation loss: cross-entropy (nats)", "val_loss", PLAIN),
        _panel({"expr": "'Validation ' + score"}, "val_score"),
        *(_panel(f"{name}, smoothed (L2)", f"{norm}_smoothed", PLAIN, norm) for name, norm in NORMS.items()),
        {"title": "Test accuracy", **_bars(WIDTH)},
    ]
    panels[0]["layer"][0]["params"] = [_picked()]
    chosen = " : ".join(f"score === '{name}' ? datum.{field}" for name, field in SCORES.items())
    subtitle = [
        "Bold: mean over the seeds (smoothed: averaged over about 20 steps). Band: from the lowest seed to the highest."
        " Faint: single steps.",
        f"Test accuracy: mean, each seed (points), {NOISE}",
    ]
    return {
        **_beginning({"expr": ASKED}, *subtitle),
        "params": [_radio("axis", [BY_EXAMPLES, BY_STEP], "x axis: "), _radio("score", list(SCORES), "validation: ")],
        "transform": [
            LABEL,
            {"calculate": f"axis === '{BY_EXAMPLES}' ? datum.examples_seen : datum.step", "as": "x"},
            {"calculate": f"{chosen} : null", "as": "val_score"},
        ],
        "columns": N_COLUMNS,
        "concat": panels,
        "resolve": {"scale": {"color": "shared", "shape": "shared", "strokeDash": "shared"}},
    }


def rates() -> Spec:
    """Val's error against the learning rate, a line for what else is equal."""
    return {
        **_beginning({"expr": ASKED}, "Runs on a line differ in the rate alone."),
        "transform": [LABEL, _positive("val_error")],
        "params": [_picked()],
        "width": 2 * WIDTH,
        "height": 2 * HEIGHT,
        "mark": _line(point={"size": 60, "filled": True}),
        "encoding": {
            "x": _number("lr", "learning rate", RATE, log=True),
            "y": _number("val_error", "validation error", PERCENT, log=True),
            **_run(),
            "strokeDash": _revision(),
        },
    }


def scores() -> Spec:
    """All runs' accuracies on test."""
    bars = _bars(2 * WIDTH)
    bars["layer"][0]["params"] = [{name: value for name, value in _picked().items() if name != "bind"}]  # by the bars
    bars["layer"][-1]["encoding"]["shape"]["legend"] = None  # the axis names the runs
    return {**_beginning(TITLE, f"Mean over the seeds, each seed (points), {NOISE}"), "transform": [LABEL], **bars}


def strength() -> Spec:
    """Accuracy on test against how strongly its pictures were changed."""
    ends = {"mean": "test_accuracy", "low": "test_accuracy_low", "high": "test_accuracy_high"}
    over_seeds = [{"op": "mean", "field": field, "as": name} for name, field in ends.items()]
    x = _number(X, X_LABEL)
    y = _number("mean", "test accuracy", PERCENT) | {"scale": {"domainMin": 0}}
    band = {"x": x, "y": y | {"field": "low"}, "y2": {"field": "high"}, "detail": {"field": "rev"}}
    line = {"x": x, "y": y, "strokeDash": _revision()}
    return {
        **_beginning(TITLE, "Mean over the seeds; band: the mean of their 95 % intervals."),
        "transform": [LABEL, {"aggregate": over_seeds, "groupby": ["label", "rev", X]}],
        "width": 2 * WIDTH,
        "height": 1.5 * HEIGHT,
        "layer": [
            {
                "params": [_picked()],
                "mark": _line(point={"size": 60, "filled": True}),
                "encoding": line | _run(),
            },
            {"mark": "area", "encoding": band | {"color": _color(), "opacity": _opacity(BAND)}},
        ],
    }


def confusion() -> Spec:
    """What the pictures of each class were taken for, as a share of them, over all seeds."""
    panel = "datum.label + (datum.rev === 'workspace' ? '' : ', ' + datum.rev)"
    percent = {"field": "share", "type": "quantitative", "format": ".1%"}
    return {
        **_beginning(TITLE, "A row: the pictures of one class, and what they were taken for, over all seeds."),
        "transform": [LABEL, {"calculate": panel, "as": "panel"}],
        "columns": 2,
        "facet": {"field": "panel", "type": "nominal", "sort": None},
        "spec": {
            "width": {"step": CELL_STEP},
            "height": {"step": CELL_STEP},
            "mark": "rect",
            "encoding": {
                "x": {"field": "predicted", "type": "nominal", "title": "taken for", "axis": {"labelAngle": -90}},
                "y": {"field": "actual", "type": "nominal", "title": "is"},
                "color": {
                    **_number("share", None, None),
                    "scale": {"scheme": "greys", "domain": [0, 1]},
                    "legend": {"format": PERCENT, "title": "share of the class"},
                },
                "tooltip": [{"field": "actual", "title": "is"}, {"field": "predicted", "title": "taken for"}, percent],
            },
        },
    }


def range_test() -> Spec:
    """A batch's loss while the rate rises, and where the runs' rates lie."""
    x = _number("lr", "learning rate", RATE, log=True)
    y = _number("smoothed", "training loss", PLAIN, log=True)
    configured = {"filter": "datum.verdict"}
    verdicts = {"sensible": COLORS[4], "too small": COLORS[3], "too large": COLORS[3], "no verdict": GREY}
    verdict = {
        **{"field": "verdict", "type": "nominal", "title": "configured rate is"},
        "scale": {"domain": list(verdicts), "range": list(verdicts.values())},
    }
    name = {"type": "text", "angle": 270, "align": "right", "baseline": "bottom", "dx": -4, "y": 0}
    return {
        **_beginning(TITLE, "Faint: each batch; bold: smoothed. Upright: the rates that runs are set to."),
        "facet": {"row": {"field": "subject", "type": "nominal", "sort": None, "header": {"labelOrient": "top"}}},
        "spec": {
            "width": 2 * WIDTH,
            "height": HEIGHT,
            "layer": [
                {
                    "transform": [_positive("loss")],
                    "mark": {"type": "line", "opacity": RAW, "strokeWidth": 1},
                    "encoding": {"x": x, "y": y | {"field": "loss"}, "detail": {"field": "rev"}},
                },
                {
                    "transform": [_positive("smoothed")],
                    "mark": _line(),
                    "encoding": {"x": x, "y": y, "strokeDash": _revision()},
                },
                {"transform": [configured], "mark": "rule", "encoding": {"x": x, "color": verdict}},
                {
                    "transform": [configured],
                    "mark": name,
                    "encoding": {"x": x, "color": verdict, "text": {"field": "label"}},
                },
            ],
        },
    }


def _beginning(title: str | Spec, *subtitle: str) -> Spec:
    return {
        "$schema": SCHEMA,
        "config": CONFIG,
        "data": {"name": TABLE, "values": DATA, "format": {"type": "json", "parse": dict.fromkeys(NUMBERS, "number")}},
        "title": {"text": title, "subtitle": list(subtitle), "fontSize": 15, "subtitlePadding": 4, "offset": 14},
    }


def _panel(title: str | Spec, field: str, log: str | None = None, raw: str | None = None) -> Spec:
    """Over `x` the seeds' mean and band of `field`, and faintly each seed's `raw`.

    `log`: the format of a logarithmic axis; without it `field` is a share.
    """
    over_seeds = [
        _positive(field) if log else {"filter": f"isValid(datum.{field})"},
        {
            "aggregate": [{"op": op, "field": field, "as": op} for op in ("mean", "min", "max")],
            "groupby": ["label", "rev", "x"],
        },
    ]
    marked = [
        {"window": [{"op": "row_number", "as": "number"}], "groupby": ["label", "rev"], "sort": [{"field": "x"}]},
        {"joinaggregate": [{"op": "count", "as": "n_points"}], "groupby": ["label", "rev"]},
        {"filter": f"(datum.number - 1) % ceil(datum.n_points / {N_MARKED}) === 0"},
    ]
    x = _number("x", None, THOUSANDS)
    y = _number("mean", None, log or PERCENT, log=log is not None)
    band = {"y": y | {"field": "min"}, "y2": {"field": "max"}, "detail": {"field": "rev"}, "opacity": _opacity(BAND)}
    layers: list[Spec] = [
        {"transform": over_seeds, "mark": _line(), "encoding": {"y": y, "strokeDash": _revision()}},
        {"transform": over_seeds, "mark": {"type": "area", "clip": True}, "encoding": band},
        {
            "transform": over_seeds + marked,
            "mark": {"type": "point", "filled": True, "size": 45},
            "encoding": {"y": y, "shape": _shape(), "tooltip": _tooltip()},
        },
    ]
    if raw:
        steps = {"y": y | {"field": raw}, "detail": [{"field": "seed"}, {"field": "rev"}], "opacity": _opacity(RAW)}
        mark = {"type": "line", "strokeWidth": 0.7, "clip": True}
        layers.append({"transform": [_positive(raw)], "mark": mark, "encoding": steps})
    for layer in layers:
        layer["encoding"] = {"x": x, "color": _color(), "opacity": _opacity(), **layer["encoding"]}
    # The title of an axis can be no expression; a text can.
    mark = {"type": "text", "text": {"expr": "axis"}, "x": WIDTH / 2, "y": HEIGHT + 28, "fontSize": 11}
    layers.append({"data": {"values": [{}]}, "mark": mark})
    return {"title": {"text": title}, "width": WIDTH, "height": HEIGHT, "layer": layers}


def _bars(width: int) -> Spec:
    """Each run's mean, its seeds, the noise of its change, and where what it is held against is."""
    of_runs, of_seeds = ({"filter": f"datum.kind === '{kind}'"} for kind in ("run", "seed"))
    held = {"filter": "isValid(datum.noise)"}
    ends = [
        {"calculate": "max(0, datum.test_accuracy - datum.noise)", "as": "low"},
        {"calculate": "min(1, datum.test_accuracy + datum.noise)", "as": "high"},
    ]
    x = _number("test_accuracy", None, PERCENT)
    layers: list[Spec] = [
        {
            "transform": [of_runs],
            "mark": {"type": "bar", "fillOpacity": 0.3},
            "encoding": {"x": x, "color": _color()},
        },
        {
            "transform": [of_runs],
            "mark": {"type": "bar", "filled": False, "strokeWidth": 1.2},
            "encoding": {"x": x, "color": _color(), "strokeDash": _revision()},
        },
        {
            "transform": [of_runs, held, *ends],
            "mark": {"type": "rule", "strokeWidth": 1.3},
            "encoding": {"x": x | {"field": "low"}, "x2": {"field": "high"}},
        },
        {
            "transform": [of_runs, held],
            "mark": {"type": "tick", "thickness": 2.5, "bandSize": 16, "color": "black"},
            "encoding": {"x": x | {"field": "against_accuracy"}},
        },
        {
            "transform": [of_seeds],
            "mark": {"type": "point", "filled": True, "size": 30, "stroke": "white"},
            "encoding": {"x": x, "color": _color(), "shape": _shape()},
        },
    ]
    place = {
        "y": {"field": "label", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 220}},
        "yOffset": {"field": "rev", "type": "nominal", "sort": None},
    }
    for layer in layers:
        layer["encoding"] |= {**place, "opacity": _opacity()}
    return {"width": width, "height": {"step": BAR_STEP, "for": "offset"}, "layer": layers}


def _number(field: str, title: str | None, format_: str | None = None, log: bool = False) -> Spec:
    apart = {"labelOverlap": "greedy", "labelSeparation": 6}  # else 30% and 35% read as one
    axis = {"axis": {"format": format_, "tickCount": 6, **apart}} if format_ else {}
    scale = {"scale": {"type": "log", "nice": False}} if log else {}
    return {"field": field, "type": "quantitative", "title": title, **axis, **scale}


def _positive(field: str) -> Spec:
    return {"filter": f"isValid(datum.{field}) && datum.{field} > 0"}


def _line(**more: Any) -> Spec:
    return {"type": "line", "strokeWidth": 1.8, "clip": True, **more}


def _run() -> Spec:
    return {"color": _color(), "shape": _shape(), "opacity": _opacity()}


def _color() -> Spec:
    return {"field": "label", "type": "nominal", "sort": None, "scale": {"range": list(COLORS)}, "legend": None}


def _shape() -> Spec:
    """Its legend stands for the color's, too."""
    color = {"expr": "scale('color', datum.value)"}
    legend = {"symbolFillColor": color, "symbolStrokeColor": color, "title": "run (click to pick)"}
    return {"field": "label", "type": "nominal", "sort": None, "scale": {"range": SHAPES}, "legend": legend}


def _revision() -> Spec:
    legend = {"symbolFillColor": "transparent", "symbolStrokeColor": GREY, "title": "revision"}
    return {"field": "rev", "type": "nominal", "sort": None, "scale": {"range": DASHES}, "legend": legend}


def _picked() -> Spec:
    return {"name": "picked", "select": {"type": "point", "fields": ["label"]}, "bind": "legend"}


def _opacity(value: float = 1.0) -> Spec:
    return {"condition": {"param": "picked", "value": value}, "value": value * UNPICKED}


def _radio(name: str, options: list[str], before: str) -> Spec:
    return {"name": name, "value": options[0], "bind": {"input": "radio", "options": options, "name": before}}


def _tooltip() -> list[Spec]:
    numbers = [{"field": name, "type": "quantitative", "format": ".4~g"} for name in ("x", "mean", "min", "max")]
    return [{"field": "label", "title": "run"}, {"field": "rev", "title": "revision"}, *numbers]
