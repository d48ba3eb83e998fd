"""What axe-core finds wrong with a page, on a desk and on a phone, in light and dark."""

from importlib.resources import files
from typing import Any, Final, Literal

from playwright.async_api import Page

AXE: Final = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
SIZES: Final = {"desktop": (1280, 900), "phone": (375, 740)}
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
# Finishes what moves, so that no colour is measured half way.
SETTLED: Final = """async () => {
  for (const moving of document.getAnimations()) moving.finish();
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""


async def accessibility_findings(page: Page, *, every_look: bool) -> list[str]:
    """One line for each violation of a rule of axe-core, and for what is too wide for the screen; none is excepted.

    With `every_look` each size in both colour schemes; otherwise light on a desktop and dark on a phone.
    """
    found = []
    for (size, (width, height)), scheme_of_size in zip(SIZES.items(), SCHEMES, strict=True):
        await page.set_viewport_size({"width": width, "height": height})
        for scheme in SCHEMES if every_look else (scheme_of_size,):
            await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            await page.evaluate(SETTLED)
            found += [f"{size}, {scheme}: {finding}" for finding in await _violations(page)]
        overflow = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        found += [f"{size}: {overflow} px too wide"] if overflow > 0 else []
    return found


async def _violations(page: Page) -> list[str]:
    # As an expression of the protocol: a script element would violate the Content-Security-Policy of most pages.
    if not await page.evaluate("() => 'axe' in window"):
        await page.evaluate(f"() => {{ {AXE} }}")
    result: dict[str, Any] = await page.evaluate("() => window.axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{violation['id']} at {node['target']}: {' '.join(node['failureSummary'].split())}"
        for violation in result["violations"]
        for node in violation["nodes"]
    ]
