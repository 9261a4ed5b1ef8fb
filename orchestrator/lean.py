"""Imports asyncio and anyio without OpenSSL, which the daemon does not use: 4.5 MiB less of 31. To be imported first.

asyncio does without TLS where Python was built without it, and that is what it is told here. anyio only mentions
`ssl` when it is imported, so it gets a module that becomes the real one at its first use: anyio's TLS streams, and
whatever imports `ssl` later, work as ever. If either should want more than that one day, the real module is loaded.
"""

import importlib
import sys
from types import ModuleType
from typing import Any


class _LateModule(ModuleType):
    """Stands for a module until something of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        real = importlib.import_module(self.__name__)
        self.__dict__.update(real.__dict__)
        return getattr(real, name)


def _import_without_openssl() -> None:
    sys.modules["ssl"] = None  # type: ignore[assignment]  # the import system's own way to say "there is none"
    try:
        import asyncio  # noqa: F401, PLC0415
    finally:
        del sys.modules["ssl"]
    late = _LateModule("ssl")
    late.__dict__["SSLContext"] = object  # anyio.streams.tls imports this name, for annotations only
    sys.modules["ssl"] = late
    try:
        import anyio._backends._asyncio  # noqa: F401, PLC0415  the one that anyio.run loads by name
    finally:
        late.__dict__.pop("SSLContext", None)
        if sys.modules.get("ssl") is late:
            del sys.modules["ssl"]


if not {"asyncio", "anyio", "ssl"} & sys.modules.keys():
    _import_without_openssl()
