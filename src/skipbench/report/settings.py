"""What a run was set to beside task, model and method: cells that differ in it are not compared."""

from collections.abc import Callable, Sequence
from typing import Any

Json = dict[str, Any]
# as a name tells it; only what differs among cells of one task, form, model and data is told
_WORDS: dict[str, Callable[[Any], str]] = {
    "seed": lambda value: f"seed {value}",
    "temperature": lambda value: "greedy" if value is None else f"temperature {value:g}",
    "top_p": lambda value: "" if value is None else f"top_p {value:g}",
    "forced_length": lambda value: "" if value is None else f"{value} tokens",
    "batch_size": lambda value: f"batches of {value}",
    "dtype": str,
    "device": str,
    "attention": lambda value: f"{value} attention",
    "chat": lambda value: f"chat {str(value).lower()}",
    "weights": lambda value: f"weights {str(value)[:6]}",
}


def settings_of(manifest: Json) -> Json:
    """Settings by name; None where one has no meaning, such as the temperature of greedy decoding."""
    decode, decides = manifest["decode"], manifest["decides"]
    sampled, forced = decode["mode"] == "sampled", decode["mode"] == "forced_length"
    return {
        "seed": decode.get("seed", manifest["config"].get("seed")),
        "temperature": decode.get("temperature") if sampled else None,
        "top_p": decode.get("top_p") if sampled else None,
        "forced_length": decode.get("forced_length") if forced else None,
        "batch_size": decides.get("batch_size"),
        "dtype": decides.get("dtype", manifest["config"].get("dtype")),
        "device": decides.get("device"),
        "attention": decides.get("attention"),
        "chat": decides["task"].get("chat"),
        "weights": decides.get("model"),
    }


def told_apart(summaries: Sequence[Json], manifests: Sequence[Json]) -> list[str]:
    """For each of some cells, those of its settings in which they are not all alike.

    A dense cell that was run for the noise floor of others stands with them, whatever its batch
    size: to be compared at another one is what it is for.
    """
    settings = [settings_of(manifest) for manifest in manifests]
    twins = {summary.get("twin") for summary in summaries}
    sizes = {
        floor["fingerprint"]: made["batch_size"]
        for summary, made in zip(summaries, settings, strict=True)
        if (floor := summary.get("noise_floor")) and floor["fingerprint"] not in twins
    }
    for summary, made in zip(summaries, settings, strict=True):
        made["batch_size"] = sizes.get(summary.get("fingerprint"), made["batch_size"])
    differ = [key for key in _WORDS if len({made[key] for made in settings}) > 1]
    return [" ".join(filter(None, (_WORDS[k](made[k]) for k in differ))) for made in settings]
