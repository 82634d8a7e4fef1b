"""What comes from outside and is given to git by name: addresses, references, commits, branches.

Anything that git could take for an option, a command or another place is refused here; see
https://git-scm.com/docs/git-check-ref-format.
"""

import hashlib
import ipaddress
import re
import unicodedata
from urllib.parse import unquote, urlsplit

from models.errors import Refused

OURS = re.compile(r"claude/[0-9A-Za-z](?:[0-9A-Za-z_-]|\.(?=[0-9A-Za-z_-])){0,150}")
SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
BAD_IN_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")
MOST_BRANCH = 48

NOT_AN_ADDRESS = "{url!a} is not an address that git may speak to."
NOT_A_REF = "{ref!a} is not the name of a branch or commit."
NOT_A_SHA = "{sha!a} is not the full name of a commit."
NOT_OURS = "{branch!a} is not a branch of the agent: it pushes to claude/… alone."


def checked_url(url: str) -> str:
    """Return a repository's address; raise `Refused` at any that git must not be given.

    https anywhere, http on this machine only, file for a folder; never credentials in it.
    """
    parts = urlsplit(url)
    plain = url.isprintable() and url.isascii() and " " not in url and "\\" not in url
    up = ".." in unquote(parts.path).split("/")
    if not plain or up or parts.query or parts.fragment or "@" in parts.netloc:
        raise Refused(NOT_AN_ADDRESS.format(url=url))
    if not (speakable(parts.scheme, parts.hostname or "") and parts.path.startswith("/")):
        raise Refused(NOT_AN_ADDRESS.format(url=url))
    return url


def speakable(scheme: str, host: str) -> bool:
    """Tell whether git may speak to a host by a scheme."""
    if scheme == "file":
        return not host
    if not host or host.startswith("-"):
        return False
    return scheme == "https" or (scheme == "http" and loopback(host))


def loopback(host: str) -> bool:
    """Tell whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_sha(ref: str) -> bool:
    """Tell whether a text is the full name of an object."""
    return SHA.fullmatch(ref) is not None


def is_path(path: str) -> bool:
    """Tell whether a text is the path of a file below a tree's top."""
    plain = path.isprintable() and all(part not in ("", ".", "..") for part in path.split("/"))
    return plain and path.encode("utf-8", "replace").decode() == path


def checked_sha(sha: str) -> str:
    """Return the full name of an object; raise `Refused` at anything else."""
    if not is_sha(sha):
        raise Refused(NOT_A_SHA.format(sha=sha[:100]))
    return sha


def checked_ref(ref: str) -> str:
    """Return the full reference for a branch's name, a reference or HEAD; raise `Refused` else."""
    full = ref if ref == "HEAD" or ref.startswith("refs/") else f"refs/heads/{ref}"
    parts = full.split("/")
    odd = any(not part or part.startswith((".", "-")) or part.endswith(".lock") for part in parts)
    if BAD_IN_REF.search(full) or odd or full.endswith(".") or len(full) > 250:
        raise Refused(NOT_A_REF.format(ref=ref[:100]))
    return full


def kept_as(ref: str) -> str:
    """Return where a mirror keeps a reference of its origin.

    A flat place for each: `a` and `a/b` cannot be in each other's way.
    """
    return f"refs/seen/{hashlib.blake2s(ref.encode(), digest_size=16).hexdigest()}"


def checked_branch(branch: str) -> str:
    """Return the reference to push a branch of the agent to; raise `Refused` at any other."""
    if not OURS.fullmatch(branch) or branch.endswith(".lock"):
        raise Refused(NOT_OURS.format(branch=branch[:100]))
    return f"refs/heads/{branch}"


def branch_name(number: int, title: str) -> str:
    """Return the branch for an issue: `claude/12-what-its-title-says`, in ASCII."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    slug = "-".join(re.findall(r"[a-z0-9]+", plain))
    if len(slug) > MOST_BRANCH:
        slug = slug[:MOST_BRANCH].rpartition("-")[0] or slug[:MOST_BRANCH]
    return f"claude/{number}-{slug}".rstrip("-")
