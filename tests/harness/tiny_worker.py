"""A worker without an application, which starts in milliseconds: run as a file, it speaks the supervisor's messages.

In its folder the file `events` gets what it did, and `behaviour` has one word for each start in turn: `serve`, `crash`
(at the start), `hang` (never ready) or a number (the code to exit with at the start).
"""

import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any


def main(folder: Path, order: dict[str, Any]) -> int:
    channel = socket.socket(fileno=order["channel"])

    def record(event: str) -> None:
        with (folder / "events").open("a") as events:
            events.write(f"{order['number']} {os.getpid()} {event}\n")

    def send(message: dict[str, Any]) -> None:
        channel.sendall(json.dumps(message).encode() + b"\n")

    starts = (folder / "events").read_text().count("started") if (folder / "events").exists() else 0
    behaviours = (folder / "behaviour").read_text().split() if (folder / "behaviour").exists() else []
    behaviour = behaviours[starts] if starts < len(behaviours) else "serve"
    record("started")
    if behaviour == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour.isdigit():
        return int(behaviour)
    if behaviour == "serve":
        record("ready")
        send({"ready": True})
    for line in channel.makefile("r"):
        match json.loads(line):
            case {"stop": repeated}:
                record(f"stop {repeated}")
                return 0
            case {"retire": _}:
                record("retire")
                return 0
            case {"ask": number, "about": about}:
                answers = {
                    "readiness": {"ready": True, "checks": {"store": order["number"] != 1}},
                    "liveness": {"live": True, "event_loop_lag": order["number"] / 10},
                    "metrics": [["bff_x", "counter", "x", [["bff_x_total", {}, 1.0]]]],
                }
                send({"answer": number, "value": answers[about]})
            case message:
                record(json.dumps(message))
    record("alone")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), json.loads(sys.argv[2])))
