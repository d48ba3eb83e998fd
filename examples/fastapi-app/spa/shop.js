// One request for the whole screen. The session is in a cookie that no script can read; `X-CSRF` says that this page asks.
const response = await fetch("/screens/home", { headers: { "X-CSRF": "1" } });

if (response.status === 401) {
  location.assign("/auth/login?return_to=" + encodeURIComponent(location.pathname + location.search));
} else if (!response.ok) {
  const problem = await response.json();
  document.querySelector("#hello").textContent = problem.title ?? "Something went wrong";
} else {
  const home = await response.json();
  document.querySelector("#hello").textContent = `Hello ${home.name}${home.city ? ` from ${home.city}` : ""}`;
  for (const order of home.orders) {
    const item = document.createElement("li");
    item.textContent = `Order ${order.id}: ${order.total}`;
    document.querySelector("#orders").append(item);
  }
}
