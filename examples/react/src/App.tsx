import { SignedIn, SignedOut, useBff } from "okta-bff-client/react";
import { IdleDialog } from "./IdleDialog";
import { Orders } from "./Orders";

export function App() {
  const bff = useBff();
  return (
    <main>
      <h1>Orders</h1>
      <SignedIn pending={<p role="status">Checking the session …</p>}>
        {({ user, stale }) => (
          <>
            <p>
              Signed in as <strong>{user.name ?? user.sub}</strong>{" "}
              <button onClick={() => void bff.signOut()}>Sign out</button>
            </p>
            {stale && <p role="status">The server does not answer. You are still signed in.</p>}
            <Orders />
            <IdleDialog />
          </>
        )}
      </SignedIn>
      <SignedOut>
        {({ reason }) => (
          <>
            {reason && reason !== "signed_out" && <p role="status">Your session has ended ({reason}).</p>}
            <button onClick={() => void bff.signIn()}>Sign in</button>
          </>
        )}
      </SignedOut>
    </main>
  );
}
