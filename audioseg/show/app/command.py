"""Segment recordings in the browser: drop files or record, and get pages and label files.

It needs no Jupyter. Recordings stay on this machine and are deleted when the app ends.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import ipaddress
import secrets
import signal
import socket
import tempfile
import threading
import time
import webbrowser
from pathlib import Path

from audioseg.errors import ArgumentError, CourseError
from audioseg.segmentation.command import add_run_arguments

EPILOG = "Ctrl+C ends the app and deletes the recordings that were sent."
PORT, PORTS_TRIED = 8899, 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``audioseg app``."""
    add_run_arguments(parser)
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="the address to listen on; other machines then need a token (default: %(default)s)",
    )
    parser.add_argument(
        "--port", type=int, metavar="N", help=f"(default: {PORT}, or the next free one)"
    )
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    parser.add_argument(
        "--max-megabytes",
        type=int,
        default=500,
        metavar="N",
        help="the largest recording to accept (default: %(default)s)",
    )
    parser.add_argument(
        "--max-recordings",
        type=int,
        default=30,
        metavar="N",
        help="how many recordings to hold at a time (default: %(default)s)",
    )


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted; return the exit status."""
    for what in ("max_megabytes", "max_recordings"):
        if getattr(options, what) < 1:
            flag = "--" + what.replace("_", "-")
            raise ArgumentError(f"{flag} is {getattr(options, what)}: name a number above 0.")
    if not all(importlib.util.find_spec(name) for name in ("starlette", "uvicorn")):
        raise CourseError(
            "audioseg app needs starlette and uvicorn: install them with `pip install .[app]`."
        )
    with (
        listening(options.host, options.port) as sock,
        tempfile.TemporaryDirectory(prefix="audioseg-app-") as folder,
    ):
        return _serve(options, sock, Path(folder))


def _serve(options: argparse.Namespace, sock: socket.socket, folder: Path) -> int:
    import uvicorn

    from audioseg.labels import Classes
    from audioseg.segmentation import segmenter
    from audioseg.show.app.jobs import Jobs
    from audioseg.show.app.server import application

    ready = segmenter.load(options.run, weights=options.weights, smoothing=options.smooth)
    about = ", ".join(f"{what}: {value}" for what, value in ready.about.items())
    print(about)
    token = None if is_loopback(options.host) else secrets.token_urlsafe(24)
    jobs = Jobs(folder, ready, most=options.max_recordings)
    app = application(
        jobs,
        classes=Classes.of(ready.run.config),
        about=about,
        most_megabytes=options.max_megabytes,
        token=token,
        host=options.host,
    )
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=2))
    url = address(options.host, sock.getsockname()[1], token)
    threading.Thread(target=_say, args=(server, url, not options.no_browser), daemon=True).start()
    # it ends as by Ctrl+C, and leaves nothing behind
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        server.run(sockets=[sock])
    except KeyboardInterrupt:
        pass
    finally:
        jobs.close()
    print("ended; the recordings that were sent are deleted")
    return 0


def _say(server, url: str, browser: bool) -> None:
    """Print the address once it answers, and open it."""
    while not server.started:
        time.sleep(0.05)
    print(f"open {url}\nCtrl+C ends the app", flush=True)
    if browser:
        webbrowser.open(url)


@contextlib.contextmanager
def listening(host: str, port: int | None):
    """Listen on an address.

    Parameters
    ----------
    host : str
        A name or an address.
    port : int or None
        None takes the first free one of several.

    Yields
    ------
    socket.socket

    Raises
    ------
    ArgumentError
        If the app cannot listen there.
    """
    wanted = range(PORT, PORT + PORTS_TRIED) if port is None else [port]
    for number in wanted:
        try:
            family, *_, place = socket.getaddrinfo(
                host, number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            sock = socket.create_server(place[:2], family=family)
        except (OSError, OverflowError) as error:
            problem = getattr(error, "strerror", None) or str(error)
            continue
        with sock:
            yield sock
        return
    where = f"--host {host}" + ("" if port is None else f" --port {port}")
    raise ArgumentError(f"the app cannot listen on {where} ({problem}): name another.")


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def address(host: str, port: int, token: str | None) -> str:
    """Return the address to open in the browser."""
    if host in ("", "0.0.0.0", "::"):  # this machine under any of its names
        host = "127.0.0.1" if host != "::" else "::1"
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")
