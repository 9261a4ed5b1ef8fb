"""The process that asks a Letta server for its health, with what a delivery would reach it with: proxies, certificates.

Called with the URL and the seconds that it may take. Prints the status, or why there is none, as JSON.
"""

import json
import sys

from orchestrator import outbound


def main() -> None:
    url, seconds = sys.argv[1], float(sys.argv[2])
    found: dict[str, object] = {"status": None}
    try:
        with outbound.client(url, seconds) as client, client.stream("GET", url, headers=outbound.HEADERS) as response:
            found["status"] = response.status_code
    except outbound.ERRORS as error:
        found["error"] = outbound.in_words(error)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
