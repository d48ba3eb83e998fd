import { createBff } from "okta-bff-client";
import { bffPlugin } from "okta-bff-client/vue";
import { createApp } from "vue";
import App from "./App.vue";

createApp(App).use(bffPlugin(createBff())).mount("#app");
