// What a test needs of an application: the session as text, a draft that must not be lost, and what came of each button.
import { createBff } from "/client/index.js";

let signedIn = () => {};
const bff = createBff({
  pollInterval: 1e9, // what happens elsewhere arrives by the event stream alone
  onSignInRequired(problem) {
    client.problem = problem;
    return new Promise((resolve) => (signedIn = resolve));
  },
});
const results = {};
const client = (globalThis.client = { bff, results, problem: null });

const shown = document.querySelector("#session");
const show = ({ status, user, reason, stale, expiring }) => {
  const words = [status, user?.email, reason, stale && "stale", expiring && "expiring"];
  shown.textContent = words.filter(Boolean).join(" ");
};
bff.session.subscribe(show);
show(bff.session.get());

const record = (name, work) =>
  document.querySelector(`#${name}`).addEventListener("click", async () => {
    results[name] = "…";
    try {
      results[name] = await work();
    } catch (error) {
      results[name] = error.name;
    }
  });

record("redirect", () => bff.signIn());
record("popup", async () => {
  const done = await bff.signIn({ mode: "popup" });
  signedIn(done);
  return done;
});
record("step-up", async () => {
  const done = await bff.stepUp(client.problem, { mode: "popup" });
  signedIn(done);
  return done;
});
record("sign-out", () => bff.signOut());
record("extend", async () => (await bff.extend()).status);
