"""A model card (Mitchell et al., arXiv 1810.03993) of a variant that is handed on, from the numbers of the report.

The card is of the variant's first run and seed, the checkpoint that `pawprint predict` takes; what the other seeds and
the baseline came to stands beside it. Its metadata is Hugging Face's, so that a hub shows it.
"""

from __future__ import annotations

from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from pawprint import paths
from pawprint.labels import effective
from pawprint.report.evidence import Evidence
from pawprint.report.readings.convergence import converged, sentence
from pawprint.types import RunSpec

TEMPLATE = paths.PACKAGE / "report" / "card.md.jinja"


def model_card(evidence: Evidence, variant: str, provenance: dict[str, str]) -> str:
    """The card as Markdown with YAML metadata before it."""
    of_variant = (spec for spec in evidence.specs if spec.variant == variant)
    spec = min(of_variant, key=lambda spec: (spec.run, spec.seed))  # as `find_model` takes it
    row = next(row for row in evidence.rows if (row.variant, row.run) == (variant, spec.run))
    record = evidence.records[variant, spec.key]
    unlabelled = evidence.pictures.unlabelled if spec.learns_unlabelled else None
    content: dict[str, Any] = {
        "name": spec.name,
        "spec": spec,
        "row": row,
        "record": record,
        "settings": {**effective(spec), "seed": spec.seed},
        "n_train": len(evidence.pictures.train),
        "n_unlabelled": len(unlabelled) if unlabelled else 0,
        "classes": evidence.data.class_names,
        "source": evidence.study.data.source,
        "converged": sentence(
            row.label, converged(row, evidence.of_run(row, evidence.steps), evidence.of_run(row, evidence.epochs))
        ),
        "tested": _tested(evidence, spec),
        "checked": [
            (subject, name, f) for subject, of in evidence.checks.items() for name, f in of.items() if f.passed is False
        ],
        "weights": paths.train_outputs(variant).models / spec.key / "weights.safetensors",
        "exported": paths.exported(variant),
        "provenance": provenance,
    }
    card = ModelCard.from_template(_metadata(evidence, spec, record), template_path=str(TEMPLATE), **content)
    return str(card).rstrip() + "\n"


def _tested(evidence: Evidence, spec: RunSpec) -> dict[str, Any]:
    """Probe → finding of this checkpoint; empty where the variant is not probed."""
    of_variant = evidence.probes.get(spec.variant, {})
    return {name: found[spec.key] for name, found in of_variant.items() if spec.key in found}


def _metadata(evidence: Evidence, spec: RunSpec, record: dict[str, Any]) -> ModelCardData:
    scores = [
        EvalResult(
            task_type="image-classification", dataset_type=evidence.study.data.source, metric_type=name,
            dataset_name=f"{evidence.study.data.source}, test", metric_value=round(record["test"][score], 4),
        )
        for name, score in (("accuracy", "accuracy"), ("f1", "macro_f1"))
    ]  # fmt: skip
    return ModelCardData(
        model_name=spec.name, library_name="pytorch", pipeline_tag="image-classification",
        tags=[spec.model, "pawprint"], eval_results=scores,
    )  # fmt: skip
