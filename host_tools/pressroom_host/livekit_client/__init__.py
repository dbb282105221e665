"""A client for any LiveKit room that sends and receives Opus as it is. `room.LiveKitRoom` is the way in."""
