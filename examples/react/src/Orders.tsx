import { BffProblem, StepUpRequired } from "okta-bff-client";
import { fetchJson } from "okta-bff-client/query";
import { useBff } from "okta-bff-client/react";
import { useState } from "react";

/** Calls an API behind the BFF. What was typed stays, whatever happens to the session. */
export function Orders() {
  const bff = useBff();
  const [note, setNote] = useState("");
  const [answer, setAnswer] = useState("");

  async function load(): Promise<void> {
    try {
      setAnswer(JSON.stringify(await fetchJson(bff, "/api/orders"), null, 2));
    } catch (error) {
      if (error instanceof StepUpRequired && (await bff.stepUp(error, { mode: "popup" }))) return load();
      setAnswer(error instanceof BffProblem ? error.message : `The API does not answer: ${String(error)}`);
    }
  }

  return (
    <section>
      <label>
        Note <input value={note} onChange={(event) => setNote(event.target.value)} />
      </label>{" "}
      <button onClick={() => void load()}>Load the orders</button>
      <pre aria-live="polite">{answer}</pre>
    </section>
  );
}
