"""Ray, as this program has it. Of what ships, this folder alone imports it."""
