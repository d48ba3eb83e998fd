// Why the last session ended, in the words of the page. The BFF's list is closed; see docs/sessions.md.

const WORDS = {
  idle_timeout: "You were signed out because nothing happened here for a while.",
  absolute_timeout: "You were signed out because the session had reached its time limit.",
  signed_out: "You have signed out.",
  replaced: "This session ended because you signed in again in this browser.",
  back_channel: "You were signed out because you signed out of Okta elsewhere.",
  front_channel: "You were signed out because you signed out of Okta in this browser.",
  universal_logout: "An administrator signed you out everywhere.",
  security_event: "You were signed out because Okta revoked your session or changed your account.",
  operator: "An operator of this application ended your session.",
  refresh_token_invalid: "You were signed out because Okta no longer renews this session.",
  no_refresh_token: "You were signed out because Okta issued no token to renew the session with.",
  provider_denied: "You were signed out because you no longer have access to this application.",
  rotation_lost: "You were signed out because a renewal could not be completed in time.",
  id_token_mismatch: "You were signed out because Okta's answer was for another application.",
  subject_changed: "You were signed out because Okta's answer was for another user.",
  device_binding_lost: "You were signed out here because this browser could not prove that the session is its own.",
  key_removed: "The encryption key of this session is no longer in use.",
};

export function endedBecause(reason) {
  return reason === null ? null : (WORDS[reason] ?? "Your last session has ended.");
}
