"""These repositories are data: their tests are run by the agent, not by ours."""

collect_ignore_glob = ["*"]
