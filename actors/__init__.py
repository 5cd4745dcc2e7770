"""The imperative shell: each part of the operating system is a Ray actor, one module each."""
