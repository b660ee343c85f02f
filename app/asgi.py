"""The Starlette app: routes, middleware, lifespan."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route, WebSocketRoute

from app.accounts.caller import Caller, authenticate, revoked
from app.api.context import MakeContext, Services
from app.api.explorer import explorer_routes
from app.api.extensions import QueryRules
from app.api.live import Live
from app.api.observation import Observation
from app.api.routes import routes
from app.api.schema import schema
from app.api.transport import GraphQLApp
from app.db.engine import Database
from app.documents.links import Links
from app.documents.store import store_for
from app.jobs.queue import Doorbell
from app.seals import Seals
from app.settings import Settings


def create_app(settings: Settings) -> Starlette:
    """Build the API. The database is migrated, and `settings.secret_keys` is not empty."""
    services = _services(settings)

    graphql = _graphql(services)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        listening = asyncio.create_task(services.live.listen())
        try:
            yield
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening
            await services.bell.close()
            await services.database.close()

    app = Starlette(
        routes=[
            Route("/graphql", graphql),
            WebSocketRoute("/graphql", graphql),
            *routes(services),
            *explorer_routes(services),
        ],
        middleware=[
            Middleware(Observation),
            _origins(settings),
        ],
        lifespan=lifespan,
    )
    app.state.stopping = graphql.stopping  # for the server
    return app


def _graphql(services: Services) -> GraphQLApp[Caller]:
    settings = services.settings

    async def caller_of(token: str | None) -> Caller:
        return await authenticate(services.database, token)

    async def revoked_of(callers: Collection[Caller]) -> Collection[Caller]:
        return await revoked(services.database, callers)

    rules = QueryRules(introspection=settings.introspection, suggestions=settings.field_suggestions)
    return GraphQLApp(
        schema.ruled(rules),
        authenticate=caller_of,
        revoked=revoked_of,
        make_context=MakeContext(services),
        allowed_origins=[*settings.allowed_origins, *_public_origin(settings)],
        request_limit_bytes=settings.request_limit_bytes,
    )


def _public_origin(settings: Settings) -> list[str]:
    # Of our own pages, as browsers know it: a proxy may tell us another host.
    public = urlsplit(settings.public_url)
    return [f"{public.scheme}://{public.netloc}"] if public.netloc else []


def _origins(settings: Settings) -> Middleware:
    """What pages of other origins may do: only those that are allowed by name, and no cookies."""
    return Middleware(
        CORSMiddleware,
        allow_origins=settings.allowed_origins,
        allow_methods=["GET", "POST", "PUT"],
        allow_headers=["*"],  # clients and what watches them add their own
        expose_headers=[
            "x-request-id",
            "retry-after",
            "accept-ranges",
            "content-disposition",
            "content-range",
            "etag",
        ],
    )


def _services(settings: Settings) -> Services:
    bell, database = Doorbell(settings.redis_url), Database(settings.database_url)
    return Services(
        settings=settings,
        database=database,
        bell=bell,
        store=store_for(settings),
        links=Links(settings.link_keys),
        seals=Seals(settings.link_keys),
        live=Live(bell, database),
    )
