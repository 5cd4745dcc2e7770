"""The replay debugger's questions, as pure functions: envelopes and states in, frozen structs out; no I/O."""
