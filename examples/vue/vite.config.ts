import vue from "@vitejs/plugin-vue";
import { bff } from "okta-bff-client/vite";
import { defineConfig } from "vite";

export default defineConfig({ plugins: [vue(), bff()] });
