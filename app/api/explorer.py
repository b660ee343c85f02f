"""The explorer: GraphiQL at /graphiql, from our own files alone, and the sign-in of its page."""

from contextlib import suppress
from json import JSONDecodeError
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    RedirectResponse,
    Response,
)
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from app.accounts import sign_in
from app.accounts.caller import authenticate
from app.accounts.commands import revoke_key
from app.api.context import Services
from app.api.requests import (
    JSON_MEDIA_TYPE,
    bearer_token,
    content_type,
    read_json,
    takes_gzip,
)
from app.api.routes import problems
from app.db.work import transaction
from app.errors import FieldError, InvalidInput
from app.web import DIST, has_page

SIGN_IN_LIMIT_BYTES = 1024
OK = 200
PAGE_HEADERS = {
    # The editor writes its colours as inline styles; all else is ours and comes from us.
    "Content-Security-Policy": "default-src 'none'; script-src 'self';"
    " style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:;"
    " connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
# Their names change with their content.
ASSET_HEADERS = PAGE_HEADERS | {
    "Cache-Control": "public, max-age=31536000, immutable",
    "Vary": "Accept-Encoding",
}
NOT_BUILT = """<!doctype html>
<html lang="en">
<title>Docyard explorer</title>
<h1>The explorer is not built</h1>
<p>Everything else works. The page was left out when Docyard was installed, because Node.js or the
npm registry could not be reached then.</p>
<p>Install Docyard again from its sources while they can:</p>
<pre>pip install --force-reinstall --no-deps .</pre>
<p>In a checkout that is installed with <code>-e</code> this is enough, with Node.js 20.19 or
newer:</p>
<pre>cd app/web &amp;&amp; npm ci &amp;&amp; npm run build</pre>
</html>
"""


def explorer_routes(services: Services, *, dist: Path = DIST) -> list[BaseRoute]:
    """Return the routes of the explorer. dist: the folder where the page is built."""

    async def post_sign_in(request: Request) -> Response:
        return await _sign_in(services, request)

    async def delete_sign_in(request: Request) -> Response:
        return await _sign_out(services, request)

    async def page(_request: Request) -> Response:
        if not has_page(dist):
            return HTMLResponse(NOT_BUILT, 503, PAGE_HEADERS)
        return FileResponse(dist / "index.html", headers=PAGE_HEADERS)

    async def to_page(request: Request) -> Response:
        # Relative, as all addresses of the page: a proxy may have put it under a path.
        return RedirectResponse("graphiql" if request.url.path == "/" else "../graphiql")

    limit = Middleware(RequestBodyLimitMiddleware, max_body_size=SIGN_IN_LIMIT_BYTES)
    return [
        Route("/graphiql", page, methods=["GET"]),
        Route("/graphiql/", to_page, methods=["GET"]),
        Route("/", to_page, methods=["GET"]),
        Route("/graphiql/sign-in", problems(post_sign_in), methods=["POST"], middleware=[limit]),
        Route("/graphiql/sign-in", problems(delete_sign_in), methods=["DELETE"]),
        Mount("/graphiql", Assets(directory=dist / "graphiql", check_dir=False)),
    ]


class Assets(StaticFiles):
    """The files of the page; each goes out as its packed copy (NAME.gz) to who takes gzip."""

    async def check_config(self) -> None:
        """Take a folder that is not there, or not yet: nothing is found in it."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer with a file, to be kept for good."""
        response = None
        if takes_gzip(Request(scope)):
            with suppress(HTTPException):  # what is small has no packed copy
                response = await super().get_response(f"{path}.gz", scope)
                if response.status_code == OK:  # an answer 304 tells nothing of the content
                    response.headers["Content-Encoding"] = "gzip"
        response = response or await super().get_response(path, scope)
        response.headers.update(ASSET_HEADERS)
        return response


async def _sign_in(services: Services, request: Request) -> Response:
    """Exchange the code of a link for a key that ends by itself."""
    code = _code(await request.body(), media_type=content_type(request))
    async with transaction(services.database) as work:
        key, token = await sign_in.exchange(work, code)
    assert key.expires_at is not None  # noqa: S101 - it was made with a lifetime
    body = {"token": token, "expiresAt": key.expires_at.isoformat()}
    return JSONResponse(body, headers={"Cache-Control": "no-store"})


async def _sign_out(services: Services, request: Request) -> Response:
    """Make the key that comes with the request worthless."""
    token = bearer_token(request.headers.get("authorization"))
    caller = await authenticate(services.database, token)
    async with transaction(services.database) as work:
        await revoke_key(work, caller.api_key_id)
    return Response(status_code=204)


def _code(body: bytes, *, media_type: str) -> str:
    # JSON, which pages of strangers cannot send unasked: nobody is signed in without knowing.
    if media_type == JSON_MEDIA_TYPE:
        try:
            match read_json(body):
                case {"code": str() as code}:
                    return code
        except JSONDecodeError:
            pass
    raise InvalidInput(FieldError(("code",), 'Send JSON: {"code": "..."}', "malformed"))
