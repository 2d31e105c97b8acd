"""Commands that launch an engine, to located settings: a shell's words, what stands before the engine, its own flags."""
