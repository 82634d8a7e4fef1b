"""Copy the vendored scripts from node_modules, and write down what they are.

Run it after `npm ci --ignore-scripts`: `python bot/web/static/vendor/vendor.py`.
"""

import base64
import hashlib
import json
from pathlib import Path

HERE = Path(__file__).parent
PACKAGES = HERE.parents[3] / "node_modules"
FILES = {
    "htmx.min.js": "htmx.org/dist/htmx.min.js",
    "hx-sse.min.js": "htmx.org/dist/ext/hx-sse.min.js",
    "Sortable.min.js": "sortablejs/Sortable.min.js",
}


def sha384(content: bytes) -> str:
    """Return a digest in the form that browsers check (subresource integrity)."""
    return "sha384-" + base64.b64encode(hashlib.sha384(content).digest()).decode()


def described(name: str, source: str) -> dict[str, str]:
    """Copy one file without its pointer to a source map, and say where it came from."""
    content = (PACKAGES / source).read_bytes().split(b"\n//# sourceMappingURL=")[0]
    (HERE / name).write_bytes(content)
    package = json.loads((PACKAGES / source.split("/")[0] / "package.json").read_text())
    said = {key: package[key] for key in ("name", "version", "license")}
    return {"file": name, **said, "source": source, "sha384": sha384(content)}


def main() -> None:
    """Copy every file and write `manifest.json`."""
    manifest = [described(name, source) for name, source in FILES.items()]
    (HERE / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


if __name__ == "__main__":
    main()
