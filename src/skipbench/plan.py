"""What a run would do, before it starts and without a model: tokens, time, and the judge's cost."""

from pathlib import Path

from skipbench.job import Setup, Side
from skipbench.records import Sample, read_json

# For a first guess, before any cell of the model has run: bytes of weights a second, and seconds a
# block takes whatever its size. Rough on purpose; finished cells replace it.
_BYTES_PER_S = {"cpu": 8e9, "cuda": 1e12}
_BLOCK_S = {"cpu": 4e-4, "cuda": 1e-4}


def tell(setup: Setup, sides: list[Side]) -> None:
    """Print a line for each system of a run, and one for its judge if that costs anything."""
    for side in sides:
        samples, tokens = pending_tokens(setup, side)
        seconds, source = estimated_s(setup, tokens)
        print(
            f"{side.cell.identity['method_name']}: {samples} of {len(side.cell.samples)} samples "
            f"to do, at most {tokens} new tokens, roughly {seconds:.0f} s ({source}; loading, "
            f"calibration and what a slow method adds not counted), in {side.cell.directory}"
        )
    _tell_judge(setup, sides)


def pending_tokens(setup: Setup, side: Side) -> tuple[int, int]:
    """Samples that are left, and the most tokens that they can ask for, in all their turns."""
    pending = side.cell.pending()
    left = [sample for sample in side.cell.samples if sample.sample_id in pending]
    if setup.decoding.mode == "forced_length":
        return len(left), setup.decoding.forced_length * sum(len(s.turns) for s in left)
    first = [(len(s.turns), setup.task.prompt(s, [])) for s in left]
    return len(left), sum(turns * p.max_new_tokens for turns, p in first if p is not None)


def estimated_s(setup: Setup, tokens: int) -> tuple[float, str]:
    """Seconds for that many tokens: from finished cells of this model on this device, else from its
    size on disk. The most that is asked for; replies that end early take less."""
    speeds = []
    folder = setup.results_dir / "*" / setup.names[1] / "dense"
    for path in sorted(Path(folder.anchor).glob(str(folder.relative_to(folder.anchor) / "*"))):
        summary = path / "summary.json"
        if summary.exists():
            decides = read_json(path / "run.json")["decides"]
            same = decides["batch_size"] == setup.batch_size
            same &= decides["device"] == setup.model.device.split(":")[0]
            speed = read_json(summary)["speed"]["decode_tok_per_s"]
            if same and speed:
                speeds.append(speed)
    if speeds:
        return tokens / (sum(speeds) / len(speeds)), f"by {len(speeds)} finished dense cell(s)"
    kind = setup.model.device.split(":")[0]
    weights = list(Path(setup.model.path).glob("*.safetensors"))
    config = Path(setup.model.path) / "config.json"
    size = sum(path.stat().st_size for path in weights)
    blocks = read_json(config).get("num_hidden_layers", 32) if config.exists() else 32
    step = size / _BYTES_PER_S.get(kind, 8e9) + blocks * _BLOCK_S.get(kind, 4e-4)
    return tokens * step / setup.batch_size, "a rough guess; no cell of this model has run here"


def judge_estimate(setup: Setup, side: Side) -> tuple[int, float]:
    """Most calls and highest cost in USD, the ladder's too, as if all replies were of full length."""
    estimate = getattr(setup.judge, "estimate_usd", None)
    if estimate is None or setup.judge is None:
        return 0, 0.0
    from skipbench.judges.grading import questions
    from skipbench.judges.ladder import all_asked

    mode, rubric, samples = setup.judge_mode, setup.judge_rubric, side.cell.samples
    filler = {s.sample_id: ["word " * _longest(setup, s)] * len(s.turns) for s in samples}
    asked = list(questions(mode, samples, filler, filler if _has_twin(setup, side) else {}, rubric))
    if asked and setup.judge_ladder:
        asked += all_asked(mode, samples, rubric)
    requests = setup.judge.requests(asked)  # type: ignore[attr-defined]
    return len(requests), estimate(requests)


def _longest(setup: Setup, sample: Sample) -> int:
    """The most tokens of a reply."""
    if setup.decoding.mode == "forced_length":
        return setup.decoding.forced_length
    prompt = setup.task.prompt(sample, [])
    return prompt.max_new_tokens if prompt is not None else 0


def _has_twin(setup: Setup, side: Side) -> bool:
    """Whether a side is compared with dense: a method, or dense in batches of another size."""
    dense = side.cell.identity["method_name"] == "dense"
    return not dense or side.batch_size != setup.batch_size


def _tell_judge(setup: Setup, sides: list[Side]) -> None:
    for side in sides:
        calls, cost = judge_estimate(setup, side)
        if calls:
            print(
                f"{side.cell.identity['method_name']}: at most {calls} judge calls, at most "
                f"{cost:.2f} USD"
            )
