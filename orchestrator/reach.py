"""PURE. What it takes to reach a server over HTTP, as far as nobody has to load a client for that."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

CLIENT: Final = "httpx2"  # the module that the extra `http` installs
GET_CLIENT: Final = 'pip install "aiemp[http]"'

_SHORT: Final = r"127(\.\d{1,3}){1,3}"  # 127.1 is 127.0.0.1 (inet_aton(3))


def is_this_machine(host: str | None) -> bool:
    """Whether a URL's host is surely the machine that asks, by its name or address alone."""
    name = (host or "").lower().strip("[]").rstrip(".")
    if name == "localhost" or name.endswith(".localhost") or re.fullmatch(_SHORT, name):
        return True
    try:
        address: IPv4Address | IPv6Address = ip_address(name)
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    return address.is_loopback or address.is_unspecified  # connecting to 0.0.0.0 is connecting to oneself
