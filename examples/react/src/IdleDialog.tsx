import { useIdleWarning } from "okta-bff-client/react";

/** Asks whether the user is still there, two minutes before the session ends. */
export function IdleDialog() {
  const warning = useIdleWarning();
  if (!warning) return null;
  return (
    <dialog open>
      <p>Your session ends in {warning.secondsLeft} seconds.</p>
      {warning.reason === "idle_timeout" && <button onClick={() => void warning.extend()}>Stay signed in</button>}
    </dialog>
  );
}
