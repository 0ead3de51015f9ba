"""What drives Chromium (.mjs), and the messages for it."""
