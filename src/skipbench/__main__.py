"""Command line: `python -m skipbench KEY=VALUE …`. The only module that knows Hydra."""

import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from skipbench import __version__

HELP = """\
skipbench: what a skipping method does to knowledge, collapse and speed, paired with the dense model.

  python -m skipbench task=factoid method=ffnskip           one cell, on the shipped model
  python -m skipbench -m method=ffnskip,layerdrop skip=0.25 a sweep: both at the same ratio
  python -m skipbench method=earlyexit method.decay=0 skip=0.25
  python -m skipbench experiment=quick                      a preset of many cells
  python -m skipbench.report results --out report           tables, figures and a page of what has run
  python -m skipbench.show CELL --wrong                     replies beside the dense ones
  python -m skipbench.ls                                    methods, tasks, models, cells

Keys: model task method judge decode experiment skip twin limit split batch_size seed device dtype
      sample_timeout_s noise_floor divergence similarity results_dir overwrite dry_run;
      method.*, task.*, decode.*, model.*, judge.*
      (values and defaults: python -m skipbench.ls NAME, or --cfg job)
Exit codes: 0 complete, 1 some sample failed (re-issue to retry), 2 bad input,
      3 nothing was skipped although asked, 130 interrupted (re-issue to go on)."""

_MANY = {"-m", "--multirun"}
_codes: list[int] = []
_directories: list[Path] = []
_stopped: list[bool] = []  # whether a signal asked for an end


def main() -> None:
    """Entry point; exits with the worst code of all jobs."""
    arguments = sys.argv[1:]
    if "--help" in arguments or "-h" in arguments:
        print(HELP)
        raise SystemExit(0)
    if "--version" in arguments:
        print(f"skipbench {__version__}")
        raise SystemExit(0)
    for stop in (signal.SIGINT, signal.SIGTERM):  # a shell starts background jobs deaf to the first
        signal.signal(stop, _stop)
    try:
        arguments = _with_experiment(arguments)
        sys.argv[1:] = _with_known_keys(arguments)
        _hydra_main()
    except KeyboardInterrupt:
        _codes.append(130)
    except SystemExit as stop:
        if stop.code:
            _codes.append(2)
    except Exception as error:
        if not _stopped:  # else it is an import that was broken off
            print(f"skipbench: {_one_line(error)}", file=sys.stderr)
        _codes.append(_code_of(error))
    if _stopped:
        _codes.append(130)
        _tell_stopped()
    sweep = sys.modules.get("skipbench.sweep")  # there if the command was a sweep
    swept = sweep.finished.pop() if sweep is not None and sweep.finished else None
    if swept is not None:  # by what is on disk: its jobs may have run in other processes
        _codes[:] = [swept.code, *(code for code in _codes if code == 130)]
        print(swept.results_dir)
    elif _directories:
        print(_directories[-1].resolve())
    sys.stdout.flush()
    raise SystemExit(max(_codes, default=0))


def _stop(*_: object) -> None:
    _stopped.append(True)
    raise KeyboardInterrupt


def _tell_stopped() -> None:
    """How far the cell at hand got, from its files alone: whatever was being done is broken off."""
    far = "before the first sample"
    if _directories and (asked := _directories[-1] / "samples.jsonl").exists():
        from skipbench.terminal import progress

        far = f"after {progress(_directories[-1], len(asked.read_text().splitlines()))}"
    told = f"skipbench: interrupted {far}; the same command does what is left"
    print(told, file=sys.stderr, flush=True)


def _with_experiment(arguments: list[str]) -> list[str]:
    """`+experiment=` is `experiment=`; a preset of many cells is always a sweep.

    Raises BadInput for a name that is no experiment.
    """
    from skipbench.paths import conf_dir
    from skipbench.records import BadInput

    given = [a[1:] if a.startswith("+experiment=") else a for a in arguments]
    names = [a.removeprefix("experiment=") for a in given if a.startswith("experiment=")]
    known = sorted(path.stem for path in conf_dir().glob("experiment/*.yaml"))
    for name in names:
        if name not in [*known, "null"]:
            raise BadInput(f"experiment={name!r} is not one of {', '.join(known)}")
    named = any(name != "null" for name in names)
    asks = {*_MANY, "--cfg", "-c", "--info", "-i"} & set(given)
    return ["-m", *given] if named and not asks else given


def _with_known_keys(arguments: list[str]) -> list[str]:
    """Raises BadInput for a key that does not exist; a sweep looks at those of each cell."""
    from skipbench.keys import check_keys, folders_of, for_each_cell

    if _MANY & set(arguments):
        return for_each_cell(arguments)
    check_keys(arguments, folders_of(arguments))
    return arguments


def _hydra_main() -> None:
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come here, where they are told in one line
    import hydra

    from skipbench.paths import conf_dir

    _resolvers()
    hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(_job)()


def _resolvers() -> None:
    from omegaconf import OmegaConf

    from skipbench.paths import tiny_dir

    OmegaConf.register_new_resolver("tiny", lambda: str(tiny_dir()), replace=True)


def _job(config: Any) -> int:
    """One cell of the command. Its failure is told and recorded; a sweep goes on."""
    _resolvers()  # a launcher may have started this in a process of its own
    from skipbench.records import BadInput

    try:
        code, directory = _run(config)
        _directories.append(directory)
    except (BadInput, OSError) as error:
        print(f"skipbench: {_one_line(error)}", file=sys.stderr)
        code = 2
    except Exception as error:
        code = 130 if _stopped else _code_of(error)
        if code == 130:
            raise KeyboardInterrupt from None
        if code != 2:  # a fault of ours: where it happened is needed to mend it
            traceback.print_exc()
        print(f"skipbench: {_one_line(error)}", file=sys.stderr)
    _codes.append(code)
    if code == 130:
        raise KeyboardInterrupt
    return code


def _run(config: Any) -> tuple[int, Path]:
    from hydra.core.hydra_config import HydraConfig

    from skipbench.setup import setup_from
    from skipbench.terminal import show_line, show_summary

    hydra = HydraConfig.get()
    setup = setup_from(config, hydra.runtime.choices, hydra.overrides.task)
    from skipbench.run import run

    code, directory = run(setup)
    if not setup.dry_run:
        (show_line if str(hydra.mode) == "RunMode.MULTIRUN" else show_summary)(directory)
    return code, directory


def _code_of(error: BaseException) -> int:
    """2 for anything that the command line or the configuration can mend."""
    where = type(error).__module__.split(".")[0]
    known = type(error).__name__ == "BadInput" or isinstance(error, OSError)
    return 2 if where in ("hydra", "omegaconf") or known else 1


def _one_line(error: BaseException) -> str:
    """The first lines of an error that say something, without Hydra's long listings."""
    while error.__cause__ is not None and not str(error).strip():
        error = error.__cause__
    missing = getattr(error, "full_key", None)
    if type(error).__name__ == "MissingMandatoryValue" and missing:
        return f"{missing} must be given"
    lines = [line.strip() for line in str(error).split("\n") if line.strip()]
    text = " ".join(lines)
    for noise in (
        "Set the environment variable",
        "full_key:",
        "See https",
        "You may be looking",
        "Config search",
    ):
        text = text.split(noise)[0].strip()
    if isinstance(error, OSError) and error.filename:
        text = f"{error.strerror}: {error.filename}"
    return text[:400] or type(error).__name__


if __name__ == "__main__":
    main()
