// What the simulated Okta reports, in plain words, and why it signs nobody out.

const WORDS = {
  token_issued: {
    tone: "ok",
    text: "gave the BFF the first tokens.",
    why: "They went from server to server. This page was given a cookie that no script can read.",
  },
  refreshed: {
    tone: "ok",
    text: "issued a new access token and replaced the refresh token.",
    why: "The BFF renews ahead of time, so no call has to wait, and stores the result before anyone uses it.",
  },
  resent: {
    tone: "ok",
    text: "answered the repeated request with the token that was lost.",
    why:
      "The BFF wrote down that it was asking before it asked. So it knew to send the old token once more, within the " +
      "grace period in which Okta takes a repeat for what it is and not for theft.",
  },
  lose_answer: {
    tone: "bad",
    text: "replaced the refresh token, and its answer was lost on the way.",
    why: "The BFF is left with a token that Okta has already replaced. A client that forgets this is signed out.",
  },
  down: {
    tone: "bad",
    text: "refuses every connection.",
    why: "A refused connection has used up nothing. The BFF works with the access token it has and keeps trying.",
  },
  up: {
    tone: "ok",
    text: "answers again.",
    why: "The refresh token is as good as before, so the next try renews the session.",
  },
  reuse_alarm: {
    tone: "bad",
    text: "saw a refresh token again after its grace period, and revoked the family.",
    why: "That is how Okta answers theft.",
  },
  refresh_refused: { tone: "bad", text: "refused to renew." },
  refused: { tone: "bad", text: "refused a token request." },
};

/** A journal entry for an event, or null for one that is of no interest here. `before` is the event before it. */
export function entryFor(event, before) {
  // The renewal whose answer is lost is told by its loss.
  if (event.kind === "refreshed" && before?.fault === "lose_answer") return null;
  const kind = event.kind === "fault" ? event.fault : event.kind;
  const words = WORDS[kind];
  return words ? { at: event.at, who: "Okta", kind, ...words } : null;
}
