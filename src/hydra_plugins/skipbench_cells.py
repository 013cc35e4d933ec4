"""The sweeper behind `experiment=NAME` and `-m`: plans all cells first, then hands them to a launcher."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import setup_globals
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict, read_write

_JOBLIB = "hydra_plugins.hydra_joblib_launcher"


class Cells(Sweeper):
    """Hydra's interface to `skipbench.sweep`; works with every launcher."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        from hydra.core.plugins import Plugins

        from skipbench.records import BadInput

        target = str(config.hydra.launcher._target_)
        if target.startswith(_JOBLIB) and importlib.util.find_spec(_JOBLIB) is None:
            raise BadInput('this launcher is not installed; pip install "skipbench[joblib]"')
        setup_globals()
        self.context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        from skipbench import sweep

        assert self.context is not None
        assert self.config is not None
        assert self.launcher is not None
        master = self.config
        loader = self.context.config_loader
        parser = OverridesParser.create(config_loader=loader)
        sources = master.hydra.runtime.config_sources
        folders = [Path(source.path) for source in sources if source.schema == "file"]
        name, jobs = sweep.jobs_of(arguments, parser.parse_overrides, folders)

        def compose(overrides: Sequence[str]) -> tuple[DictConfig, dict[str, str]]:
            config = loader.load_sweep_config(master, list(overrides))
            choices = dict(config.hydra.runtime.choices)
            with read_write(config), open_dict(config):
                del config["hydra"]
            return config, choices

        launcher = type(self.launcher).__name__
        planned = sweep.planned(jobs, compose, launcher, folders)
        sweep.carry_out(name, planned, self.launcher.launch, alone=launcher == "BasicLauncher")
