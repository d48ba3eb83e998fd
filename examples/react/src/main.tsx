import { createBff } from "okta-bff-client";
import { BffProvider } from "okta-bff-client/react";
import { createRoot } from "react-dom/client";
import { App } from "./App";

const bff = createBff();

createRoot(document.querySelector("#root")!).render(
  <BffProvider bff={bff}>
    <App />
  </BffProvider>,
);
