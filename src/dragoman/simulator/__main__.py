"""`python -m dragoman.simulator --port N`: serves until interrupted."""

from __future__ import annotations

import argparse
import sys

from dragoman.simulator.server import listen, make_server


def main() -> None:
    """Parses the command line and serves; the first line of output is the base URL."""
    parser = argparse.ArgumentParser(
        prog="python -m dragoman.simulator", description="A simulated AI provider."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    options = parser.parse_args()
    listening = listen(options.host, options.port)
    sys.stdout.write(f"http://{options.host}:{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    make_server().run(sockets=[listening])


if __name__ == "__main__":
    main()
