"""`codec add-key | activate | add-reader | serve`: the key file, who may read, and the codec server of the UI."""

import argparse
import base64
import json
import os
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from activities.encryption.keys import KEY_BYTES, KeyFile, KeysError, read_key_file, without_values
from activities.encryption.readers import Readers, ReadersError, new_token, read_readers
from activities.encryption.server import CodecServer
from activities.settings import SettingsError
from activities.settings_keys import CODEC_KEYS_FILE, read_codec_keys
from activities.telemetry_logs import configure_logging
from cli import exits
from cli.arguments import Commands
from cli.dev import stop_on_signal
from policy.base import instant_text

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
# How long the processes of an installation may take to be started with a key.
_ROLLOUT = timedelta(hours=1)
_PORT = 8081
_UI = "http://localhost:8233"


def register(commands: Commands) -> None:
    parser = commands.add_parser("codec", help="keys that encrypt what Temporal holds, and reading it in the UI")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    add = actions.add_parser("add-key", help="put a new key into the key file; it encrypts nothing yet")
    add.set_defaults(run=_add_key)
    add.add_argument("file", metavar="FILE", type=Path)
    add.add_argument("key_id", metavar="KEY", help="its id, like 2026-11")
    activate = actions.add_parser("activate", help="encrypt with a key of the key file from now on")
    activate.set_defaults(run=_activate)
    activate.add_argument("file", metavar="FILE", type=Path)
    activate.add_argument("key_id", metavar="KEY")
    activate.add_argument("--since", metavar="INSTANT", help="from when on it is demanded (default: in an hour)")
    reader = actions.add_parser("add-reader", help="let somebody read; prints the token, which is nowhere else")
    reader.set_defaults(run=_add_reader)
    reader.add_argument("file", metavar="FILE", type=Path)
    reader.add_argument("name", metavar="NAME")
    serve = actions.add_parser("serve", help="decrypt for the Temporal UI and the temporal CLI until Ctrl-C")
    serve.set_defaults(run=_serve)
    serve.add_argument("--readers", metavar="FILE", type=Path, required=True, help="who may read")
    serve.add_argument("--host", default=_LOOPBACK[0], help=f"address of this machine (default: {_LOOPBACK[0]})")
    serve.add_argument("--port", type=int, default=_PORT, help=f"port (default: {_PORT}; 0 takes a free one)")
    serve.add_argument("--origin", action="append", metavar="URL", help=f"where the UI is (default: {_UI})")


async def _add_key(args: argparse.Namespace) -> int:
    file = read_key_file(args.file) if args.file.exists() else None
    body = _as_json(file)
    if args.key_id in body["keys"]:
        raise KeysError(f"key file {args.file} has key {args.key_id}: a key is never replaced, choose another id")
    body["keys"][args.key_id] = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
    _write(args.file, _checked(body))
    print(f"{args.file}: key {args.key_id} added; every process must have it before it is activated")
    return exits.OK


async def _activate(args: argparse.Namespace) -> int:
    body = _as_json(read_key_file(args.file))
    if body["active"] is None:
        # Runs of before then keep what they were told in the clear, also those of a time in which it was turned off.
        body["since"] = args.since or instant_text(datetime.now(UTC).replace(microsecond=0) + _ROLLOUT)
    elif args.since is not None:
        raise KeysError(f"since is {body['since']} and does not change while encryption is on: leave --since out")
    body["active"] = args.key_id
    _write(args.file, _checked(body))
    print(f"{args.file}: key {args.key_id} encrypts; every process must be started with it before {body['since']}")
    return exits.OK


async def _add_reader(args: argparse.Namespace) -> int:
    file = read_readers(args.file) if args.file.exists() else None
    body = file.model_dump(mode="json") if file else {"tokens": {}, "issuers": []}
    if args.name in body["tokens"]:
        raise ReadersError(f"readers file {args.file} has {args.name}: take the line out first")
    token, body["tokens"][args.name] = new_token()
    _write(args.file, json.dumps(body, indent=2))
    print(token)
    return exits.OK


async def _serve(args: argparse.Namespace) -> int:
    keys = read_codec_keys()
    if keys is None:
        raise SettingsError(f"{CODEC_KEYS_FILE} is not set: name the key file")
    if args.host not in _LOOPBACK:
        raise SettingsError(f"host {args.host} is not this machine: listen on 127.0.0.1, behind a proxy with tls")
    read_readers(args.readers)
    configure_logging()
    server = CodecServer(keys, Readers(args.readers), frozenset(args.origin or [_UI]))
    # Access logs would hold what is in addresses and headers; the server says itself who read.
    runner = web.AppRunner(server.application(), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, args.host, args.port)
        await site.start()
        with stop_on_signal() as stop:
            host, port = runner.addresses[0][:2]
            print(f"codec server  http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)
            await stop.wait()
    except OSError as error:
        raise SettingsError(f"port {args.port} cannot be served: {error.strerror}") from None
    finally:
        await runner.cleanup()
    return exits.OK


def _as_json(file: KeyFile | None) -> dict[str, Any]:
    if file is None:
        return {"active": None, "since": None, "keys": {}}
    return {
        "active": file.active,
        "since": instant_text(file.since) if file.since else None,
        "keys": {name: secret.get_secret_value() for name, secret in file.keys.items()},
    }


def _checked(body: dict[str, Any]) -> str:
    """The text of a key file that its reader will take."""
    try:
        KeyFile.model_validate(body)
    except ValidationError as error:
        raise KeysError(without_values(error)) from None
    return json.dumps(body, indent=2)


def _write(path: Path, text: str) -> None:
    """Write a file that nobody else may read, as a whole or not at all."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        raise KeysError(f"file {path} cannot be written: {error.strerror}") from None
    finally:
        unfinished.unlink(missing_ok=True)
