"""Which addresses that people gave us we may send to: the public internet, not our own network.

Server-side request forgery: https://owasp.org/www-community/attacks/Server_Side_Request_Forgery
"""

import asyncio
import ipaddress
import socket
from urllib.parse import urlsplit

from models.errors import Refused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
LOCAL_NAMES = (".localhost", ".local", ".internal", ".intranet", ".lan", ".home.arpa", ".onion")
TRANSLATED = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16")))
"""IPv6 networks in which an IPv4 address is hidden."""

UNICAST = ipaddress.ip_network("2000::/3")
"""All that is given out of IPv6: `is_global` holds for what was private once (fec0::) as well."""


def checked_address(url: str, *, loopback: bool = False) -> str:
    """Return an address that may be sent to; raise `Refused` for one that is not https and public.

    `loopback`: http and this very machine are fine too, as for development. A name may still lead
    into our network: `checked_host` looks it up, just before something is sent.
    """
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise Refused(f"It is not an address: {error}.") from None
    if parts.scheme not in ("https", "http") or not host or port == 0:
        raise Refused("It must begin with https:// and name a host.")
    if parts.username or parts.password or parts.fragment:
        raise Refused("It must hold no user, password or fragment.")
    if not (url.isascii() and url.isprintable()) or " " in url or "\\" in url:
        raise Refused("It holds characters that an address does not.")
    if loopback and leads_here(url):
        return url
    if parts.scheme != "https":
        raise Refused("It must begin with https://.")
    check_name(host)
    return url


def leads_here(url: str) -> bool:
    """Tell whether an address leads to this very machine."""
    host = urlsplit(url).hostname or ""
    return host == "localhost" or (is_literal(host) and ipaddress.ip_address(host).is_loopback)


def check_name(host: str) -> None:
    """Raise `Refused` for a host that is not on the public internet by its name alone."""
    if is_literal(host):
        if not is_public(ipaddress.ip_address(host)):
            raise Refused("It leads into a private network.")
        return
    last = host.rpartition(".")[2]
    if last.isdigit() or last.startswith("0x"):  # 127.1, 2130706433: read as numbers by resolvers
        raise Refused("It leads into a private network.")
    if "." not in host or f".{host}".endswith(LOCAL_NAMES):
        raise Refused("It names a host of a private network.")


def is_literal(host: str) -> bool:
    """Tell whether a host is an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_public(address: Address) -> bool:
    """Tell whether an IP address is one of the public internet."""
    if any(address in network for network in TRANSLATED):
        return False
    if address.version == 6 and address not in UNICAST:
        return False
    return address.is_global and not address.is_multicast


async def checked_host(url: str, *, loopback: bool = False) -> tuple[str, ...]:
    """Return the IP addresses that an address leads to now; raise `Refused` as `checked_address`.

    Connect to one of these, not to the name: a second look-up may answer otherwise.
    """
    parts = urlsplit(checked_address(url, loopback=loopback))
    host, port = str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Refused(f"Its host {host} is not known: {error.strerror}.") from None
    addresses = tuple(dict.fromkeys(str(each[4][0]) for each in found))
    for each in addresses:
        address = ipaddress.ip_address(each.partition("%")[0])
        if not (is_public(address) or (loopback and address.is_loopback)):
            raise Refused("It leads into a private network.")
    return addresses
