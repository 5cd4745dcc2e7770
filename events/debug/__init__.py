"""The replay debugger's questions: pure functions from events and states to frozen structs, with nothing printed."""
