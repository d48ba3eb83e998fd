"""The real demo, driven in a real Chromium: what a person sees, and what the browser never gets to see."""
