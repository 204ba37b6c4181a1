"""Builders by name: how a configuration's `name: …` becomes an object, with errors that point to the key."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from augment.errors import ScriptoriumError
from synth.strict import nearest

T = TypeVar("T")
Builder = TypeVar("Builder", bound=Callable[..., Any])


class Registry(Generic[T]):
    """Classes or functions that make one kind of thing.

    >>> backbones: Registry[object] = Registry("backbone")
    >>> @backbones.register("Flat")
    ... class Flat:
    ...     def __init__(self, channels: int, *, scale: float = 1.0) -> None: ...
    >>> flat = backbones.build({"name": "Flat", "scale": 0.5}, "Architecture.Backbone", channels=3)
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._builders: dict[str, Callable[..., T]] = {}

    def register(self, name: str) -> Callable[[Builder], Builder]:
        """Decorator: make a builder known under `name`. Raises ValueError if the name is taken."""

        def add(builder: Builder) -> Builder:
            if name in self._builders:
                raise ValueError(f"{self.kind} {name!r} is {self._builders[name].__qualname__} already")
            self._builders[name] = builder
            return builder

        return add

    @property
    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._builders)

    def build(self, config: Mapping[str, Any], where: str, **given: Any) -> T:
        """Make what `config` describes.

        Args:
            config: `name`, and keys that the builder's parameters take.
            where: the key of `config`, for error messages.
            given: arguments that the program itself knows; a configuration may not set them.

        Raises:
            ScriptoriumError: an unknown name or key (the nearest is named), a missing key, or a value that the builder
                refuses by ValueError or TypeError.
        """
        keys = dict(config)
        name = keys.pop("name", None)
        if not isinstance(name, str) or name not in self._builders:
            raise ScriptoriumError(f"{where}.name: no {self.kind} {name!r}{nearest(str(name), self.names)}")
        builder = self._builders[name]
        parameters = inspect.signature(builder).parameters
        free = [key for key in parameters if key not in given]
        for key in keys:
            if key not in free:
                raise ScriptoriumError(f"{where}.{key}: unknown key of {name}{nearest(str(key), free)}")
        for key in free:
            if key not in keys and parameters[key].default is inspect.Parameter.empty:
                raise ScriptoriumError(f"{where}.{key}: is missing; {name} needs it")
        try:
            return builder(**given, **keys)
        except (ValueError, TypeError) as error:
            raise ScriptoriumError(f"{where}: {name}: {error}") from error
