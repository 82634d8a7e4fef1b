"""Runs the stand-ins for GitHub's and Anthropic's APIs on the loopback interface, for the demo.

`POST /demo/ask` has the issues of `acme/shipping` labelled, as their author would.
"""

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from bot.sample import desk, desk_api, scripted, shipping
from bot.sample.desk_api import Counter
from bot.sample.github import github
from bot.sample.staging import Stage
from bot.sample.story import story
from bot.settings import Settings, load


def stand_in(settings: Settings) -> Starlette:
    """Return the app: compare calls from the story's own commits, and the desk of the agent."""
    stage = Stage(settings.veelocity_home)
    noted = stage.note()
    counter = Counter(
        stage.home,
        desk.opened(stage.home),
        shipping.make_origin(stage.home),
        f"{settings.local_url}/webhooks/github",
        settings.webhook_secrets[0],
    )

    async def ask(request: Request) -> Response:
        await desk_api.ask_for_work(counter, develop="develop" in request.query_params)
        return Response(status_code=204)

    async def hook(request: Request) -> Response:
        return JSONResponse({"url": counter.webhook, "content_type": "json", "insecure_ssl": "0"})

    return Starlette(
        routes=[
            Route("/app/hook/config", hook),
            Route("/demo/ask", ask, methods=["POST"]),
            Mount("/anthropic", routes=scripted.routes()),
            *desk_api.routes(counter),
            Mount("/", github(story(noted.seed, noted.until, later=noted.away))),
        ]
    )


def main() -> None:
    """Answer until told to stop."""
    settings = load()
    port = Stage(settings.veelocity_home).note().port
    uvicorn.run(stand_in(settings), host="127.0.0.1", port=port, access_log=False, log_config=None)


if __name__ == "__main__":
    main()
