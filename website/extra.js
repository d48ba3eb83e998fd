// What the theme leaves out for those who use a keyboard or a screen reader (WCAG 2.1.1 and 1.3.1).
function reachable() {
  for (const region of document.querySelectorAll(".md-typeset__scrollwrap")) region.tabIndex = 0;
}
// The theme puts wide tables into these regions after this script has run.
new MutationObserver(reachable).observe(document.body, { childList: true, subtree: true });
reachable();
document.querySelector(".md-nav--primary")?.setAttribute("aria-label", "Pages");
