"""The scripted conversation: its recordings, the parrot that answers, and the ear that judges what came back."""
