"""For tests of azft, of plugins, and of programs that use either; nothing else imports it."""
