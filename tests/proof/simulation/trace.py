"""What happened, to be read when an invariant is broken."""

SHOWN = 160


class Trace:
    def __init__(self) -> None:
        self.events: list[tuple[float, str, str, str]] = []

    def add(self, at: float, who: str, what: str, session: str = "") -> None:
        self.events.append((at, who, session, what))

    def tell(self, session: str = "") -> str:
        """The last events of one session (all of them by default) and of the whole world, oldest first."""
        told = [event for event in self.events if not session or event[2] in (session, "")]
        return "\n".join(f"{at:9.3f}  {who:9} {of:6} {what}" for at, who, of, what in told[-SHOWN:])
