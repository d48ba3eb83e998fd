"""The results as tables in Markdown."""

from typing import Final

from bench.scale.measurements import ALL, OWN_STORE
from bench.scale.results import Results

HEAD: Final = """## By the number of sessions

Written by `make bench-scale`: both stores with up to a million sessions, whose access and ID tokens have 900 bytes
each. Everything that is measured shares two cores with whatever else runs there, so times by the clock say less than
processor time; the last column has the load average of the machine.
"""


def tables(results: Results) -> str:
    parts = [HEAD]
    titles = {name: title for name, (title, _) in ALL.items()} | {
        name: measurement.TITLE for name, measurement in OWN_STORE.items()
    }
    for name, title in titles.items():
        measured = results.of(name)
        headings = list(dict.fromkeys(heading for result in measured for heading in result.figures if heading))
        if not measured:
            continue
        parts.append(f"| {title} | {' | '.join(headings)} | load |\n|{'---|' * (len(headings) + 2)}")
        for result in measured:
            given_up = result.figures.get("", "")
            cells = [result.figures.get(heading, given_up) for heading in headings]
            store = {"sqlite": "SQLite", "redis": "Redis"}[result.store]
            parts.append(f"| {store}, {result.sessions:,} sessions | {' | '.join(cells)} | {result.load} |")
        parts.append("")
    return "\n".join(parts)
