"""What many trainings of the pets study would cost, computed from a rate that was measured.

    python -m benchmarks.cost --rate PICTURES_PER_SECOND [--devices N] [--price PER_DEVICE_HOUR]

A training sees `epochs` x `pictures` pictures of train and looks at val after each epoch, which is a forward pass and
counts as a third of a step (a backward pass costs about twice a forward pass). Trainings are independent of each other:
devices are filled with them one by one, as `fan-out` does, so that n devices take as many rounds as trainings / n,
rounded up. What starts, probes and compares is not in it.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass

FORWARD = 1 / 3  # of a step
HOUR = 3600


@dataclass(frozen=True)
class Study:
    """The whole pets study, as the assignment and the official split have it."""

    variants: int = 100
    seeds: int = 5
    pictures: int = 3_680
    val_pictures: int = 740
    epochs: int = 30

    @property
    def trainings(self) -> int:
        return self.variants * self.seeds

    @property
    def steps_worth(self) -> float:
        """Pictures of a training, those of val as the part of a step that they are."""
        return self.epochs * (self.pictures + FORWARD * self.val_pictures)


def device_hours(study: Study, per_second: float) -> float:
    """Of all trainings together."""
    return study.trainings * study.steps_worth / per_second / HOUR


def hours(study: Study, per_second: float, n_devices: int) -> float:
    """From the first training to the last, on so many devices at that rate each."""
    rounds = math.ceil(study.trainings / n_devices)
    return rounds * study.steps_worth / per_second / HOUR


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost", description=__doc__.split("\n")[0])
    parser.add_argument("--rate", type=float, required=True, help="pictures a second that a device trains on")
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 8, 100])
    parser.add_argument("--price", type=float, help="of a device's hour")
    for name, value in vars(Study()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value)
    options = parser.parse_args(arguments)
    if options.rate <= 0 or min(options.devices) < 1:
        parser.error("expected a rate above 0, and 1 device or more")
    study = Study(*(getattr(options, name) for name in vars(Study())))
    print(table(study, options.rate, options.devices, options.price))


def table(study: Study, per_second: float, devices: Sequence[int], price: float | None = None) -> str:
    """As Markdown."""
    total = device_hours(study, per_second)
    cost = "" if price is None else f", {price * total:,.0f} at {price:g} an hour"
    return "\n".join(
        [
            f"{study.variants} variants x {study.seeds} seeds, {study.pictures:,} pictures, {study.epochs} epochs, at"
            f" {per_second:g} pictures/s a device: {total:,.1f} device hours{cost}.",
            "",
            "| devices | hours |",
            "| --: | --: |",
            *(f"| {n} | {hours(study, per_second, n):,.1f} |" for n in devices),
            "",
        ]
    )


if __name__ == "__main__":
    main()
