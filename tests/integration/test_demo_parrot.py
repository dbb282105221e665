"""The parrot, a process of its own, with nobody but a room and a member of it that speaks Opus."""

import asyncio
import itertools
import struct
import time

import numpy as np
import opuslib_next as opuslib
import pytest
from livekit import api
from livekit.protocol import models

from pressroom_host.demo import measure
from pressroom_host.demo.parrot_process import ParrotFailed, ParrotProcess
from pressroom_host.demo.speech import script
from pressroom_host.room.server import RoomServer
from pressroom_host.room.tokens import AccessClaims, Grants
from pressroom_host.sim.sound import RATE_HZ

KEY, SECRET = "APIparrot", "a-secret-for-tests-of-at-least-32-bytes"
FRAME = RATE_HZ // 50
DEADLINE_S = 20


class Ear:
    """A RoomListener that decodes what the parrot says."""

    def __init__(self):
        self.decoder = opuslib.Decoder(RATE_HZ, 1)
        self.frames = {}  # by timestamp
        self.has_track = asyncio.Event()

    def on_track(self, info, track):
        if info.identity == "parrot":
            self.has_track.set()

    def on_rtp(self, track_sid, packet):
        (timestamp,) = struct.unpack_from(">I", packet, 4)
        pcm = np.frombuffer(self.decoder.decode(packet[12:], 5760), dtype=np.int16)
        self.frames[timestamp] = (time.monotonic(), pcm)

    def heard(self):
        """Return what was said, with its pauses."""
        if not self.frames:
            return np.zeros(0, dtype=np.int16)
        first, last = min(self.frames), max(self.frames)
        samples = np.zeros((last - first) // 3 + 5 * FRAME, dtype=np.int16)
        for timestamp, (_, pcm) in self.frames.items():
            at = (timestamp - first) // 3
            samples[at : at + len(pcm)] = pcm
        return samples

    def __getattr__(self, name):
        if name.startswith("on_"):
            return lambda *_: None
        raise AttributeError(name)


class Kitchen:
    """A participant that says recordings, muted before and after."""

    def __init__(self, track):
        self.track = track
        self.encoder = opuslib.Encoder(RATE_HZ, 1, opuslib.APPLICATION_RESTRICTED_LOWDELAY)
        self.seq = itertools.count(1)
        self.timestamp = itertools.count(960, 960)

    async def say(self, samples):
        """Return when the last packet was sent."""
        quiet = np.zeros(10 * FRAME - len(samples) % FRAME, dtype=np.int16)
        frames = np.concatenate((np.zeros(5 * FRAME, dtype=np.int16), samples, quiet)).reshape(-1, FRAME)
        self.track.set_muted(False)
        begun_s = time.monotonic()
        for n, frame in enumerate(frames):
            await asyncio.sleep(max(0, begun_s + n * 0.02 - time.monotonic()))
            header = struct.pack(">BBHII", 0x80, 111, next(self.seq), next(self.timestamp), 7)
            self.track.send_rtp(header + self.encoder.encode(frame.tobytes(), FRAME))
        self.track.set_muted(True)
        return time.monotonic()


def token(identity, room="hall"):
    grants = api.VideoGrants(room_join=True, room=room, can_publish=True, can_subscribe=True)
    return api.AccessToken(KEY, SECRET).with_identity(identity).with_grants(grants).to_jwt()


@pytest.fixture
async def room():
    server = await RoomServer.start(api_key=KEY, api_secret=SECRET)
    yield server
    await server.stop()


@pytest.fixture
async def ear():
    return Ear()


@pytest.fixture
async def kitchen(room, ear):
    grants = Grants(room_join=True, can_publish=True, can_subscribe=True)
    member = room.join(AccessClaims(identity="kitchen", room="hall", grants=grants), ear)
    return Kitchen(member.publish_audio("mic", models.TrackSource.MICROPHONE, muted=True))


@pytest.fixture
async def parrot(room, kitchen, ear):
    bird = await ParrotProcess.start(room.url, token("parrot"), "kitchen")
    await bird.wait_for("subscribed", DEADLINE_S)
    await asyncio.wait_for(ear.has_track.wait(), DEADLINE_S)
    yield bird
    assert await bird.stop() == 0


async def test_it_says_back_all_it_heard_once_the_other_is_muted(kitchen, parrot, ear):
    for speech in script()[:2]:
        ear.frames.clear()
        n_told = len(parrot.events)
        muted_s = await kitchen.say(speech.samples)
        said = await parrot.wait_for("said", DEADLINE_S, since=n_told)
        await parrot.wait_for("finished", DEADLINE_S, since=n_told)
        judgement = measure.judge(speech.samples, ear.heard())
        assert judgement.reasons == ()
        assert 0 <= said["at_s"] - muted_s < 0.5
        assert [at_s for at_s, pcm in ear.frames.values() if np.abs(pcm).max() > 100 and at_s < muted_s] == []


async def test_it_falls_silent_when_it_is_interrupted_and_answers_what_comes_then(kitchen, parrot, ear):
    first, second, _ = script()
    await kitchen.say(first.samples)
    await parrot.wait_for("said", DEADLINE_S)
    ear.frames.clear()
    await kitchen.say(second.samples)
    await parrot.wait_for("finished", DEADLINE_S)
    assert measure.judge(second.samples, ear.heard()).is_good
    assert not measure.judge(first.samples, ear.heard()).has_last


async def test_a_token_that_is_refused_is_one_event_and_exit_code_1(room):
    bird = await ParrotProcess.start(room.url, "not-a-token", "kitchen")
    with pytest.raises(ParrotFailed, match="401"):
        await bird.wait_for("joined", DEADLINE_S)
    assert await bird.stop() == 1


async def test_it_leaves_when_whoever_started_it_is_gone(parrot, room):
    await parrot.stop()
    assert [p.identity for p in room.rooms["hall"].participants.values()] == ["kitchen"]
