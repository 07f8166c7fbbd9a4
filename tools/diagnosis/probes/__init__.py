"""Programs that the doctor runs in processes of their own; each writes what it finds as JSON."""
