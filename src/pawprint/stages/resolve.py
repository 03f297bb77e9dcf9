"""resolve: params.yaml → params/<variant>.yaml, each variant's runs with every setting spelled out.

`train@<variant>` depends on its own file alone, so that a change re-trains just the variants it reaches. Beside that
plots/probe/probed.csv lists the variants that `probe` looks into: what depends on the folder finds it, if no more.
"""

import sys

from pawprint import atomic, paths
from pawprint.params import read_study, resolved_yaml, unusual
from pawprint.stages.entry import run_stage


def main() -> None:
    """Write all the files, or none and report all faults."""
    study, specs = read_study(paths.PARAMS)
    for warning in unusual(specs):
        print(f"warning: {warning}", file=sys.stderr)
    with atomic.whole_folder(paths.RESOLVED) as unfinished:
        for variant in study.variants:
            own = [spec for spec in specs if spec.variant == variant]
            atomic.write_text(unfinished / paths.resolved(variant).name, resolved_yaml(own))
    listed = "".join(f"{variant}\n" for variant in ("variant", *study.probed))
    atomic.write_text(paths.probe_figures("probed.csv"), listed)
    print(f"{len(study.variants)} variants, {len(specs)} trainings")


if __name__ == "__main__":
    run_stage(main)
