import react from "@vitejs/plugin-react";
import { bff } from "okta-bff-client/vite";
import { defineConfig } from "vite";

export default defineConfig({ plugins: [react(), bff()] });
