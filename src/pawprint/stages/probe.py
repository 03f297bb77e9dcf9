"""probe@<variant>: model tests on what came out of a variant's trainings."""

from typing import Any

from pawprint import atomic, extensions, paths, probes
from pawprint.data.prepared import load
from pawprint.figures.style import save
from pawprint.models import build_model
from pawprint.params import read_study, read_variant
from pawprint.probes import ProbeSubject
from pawprint.seeding import preserve_rng, seed_run
from pawprint.stages.entry import run_stage
from pawprint.training.checkpoint import load_weights


def main(variant: str) -> None:
    """Write each probe's findings on each checkpoint, and their figures."""
    study, _ = read_study(paths.PARAMS)
    found = extensions.find(probes, study.probes)
    specs = read_variant(variant)
    data = load(paths.PREPARED)
    findings: dict[str, dict[str, Any]] = {name: {} for name in found}
    for spec in specs:
        seed_run(spec.seed, spec.threads)
        weights = paths.train_outputs(variant).models / spec.key / "weights.safetensors"
        subject = ProbeSubject(spec.name, data, load_weights(weights, build_model(spec, data)))
        for name, test in found.items():
            with preserve_rng():
                finding = test.run(subject)
            findings[name][spec.key] = finding.as_json()
            print(f"{name} ({spec.name}): {finding.reading}")
            if finding.figure is not None:
                save(finding.figure, paths.probe_figures(variant) / f"{spec.key}-{name}.png")
    atomic.write_json(paths.probe_metrics(variant), findings)


if __name__ == "__main__":
    run_stage(main)
