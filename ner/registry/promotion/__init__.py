"""What happens after a person has made a version champion: checks, history, rollback."""
