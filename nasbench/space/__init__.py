"""From a YAML definition to frozen records: search spaces, choices and architectures. No torch here."""
