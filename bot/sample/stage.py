"""Runs the stand-in for GitHub's API on the loopback interface, for the demo alone."""

import uvicorn

from bot.sample.github import github
from bot.sample.staging import Stage
from bot.sample.story import story
from bot.settings import load


def main() -> None:
    """Answer compare calls from the story's own commit graph."""
    noted = Stage(load().veelocity_home).note()
    app = github(story(noted.seed, noted.until))
    uvicorn.run(app, host="127.0.0.1", port=noted.port, access_log=False, log_config=None)


if __name__ == "__main__":
    main()
