"""Published runs from download to verdict, and the facts that each of them begins from."""
