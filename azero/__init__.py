"""azero: a policy-value network amplified by batched tree search and distilled from what the search found.

Importing azero makes the games known to Gymnasium: `gymnasium.make("azero/ConnectFour-v0")`.
"""

import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Sequence

from games import FOR_TWO

__version__ = "0.1.0"


def environment_id(game: str) -> str:
    """The Gymnasium id of a game: the words of its name with capitals, so connect_four_4x4 is ConnectFour4x4."""
    return f"azero/{''.join(word.capitalize() for word in game.split('_'))}-v0"


def _register() -> None:
    """Makes the environments known to gymnasium, which has been imported."""
    from gymnasium.envs.registration import register, registry

    for game in FOR_TWO:
        if environment_id(game) not in registry:
            register(environment_id(game), "azero.envs:GameEnv", kwargs={"game": game})


class _AtImport(importlib.abc.MetaPathFinder):
    """Registers the environments as soon as gymnasium is imported: what does without it does not wait for it."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The spec of gymnasium, which registers once it has run; None for every other module."""
        if name != "gymnasium":
            return None
        others = (finder.find_spec(name, path, target) for finder in sys.meta_path if finder is not self)
        spec = next((found for found in others if found is not None), None)
        if spec is None or spec.loader is None:
            return spec
        run = spec.loader.exec_module

        def run_and_register(module: types.ModuleType) -> None:
            run(module)
            if self in sys.meta_path:  # only now: gymnasium may be looked for long before it is imported
                sys.meta_path.remove(self)
            _register()

        spec.loader.exec_module = run_and_register  # type: ignore[method-assign]  # of this one loader, used once
        return spec


if "gymnasium" in sys.modules:
    _register()
else:
    sys.meta_path.insert(0, _AtImport())
