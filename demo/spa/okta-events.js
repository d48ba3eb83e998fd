// Descriptions of the simulated Okta's events, and why none of them signs the user out.

const WORDS = {
  token_issued: {
    tone: "ok",
    text: "gave the BFF the first tokens.",
    why: "They went from server to server. This page got a cookie that no script can read.",
  },
  refreshed: {
    tone: "ok",
    text: "issued a new access token and replaced the refresh token.",
    why: "The BFF renews before expiry, so no call has to wait, and stores the result before it is used.",
  },
  resent: {
    tone: "ok",
    text: "answered the repeated request with the token that was lost.",
    why:
      "The BFF had stored the attempt before it sent the request. So it could send the old token once more, within the " +
      "grace period in which Okta accepts a repeated request and does not treat it as theft.",
  },
  lose_answer: {
    tone: "bad",
    text: "replaced the refresh token, and its answer was lost on the way.",
    why: "The BFF has only a token that Okta has already replaced. A client that does not know this is signed out.",
  },
  slow: {
    tone: "wait",
    text: "takes its time with a renewal.",
    why: "The access token runs out meanwhile. Calls that come now wait for this one request, and send none of their own.",
  },
  down: {
    tone: "bad",
    text: "refuses every connection.",
    why: "A refused connection consumes no token. The BFF uses the access token it has and keeps retrying.",
  },
  up: {
    tone: "ok",
    text: "answers again.",
    why: "The refresh token is still valid, so the next attempt renews the session.",
  },
  reuse_alarm: {
    tone: "bad",
    text: "saw a refresh token again after its grace period, and revoked the family.",
    why: "This is Okta's reaction to a stolen token.",
  },
  refresh_refused: { tone: "bad", text: "refused to renew." },
  refused: { tone: "bad", text: "refused a token request." },
};

/** A journal entry for an event, or null for one that is not shown. `before` is the previous event. */
export function entryFor(event, before) {
  // A refresh whose response is lost has an entry for the loss.
  if (event.kind === "refreshed" && before?.fault === "lose_answer") return null;
  const kind = event.kind === "fault" ? event.fault : event.kind;
  const words = WORDS[kind];
  return words ? { at: event.at, who: "Okta", kind, ...words } : null;
}
