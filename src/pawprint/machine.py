"""What decides the floats of a training beside settings, data, code and versions: the processor.

`make repro` writes it to made_on.json, beside dvc.lock, when dvc.lock has become another; `make verify` reads it.
"""

import json
import platform
from pathlib import Path

import torch

CPUINFO = Path("/proc/cpuinfo")
VECTOR_INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "sve", "asimd")  # libraries choose kernels by them


def processor() -> dict[str, str]:
    """Its model, those of its vector instructions by which libraries choose their code, and torch's own choice."""
    known: dict[str, str] = {}
    if CPUINFO.is_file():
        for line in CPUINFO.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            known[name.strip().lower()] = value.strip()
    flags = f"{known.get('flags', '')} {known.get('features', '')}".split()  # x86 has flags, Arm features
    return {
        "model": known.get("model name") or platform.processor() or platform.machine(),
        "vectors": " ".join(name for name in VECTOR_INSTRUCTIONS if name in flags),
        "torch": torch.backends.cpu.get_cpu_capability(),  # ATEN_CPU_CAPABILITY sets it
    }


if __name__ == "__main__":
    print(json.dumps(processor(), indent=1))
