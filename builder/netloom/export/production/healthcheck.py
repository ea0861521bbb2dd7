"""Exit with 0 if the server on this machine answers requests, otherwise with 1: python healthcheck.py [PORT]"""

import sys
from urllib.error import URLError
from urllib.request import urlopen

PORT = 8800
TIMEOUT_S = 4


def main() -> int:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else PORT
    try:
        with urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=TIMEOUT_S) as answer:
            return int(answer.status != 200)
    except (URLError, OSError):
        return 1


if __name__ == "__main__":
    sys.exit(main())
