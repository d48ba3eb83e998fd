// The page: requests the session and shows one of two views. Only the board shows private data.

import { BffClient } from "./bff-client.js";
import { Board } from "./board.js";
import { endedBecause } from "./end-reasons.js";

const body = document.body;
const whoName = document.querySelector("#who-name");
const pristine = document.querySelector(".board").cloneNode(true);
const otherTabs = new BroadcastChannel("session");
const client = new BffClient({ onSignInRequired: () => ask(), onSignedOut: showWelcome });
let board = null;
let asking = null;
let leaving = false;

/** Requests the session from the BFF and shows it. Concurrent callers share one request. */
function ask() {
  if (leaving) return Promise.resolve(); // the next page requests it
  asking ??= show().finally(() => (asking = null));
  return asking;
}

async function show() {
  try {
    const answer = await client.session(); // `onSignedOut` shows the other view
    if (answer.authenticated) showBoard(answer);
  } catch {
    // The BFF or its store is unavailable: the session may still be valid, so the view stays.
    setTimeout(ask, 2000);
  }
}

function showBoard(answer) {
  if (board?.user.sub === answer.user.sub) return;
  takeDown();
  board = new Board(document.querySelector(".board"), client, answer);
  whoName.textContent = answer.user.name ?? answer.user.preferred_username ?? answer.user.sub;
  body.dataset.view = "in";
  focusOn("#headline-title");
  board.start();
}

function showWelcome(reason) {
  takeDown();
  document.querySelector("#sign-in").href = client.signInUrl(location.pathname + location.search + location.hash);
  const ended = document.querySelector("#ended");
  const words = endedBecause(reason);
  // The BFF returns the reason once; a later response without it must not remove the text.
  if (words) ended.textContent = words;
  ended.hidden = !ended.textContent;
  const changed = body.dataset.view !== "out";
  body.dataset.view = "out";
  if (words) focusOn("#ended");
  else if (changed) focusOn("#welcome-title");
}

/** A new view begins at its message or heading, also for those who do not see it; a control in use keeps the focus. */
function focusOn(selector) {
  const active = document.activeElement;
  if (active && active !== body && active.checkVisibility?.()) return;
  document.querySelector(selector).focus({ preventScroll: true });
}

/** Removes all private data from the page, also for the back button. */
function takeDown() {
  board?.stop();
  board = null;
  whoName.textContent = "";
  document.querySelector(".board").replaceWith(pristine.cloneNode(true));
}

document.querySelector("#sign-out").addEventListener("click", async (click) => {
  click.target.disabled = true;
  // The BFF returns the end reason once: the next page has to get it, not a request still in progress here.
  leaving = true;
  await Promise.all([board?.stop(), asking]);
  try {
    const url = await client.signOut();
    takeDown();
    body.dataset.view = "asking";
    otherTabs.postMessage("changed");
    location.assign(url ?? "/");
  } catch (error) {
    leaving = false;
    alert(`You are still signed in: ${error.message}`);
    takeDown();
    ask();
  } finally {
    click.target.disabled = false;
  }
});

otherTabs.addEventListener("message", () => ask());
document.addEventListener("visibilitychange", () => document.hidden || ask());
window.addEventListener("pageshow", (event) => {
  // A page from the back/forward cache shows the state of the time when it was left.
  if (!event.persisted) return;
  leaving = false;
  takeDown();
  body.dataset.view = "asking";
  ask();
});

await ask();
otherTabs.postMessage("changed");
