// The page: shows one of two views, by the session that the client knows. Only the board shows private data.

import { createBff } from "./okta-bff-client.js";
import { Board } from "./board.js";
import { endedBecause } from "./end-reasons.js";

const body = document.body;
const whoName = document.querySelector("#who-name");
const pristine = document.querySelector(".board").cloneNode(true);
// The calls of the page show each 503 at once, so they do not wait unless they ask for it.
const bff = createBff({ maxWait: 0 });
let board = null;
let leaving = false;

function show(session) {
  if (leaving) return; // the next page shows it
  if (session.status === "authenticated") showBoard(session);
  else if (session.status === "anonymous") showWelcome(session.reason);
  else if (session.status === "pending") showQuestion();
  // `unavailable`: the session may be valid, so the view stays.
}

function showBoard(session) {
  if (board?.user.sub === session.user.sub) return;
  takeDown();
  board = new Board(document.querySelector(".board"), bff, session);
  whoName.textContent = session.user.name ?? session.user.preferred_username ?? session.user.sub;
  body.dataset.view = "in";
  focusOn("#headline-title");
  board.start();
}

function showWelcome(reason) {
  takeDown();
  const ended = document.querySelector("#ended");
  const words = endedBecause(reason);
  if (words) ended.textContent = words;
  ended.hidden = !ended.textContent;
  const changed = body.dataset.view !== "out";
  body.dataset.view = "out";
  if (words) focusOn("#ended");
  else if (changed) focusOn("#welcome-title");
}

function showQuestion() {
  takeDown();
  body.dataset.view = "asking";
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

document.querySelector("#sign-in").addEventListener("click", (click) => {
  click.preventDefault();
  bff.signIn();
});

document.querySelector("#sign-out").addEventListener("click", async (click) => {
  click.target.disabled = true;
  leaving = true;
  await board?.stop();
  try {
    const url = await bff.signOut({ navigate: false });
    showQuestion();
    location.assign(url ?? "/");
  } catch (error) {
    leaving = false;
    alert(`You are still signed in: ${error.message}`);
    takeDown();
    show(await bff.session.refresh());
  } finally {
    click.target.disabled = false;
  }
});

window.addEventListener("pageshow", (event) => {
  if (event.persisted) leaving = false; // from the back/forward cache
});

bff.session.subscribe(show);
