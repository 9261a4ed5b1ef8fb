"""What the daemon keeps in and writes into the vault."""
