// The page shows what the session store says, in every tab. The session is in a cookie that no script can read.
import { createBff } from "./okta-bff-client.js";

const bff = createBff();
const [hello, orders, signIn, signOut] = ["hello", "orders", "sign-in", "sign-out"].map((id) => document.getElementById(id));
let shownFor = null; // whose orders are on the page

signIn.addEventListener("click", () => bff.signIn());
signOut.addEventListener("click", () =>
  bff.signOut().catch((problem) => (hello.textContent = `You are still signed in: ${problem.message}`)),
);
bff.session.subscribe(show);

function show({ status, user, reason }) {
  signIn.hidden = status !== "anonymous";
  signOut.hidden = !user;
  if (user && user.sub === shownFor) return; // only the deadlines have changed, or an outage has begun or ended
  shownFor = user?.sub ?? null;
  orders.replaceChildren();
  if (user) void showHome(user);
  else if (status === "anonymous") {
    const ended = reason && reason !== "signed_out";
    hello.textContent = ended ? `Your session has ended (${reason}).` : "Sign in to see your orders.";
  } else hello.textContent = status === "unavailable" ? "The shop does not answer. It is asked again." : "Loading";
}

/** One request for the whole screen. `bff.fetch` waits out a short outage, and throws what the BFF itself answers. */
async function showHome(user) {
  hello.textContent = `Hello ${user.name}`;
  try {
    const response = await bff.fetch("/screens/home");
    if (!response.ok) throw new Error("The orders are not available at the moment.");
    const home = await response.json();
    if (shownFor !== user.sub) return; // signed out meanwhile
    hello.textContent = `Hello ${home.name}${home.city ? ` from ${home.city}` : ""}`;
    orders.replaceChildren(...home.orders.map(({ id, total }) => item(`Order ${id}: ${total}`)));
  } catch (problem) {
    if (shownFor === user.sub) hello.textContent = problem.message;
  }
}

function item(text) {
  const element = document.createElement("li");
  element.textContent = text;
  return element;
}
