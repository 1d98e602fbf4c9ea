"""What the commands of this project share: arguments, errors, records, screens."""
