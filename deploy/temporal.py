"""A real Temporal server with its UI: the dev server of the `temporal` program that a wheel brings.

Rules:
- It is ready when it answers on all of its ports and knows the namespace with every search attribute asked for.
- It looks nothing up on the network and reads none of the client's settings.
"""

import http.client
import json
import signal
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.servers import LOOPBACK, Server, ServerError, listens

GRPC_PORT, UI_PORT = 7233, 8233
_OPTIONS = {"grpc": "port", "ui": "ui-port", "http": "http-port", "metrics": "metrics-port"}


def program(name: str) -> Path:
    """The program `name` that a wheel installed into this environment.

    Raises ServerError if it is not there.
    """
    path = Path(sysconfig.get_path("scripts"), name)
    if not path.exists():
        raise ServerError(f"{path}: no such program; install the development requirements with `make setup`")
    return path


class TemporalServer(Server):
    """Temporal's dev server.

    `search_attributes` maps names to types as `temporal server start-dev --search-attribute` takes them,
    `dynamic_config` maps keys to values that JSON can write. `keep` stores workflows in a file, which survive a
    restart then; without it they are in memory.
    """

    name = "temporal"

    def __init__(
        self,
        home: Path,
        *,
        namespace: str = "default",
        search_attributes: Mapping[str, str] | None = None,
        dynamic_config: Mapping[str, object] | None = None,
        keep: bool = True,
        ui: bool = True,
        usual_ports: bool = True,
        temporary: bool = False,
        held: Sequence[int] = (),
    ) -> None:
        ports = {"grpc": GRPC_PORT, "ui": UI_PORT} if usual_ports else {"grpc": 0, "ui": 0}
        super().__init__(home, ports={**ports, "http": 0, "metrics": 0}, temporary=temporary, held=held)
        self.namespace = namespace
        self._search_attributes = dict(search_attributes or {})
        self._dynamic_config = dict(dynamic_config or {})
        self._keep = keep
        self._ui = ui
        # A clean end takes the dev server a second, and without a file there is nothing to keep.
        self._stop_signal = signal.SIGTERM if keep else signal.SIGKILL

    @property
    def address(self) -> str:
        """host:port of the gRPC frontend; only after the first start."""
        return f"{LOOPBACK}:{self._ports['grpc']}"

    @property
    def ui_url(self) -> str | None:
        """Address of the UI, None without one; only after the first start."""
        return f"http://{LOOPBACK}:{self._ports['ui']}" if self._ui else None

    def _prepare(self) -> None:
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _command(self) -> list[str]:
        ports = [f"--{name}={self._ports[port]}" for port, name in _OPTIONS.items() if self._ui or port != "ui"]
        return [
            *(str(program("temporal")), "server", "start-dev", "--log-level=error", f"--ip={LOOPBACK}", *ports),
            *(f"--namespace={self.namespace}", "--ui-disable-news-fetch" if self._ui else "--headless"),
            *([f"--db-filename={self.home / 'temporal.db'}"] if self._keep else []),
            *(f"--search-attribute={key}={value}" for key, value in self._search_attributes.items()),
            *(f"--dynamic-config-value={key}={json.dumps(value)}" for key, value in self._dynamic_config.items()),
        ]

    def _ready(self) -> bool:
        """Whether the server answers on every port and knows the namespace with all of its search attributes."""
        if not all(listens(port) for purpose, port in self._ports.items() if self._ui or purpose != "ui"):
            return False
        answer = _get(self._ports["http"], f"/api/v1/namespaces/{self.namespace}/search-attributes")
        return self._search_attributes.keys() <= answer.get("customAttributes", {}).keys() if answer else False


def _get(port: int, path: str) -> dict[str, dict[str, str]]:
    """The JSON that the local HTTP server on `port` answers to GET, empty if it does not answer."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=1)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return json.loads(response.read()) if response.status == http.HTTPStatus.OK else {}
    except (OSError, http.client.HTTPException):
        return {}
    finally:
        connection.close()
