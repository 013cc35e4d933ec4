"""Samples of a batch -> prompts -> the engine -> records; and what is measured right after."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from skipbench import provenance
from skipbench.job import Setup, Side
from skipbench.policies.base import Policy
from skipbench.records import Record, Sample, append_lines, read_lines, repair, write_json

if TYPE_CHECKING:
    from skipbench.engine.decode import Engine, Generation, Request
    from skipbench.engine.load import Loaded, ModelSpec

    Ready = Callable[[Setup, Side, Loaded], Engine]


@lru_cache(maxsize=1)
def load_model(spec: "ModelSpec") -> "Loaded":
    from skipbench.engine.load import load

    return load(spec)


def request_for(
    loaded: "Loaded", setup: Setup, sample: Sample, turn: int, replies: list[str]
) -> "Request | None":
    from skipbench.engine.decode import Request
    from skipbench.engine.load import chat_ids

    prompt = setup.task.prompt(sample, replies)
    if prompt is None:
        return None
    if prompt.messages is not None:
        ids = chat_ids(loaded, prompt.messages)
    else:
        ids = loaded.tokenizer(prompt.text)["input_ids"]
    limit = prompt.max_new_tokens
    if prompt.length_ratio is not None:
        limit = max(1, int(prompt.length_ratio * len(ids)))
    return Request(
        sample_id=sample.sample_id,
        turn=turn,
        prompt_ids=tuple(ids),
        max_new_tokens=limit,
        temperature=prompt.temperature,
    )


def prepared(setup: Setup, policy: Policy, skip: float | None, loaded: "Loaded") -> Policy:
    """The policy, with what it needs measured on the calibration split and its knob set for `skip`.

    Raises BadInput where it does not fit the model, or the ratio cannot be reached.
    """
    from skipbench.calibrate import SAMPLES, Calibration, calibrated

    policy.check(loaded.num_layers)
    if not getattr(policy, "needs_influence", False) and skip is None:
        return policy
    split = setup.task.samples("calibration")[:SAMPLES]
    asked = [request_for(loaded, setup, sample, 0, []) for sample in split]
    calibration = Calibration(
        loaded=loaded,
        requests=[request for request in asked if request is not None],
        decoding=setup.decoding,
        cache=setup.results_dir / "calibration",
        data_sha256=provenance.data_digest(split),
    )
    return calibrated(policy, skip, calibration)


def records_of(
    setup: Setup, side: Side, chunk: Sequence[Sample], stamp: dict[str, Any]
) -> list[Record]:
    """Records of one batch. If it fails, its samples are tried alone, and only the bad ones fail."""
    try:
        return _converse(setup, side, chunk, stamp)
    except Exception as error:
        if len(chunk) > 1:
            alone = [records_of(setup, side, [sample], stamp) for sample in chunk]
            return [record for records in alone for record in records]
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return [_failed(chunk[0], reason)]


def _failed(sample: Sample, reason: str) -> Record:
    return Record(
        sample_id=sample.sample_id,
        prompt_sha256=[],
        replies=[],
        token_ids=[],
        finish_reasons=[],
        times=[],
        counts=[],
        skip_map=[],
        error=reason,
    )


def _converse(
    setup: Setup, side: Side, chunk: Sequence[Sample], stamp: dict[str, Any]
) -> list[Record]:
    """All turns of a batch of samples; each sample sees its own earlier replies."""
    assert side.engine is not None
    loaded = side.engine.loaded
    replies: dict[str, list[str]] = {sample.sample_id: [] for sample in chunk}
    made: dict[str, list[tuple[Request, Generation]]] = {s.sample_id: [] for s in chunk}
    turn = 0
    while True:
        asked = [request_for(loaded, setup, s, turn, replies[s.sample_id]) for s in chunk]
        requests = [request for request in asked if request is not None]
        if not requests:
            break
        generations = side.engine.generate(requests, setup.decoding, setup.timeout_s)
        for request, generation in zip(requests, generations, strict=True):
            made[request.sample_id].append((request, generation))
            ids = generation.token_ids
            # a forced length goes on behind the end; what is scored is the reply up to there
            end = next((i for i, token in enumerate(ids) if token in loaded.eos_ids), len(ids))
            generation.counts["reply_tokens"] = min(end + 1, len(ids))
            text = loaded.tokenizer.decode(list(ids[:end]), skip_special_tokens=True)
            replies[request.sample_id].append(text.strip())
        turn += 1
    return [
        Record(
            sample_id=sample,
            prompt_sha256=[provenance.sha256_of(list(r.prompt_ids)) for r, _ in turns],
            replies=replies[sample],
            token_ids=[list(g.token_ids) for _, g in turns],
            finish_reasons=[g.finish_reason for _, g in turns],
            times=[{**g.times, **stamp} for _, g in turns],
            counts=[g.counts for _, g in turns],
            skip_map=[g.skip_map for _, g in turns],
        )
        for sample, turns in made.items()
    ]


def write_divergence(
    setup: Setup, samples: list[Sample], ours: Side, twin: Side, ready: "Ready"
) -> None:
    """Force the dense replies through the method, once for each sample; see engine.divergence."""
    path = ours.cell.directory / "divergence.jsonl"
    repair(path)
    done = {line["sample_id"] for line in read_lines(path)}
    records, dense = ours.cell.records(), twin.cell.records()
    good = [
        s
        for s in samples
        if s.sample_id not in done
        and all(r.get(s.sample_id, {"error": ""})["error"] is None for r in (records, dense))
    ]
    if not good:
        return
    from skipbench.engine.divergence import divergences

    for side in (ours, twin):
        side.engine = side.engine or ready(setup, side, load_model(setup.model))
    assert ours.engine is not None
    assert twin.engine is not None
    loaded = ours.engine.loaded
    for start in tqdm(range(0, len(good), setup.batch_size), unit="batch", desc="divergence"):
        chunk = good[start : start + setup.batch_size]
        lines: list[dict[str, Any]] = []
        for turn in range(max(len(dense[s.sample_id]["replies"]) for s in chunk)):
            part = [s for s in chunk if turn < len(dense[s.sample_id]["replies"])]
            prompts = tuple(
                [
                    request
                    for s in part
                    if (
                        request := request_for(
                            loaded, setup, s, turn, r[s.sample_id]["replies"][:turn]
                        )
                    )
                    is not None
                ]
                for r in (dense, records)
            )
            ids = tuple([r[s.sample_id]["token_ids"][turn] for s in part] for r in (dense, records))
            engines = ours.engine, twin.engine
            found = divergences(*engines, prompts, ids, setup.decoding)  # type: ignore[arg-type]
            lines += [
                {"sample_id": s.sample_id, "turn": turn, **vars(d)}
                for s, d in zip(part, found, strict=True)
            ]
        append_lines(path, lines)


def write_similarity(setup: Setup, samples: list[Sample], dense: Side, loaded: "Loaded") -> None:
    """similarity.json of a dense cell: see engine.similarity. First turns; made once."""
    path = dense.cell.directory / "similarity.json"
    if path.exists():
        return
    from skipbench.engine.similarity import similarities

    asked = [request_for(loaded, setup, s, 0, []) for s in samples]
    requests = [request for request in asked if request is not None]
    write_json(path, similarities(loaded, requests, setup.decoding, setup.batch_size))
