"""The app's answers: its page, uploads, progress, results."""

from __future__ import annotations

import contextlib
import math
import secrets
from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
)
from starlette.routing import Route

from audioseg.labels import Classes
from audioseg.show import report
from audioseg.show.app.jobs import Jobs, UploadError
from audioseg.show.looks import looks

# pages of other sites cannot send it, so they cannot use the app in a visitor's name
OWN_HEADER = "x-audioseg"
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
MEGABYTE = 1_000_000


def application(
    jobs: Jobs,
    *,
    classes: Classes,
    about: str,
    most_megabytes: int,
    token: str | None,
    host: str = "localhost",
) -> Starlette:
    """Return the app.

    Parameters
    ----------
    jobs : Jobs
        Where recordings go.
    classes : Classes
        The classes that it tells apart.
    about : str
        The run, for the page.
    most_megabytes : int
        The largest recording to accept.
    token : str or None
        To get in, one opens an address that ends with it, once; None lets in all on this machine.
    host : str
        The address that it listens on; requests may then use it as the name of the app.

    Returns
    -------
    Starlette
    """
    look_of = looks(classes)
    page = report.render(
        "app",
        ("wavesurfer.min.js", "record.min.js"),
        policy="connect-src 'self'; ",
        about=about,
        backgrounds={label: look_of[label].css for label in classes.names},
        limits={"megabytes": most_megabytes, "recordings": jobs.most},
    )

    async def home(request: Request) -> Response:
        return HTMLResponse(page)

    async def receive(request: Request) -> Response:
        job = jobs.new(request.query_params.get("name", ""))
        most = most_megabytes * MEGABYTE
        try:
            size = int(request.headers.get("content-length", 0))
            with job.path.open("wb") as file:
                async for chunk in request.stream():
                    if jobs.get(job.key) is None:
                        raise UploadError(f"{job.name} took too long: send it again.")
                    size = max(size, file.tell() + len(chunk))
                    if size > most:
                        raise UploadError(
                            f"{job.name} has {math.ceil(size / MEGABYTE):,} MB, and "
                            f"{most_megabytes} MB is the most that is taken: cut it, or save it as "
                            "MP3."
                        )
                    file.write(chunk)
        except BaseException as error:
            jobs.remove(job)
            if isinstance(error, ClientDisconnect):  # nobody to answer
                return Response(status_code=400)
            raise
        jobs.start(job)
        return JSONResponse({"key": job.key}, 201)

    async def status(request: Request) -> Response:
        job = jobs.get(request.path_params["key"])
        return JSONResponse(job.said(jobs.ahead(job))) if job else gone()

    async def remove(request: Request) -> Response:
        job = jobs.get(request.path_params["key"])
        if job:
            jobs.remove(job)
        return Response(status_code=204)

    async def result(request: Request) -> Response:
        job = jobs.get(request.path_params["key"])
        for file in job.files if job else ():
            if file.name == request.path_params["file"]:
                whole = None if file.suffix in (".html", ".mp3") else file.name
                return FileResponse(file, filename=whole)  # label files are saved, not shown
        return gone()

    def gone() -> Response:
        return JSONResponse({"error": "It is not here any more: send the recording again."}, 404)

    async def refused(request: Request, error: Exception) -> Response:
        return JSONResponse({"error": str(error)}, 400)

    routes = [
        Route("/", home),
        Route("/recordings", receive, methods=["POST"]),
        Route("/recordings/{key}", status, methods=["GET"]),
        Route("/recordings/{key}", remove, methods=["DELETE"]),
        Route("/recordings/{key}/{file}", result),
    ]
    app = Starlette(routes=routes, exception_handlers={UploadError: refused})
    names = (*LOOPBACK_NAMES, f"[{host}]" if ":" in host else host)
    app.add_middleware(_Door, token=token, names=names)
    return app


class _Door:
    """Lets in those with the token, or on this machine; keeps out the pages of other sites."""

    def __init__(self, app, token: str | None, names: Sequence[str]) -> None:
        self.app, self.token, self.names = app, token, names

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        answer = self._refusal(request)
        if answer is None:
            await self.app(scope, receive, self._careful(send))
        else:
            await answer(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        if self.token is None:
            # or a site could let its own name point here, and pass for a page of ours
            host = request.headers.get("host", "").rpartition(":")
            name = host[0] if host[2].isdigit() else "".join(host)
            if name not in self.names:
                return PlainTextResponse(f"{name} is not a name of this app: use localhost.", 403)
        else:
            cookie = f"audioseg-{request.url.port}"
            given = request.query_params.get("token", "")
            if secrets.compare_digest(given.encode(), self.token.encode()):
                answer = RedirectResponse("/")
                answer.set_cookie(cookie, self.token, httponly=True, samesite="strict")
                return answer
            known = request.cookies.get(cookie, "").encode()
            if not secrets.compare_digest(known, self.token.encode()):
                return PlainTextResponse(
                    "The address lacks the right token: open the one that audioseg app has "
                    "printed.",
                    403,
                )
        if request.method not in ("GET", "HEAD") and OWN_HEADER not in request.headers:
            return PlainTextResponse("Only the app's own page may send this.", 403)
        return None

    @staticmethod
    def _careful(send):
        async def sent(message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [
                    (b"x-content-type-options", b"nosniff"),
                    (b"x-frame-options", b"DENY"),
                    (b"referrer-policy", b"no-referrer"),
                    (b"cache-control", b"no-store"),
                ]
            with contextlib.suppress(OSError):  # who has gone away hears nothing
                await send(message)

        return sent
