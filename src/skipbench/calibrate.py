"""Turning a target ratio into a method's own knob, and measuring block influence.

Both look at the calibration split alone, run the engine that the run will use, and are cached in
`results_dir/calibration/` under a hash of everything that decides the outcome.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from skipbench.engine.decode import Decoding, Engine, Request
from skipbench.engine.load import Loaded
from skipbench.engine.similarity import Probe
from skipbench.policies.base import Knob, Policy, knob_of
from skipbench.policies.static import Influence, ShortGPT
from skipbench.provenance import sha256_of
from skipbench.records import BadInput, read_json, unpack_map, write_json

SAMPLES = 32  # calibration prompts that a ratio is measured on
BATCH = 16
NEAR = 0.004  # of the target: near enough to stop looking


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What calibrating needs: the model, the requests of the calibration split, where to cache."""

    loaded: Loaded
    requests: Sequence[Request]
    decoding: Decoding
    cache: Path
    data_sha256: str

    def cached(
        self, what: str, policy: Policy, make: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        """A result made once for each (model, data, method, decoding)."""
        key = sha256_of(
            [what, self.loaded.digest, self.data_sha256, type(policy).__name__, vars(policy)]
            + [vars(self.decoding), str(self.loaded.model.dtype), len(self.requests)]
        )[:16]
        path = self.cache / f"{key}.json"
        if path.exists():
            return read_json(path)
        made = make()
        self.cache.mkdir(parents=True, exist_ok=True)
        write_json(path, made)
        return made


def calibrated(policy: Policy, target: float | None, calibration: Calibration) -> Policy:
    """The policy with its measurements and, for a target, with its knob set.

    Raises BadInput where the method has no knob, or cannot come near the target.
    """
    if isinstance(policy, ShortGPT) and policy.influence is None:
        found = calibration.cached(
            "influence", replace(policy, blocks=0), lambda: {"influence": influence(calibration)}
        )
        policy = replace(policy, influence=found["influence"])
    if target is None:
        return policy
    knob = knob_of(policy, calibration.loaded.num_layers)
    if knob is None:
        raise BadInput(f"skip={target}: this method has no knob to reach a ratio; use skip=null")
    found = calibration.cached(
        f"skip={target}", policy, lambda: _search(policy, knob, target, calibration)
    )
    if abs(found["ratio"] - target) > max(0.2 * target, 1 / calibration.loaded.num_layers):
        ends = calibration.cached("reach", policy, lambda: _reach(policy, knob, calibration))
        bounds = f"; bounded by {policy.bounds}" if policy.bounds else ""
        raise BadInput(
            f"skip={target} cannot be reached: on the calibration split method.{knob.field} takes the "
            f"executed {knob.unit} ratio from {ends['least']:.3f} to {ends['most']:.3f}, the nearest "
            f"found is {found['ratio']:.3f}{bounds}"
        )
    return with_knob(policy, knob, found["value"])


def _reach(policy: Policy, knob: Knob, calibration: Calibration) -> dict[str, Any]:
    """The ratios at both ends of the knob."""
    ends = (with_knob(policy, knob, value) for value in (knob.values[0], knob.values[-1]))
    least, most = (executed_ratio(end, knob.unit, calibration) for end in ends)
    return {"least": least, "most": most}


def with_knob(policy: Policy, knob: Knob, value: float) -> Policy:
    """The policy with its knob at `value`; counts of blocks stay whole numbers."""
    counted = all(float(v).is_integer() for v in knob.values)
    return replace(policy, **{knob.field: int(value) if counted else float(value)})


def _search(policy: Policy, knob: Knob, target: float, calibration: Calibration) -> dict[str, Any]:
    """Bisection: the ratio grows along the knob's values. The nearest of the last two wins."""
    tried: dict[int, float] = {}

    def ratio_at(index: int) -> float:
        if index not in tried:
            chosen = with_knob(policy, knob, knob.values[index])
            tried[index] = executed_ratio(chosen, knob.unit, calibration)
        return tried[index]

    low, high = 0, len(knob.values) - 1
    runs = high.bit_length() + 2
    pause = 0.1 if sys.stderr.isatty() else 10.0
    bar = tqdm(
        total=runs * len(calibration.requests),
        desc=f"calibrating {knob.field}",
        unit="sample",
        leave=False,
        mininterval=pause,
    )
    with bar:
        while high - low > 1:
            middle = (low + high) // 2
            if abs(ratio_at(middle) - target) <= NEAR:
                low = high = middle
            elif ratio_at(middle) < target:
                low = middle
            else:
                high = middle
            bar.update(len(calibration.requests))
        best = min((high, low), key=lambda index: abs(ratio_at(index) - target))
    return {"value": knob.values[best], "ratio": tried[best], "runs": len(tried)}


def executed_ratio(policy: Policy, unit: str, calibration: Calibration) -> float:
    """Half-blocks, or whole blocks, that decode forwards did not call, as a share of all."""
    engine = Engine(calibration.loaded, policy)
    skipped = sites = 0
    for start in range(0, len(calibration.requests), BATCH):
        batch = calibration.requests[start : start + BATCH]
        for generation in engine.generate(batch, calibration.decoding):
            counts = generation.counts
            steps = int(counts["decode_forwards"]) * calibration.loaded.num_layers
            sites += steps
            if unit == "block":
                bits = unpack_map(generation.skip_map)
                skipped += sum(all(pair) for step in bits for pair in step)
                skipped -= int(counts["caught_up"])
            else:
                skipped += steps - int(counts[f"{unit}_run"])
    return skipped / sites if sites else 0.0


def influence(calibration: Calibration) -> list[float]:
    """Block influence 1 - E[cos(input, output)] over all tokens of prompts and dense replies."""
    probe = Probe(Influence, phase="both")
    engine = Engine(calibration.loaded, probe)
    for request in calibration.requests:
        engine.generate([request], calibration.decoding)
    sums = torch.tensor([state.sums for state in probe.states]).sum(0)
    return (1 - sums / sum(state.tokens for state in probe.states)).tolist()
