"""What is vendored is what it says it is, and static files are addressed by their content."""

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from bot.web.pages import assets

VENDOR = assets.STATIC / "vendor"
LOCK = Path(__file__).parents[3] / "package-lock.json"


def vendor() -> ModuleType:
    """Load the script that vendors; it is no part of the package."""
    spec = spec_from_file_location("vendor", VENDOR / "vendor.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_vendored_files_are_those_of_the_manifest() -> None:
    manifest = json.loads((VENDOR / "manifest.json").read_text())
    files = {one["file"]: one["sha384"] for one in manifest}
    assert files == {path.name: vendor().sha384(path.read_bytes()) for path in VENDOR.glob("*.js")}
    assert all(one["name"] and one["license"] for one in manifest)


def test_vendored_versions_are_those_of_the_lock_which_names_no_address() -> None:
    lock = LOCK.read_text()
    packages = json.loads(lock)["packages"]
    for one in json.loads((VENDOR / "manifest.json").read_text()):
        assert packages[f"node_modules/{one['name']}"]["version"] == one["version"]
    assert "resolved" not in lock
    assert "http" not in lock


def test_addresses_change_with_the_content() -> None:
    for name in assets.PARTS:
        found = assets.asset(name)
        assert assets.address(name) == f"/static/{found.digest}/{name}"
        assert len(found.compressed) < len(found.content)


def test_the_script_is_htmx_its_stream_and_ours() -> None:
    content = assets.asset("app.js").content
    for part in assets.SCRIPTS:
        assert (assets.STATIC / part).read_bytes() in content
