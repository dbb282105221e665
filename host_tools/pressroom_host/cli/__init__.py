"""The command `pressroom`: one file a command, and in it one click command of the same name."""
