"""A LiveKit client in a room: its signalling, version 1, and its one peer connection.

The client's requests go to the room; what the room says goes to the client, through a bounded outbox. A client that
does not keep up, or breaks the protocol, is told to reconnect, so that nothing reliable is ever missing in between.
Source: LiveKit protocol, livekit_rtc.proto.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from functools import partial

import structlog
from aiohttp import WSMsgType, web
from google.protobuf.message import DecodeError
from livekit.protocol import models, rtc

from pressroom_host.webrtc.mux import Mux
from pressroom_host.webrtc.peer import Peer
from pressroom_host.webrtc.peer_connection import BacklogFull
from pressroom_host.webrtc.sdp import Offer, parse_offer, write_answer
from pressroom_host.webrtc.sdp_lines import SdpError

from .negotiation import Negotiation, Publication, Subscription
from .participant import MAX_TRACKS, MetadataError, Participant, State
from .room import Room
from .signalling import Outbox, OutboxFull, join_response, leave_response
from .tokens import AccessClaims
from .tracks import OPUS_PAYLOAD_TYPE, PublishedTrack, Sink

log = structlog.get_logger(__name__)

_RELIABLE = "_reliable"  # the data channels every client opens
_LOSSY = "_lossy"
_MAX_NAME_CHARS = 256

Reason = rtc.RequestResponse.Reason
DisconnectReason = models.DisconnectReason


class ClientParticipant(Participant):
    """One WebSocket, one Peer. `run` is its life."""

    def __init__(self, room: Room, claims: AccessClaims, mux: Mux, request: rtc.JoinRequest) -> None:
        super().__init__(room, claims)
        self.client_protocol = request.client_info.client_protocol
        self.n_bad_requests = 0
        self._request = request
        self._auto_subscribes = request.connection_settings.auto_subscribe
        self._negotiation = Negotiation()
        self._sinks: dict[str, Sink] = {}  # by track sid, of subscriptions
        self._first_offer: Offer | None = None
        self._answer_version = 0
        self._outbox = Outbox()
        self._peer: Peer = mux.add_peer(self)

    async def run(self, socket: web.WebSocketResponse) -> None:
        """Join, serve the client until it is gone, leave."""
        writer = asyncio.create_task(self._outbox.write_to(socket), name=f"signalling {self.sid}")
        try:
            self._enter()
            async for message in socket:
                if message.type == WSMsgType.BINARY:
                    self._receive(message.data)
                else:
                    self.n_bad_requests += 1  # JSON signalling is not spoken
        finally:
            self.room.leave(self, DisconnectReason.SIGNAL_CLOSE)
            self._outbox.end()
            await self._peer.close()
            await asyncio.wait([writer])

    # From the room.

    def on_participant(self, info: models.ParticipantInfo) -> None:
        self._send(rtc.SignalResponse(update=rtc.ParticipantUpdate(participants=[info])))

    def on_participant_left(self, info: models.ParticipantInfo) -> None:
        self._send(rtc.SignalResponse(update=rtc.ParticipantUpdate(participants=[info])))

    def on_track(self, track: PublishedTrack) -> None:
        if self._auto_subscribes:
            self._subscribe(track)

    def on_track_gone(self, track: PublishedTrack) -> None:
        self._unsubscribe(track)

    def on_track_muted(self, track: PublishedTrack) -> None:
        """Nothing: the update of its owner says it."""

    def on_track_subscribed(self, track: PublishedTrack) -> None:
        self._send(rtc.SignalResponse(track_subscribed=rtc.TrackSubscribed(track_sid=track.sid)))

    def on_mute_requested(self, track: PublishedTrack, is_muted: bool) -> None:
        self._send(rtc.SignalResponse(mute=rtc.MuteTrackRequest(sid=track.sid, muted=is_muted)))

    def on_data(self, packet: models.DataPacket, payload: bytes, is_reliable: bool) -> None:
        try:
            self._peer.send_data(_RELIABLE if is_reliable else _LOSSY, payload, is_reliable)
        except BacklogFull as error:
            self._send_away(str(error))

    def on_removed(self, reason: models.DisconnectReason) -> None:
        if reason not in (DisconnectReason.CLIENT_INITIATED, DisconnectReason.SIGNAL_CLOSE):
            self._send(leave_response(reason))
        self._outbox.end()

    # From the peer connection.

    def on_peer_connected(self) -> None:
        if not self._is_in():
            return
        self.room.activate(self)
        for subscription in self._negotiation.subscriptions():
            self.room.subscribed(subscription.track)

    def on_peer_data(self, label: str, payload: bytes) -> None:
        if label not in (_RELIABLE, _LOSSY) or not self._is_in():
            return
        try:
            packet = models.DataPacket.FromString(payload)
        except DecodeError:
            self.n_bad_requests += 1
            return
        self.room.send_data(self, packet, is_reliable=label == _RELIABLE)

    def on_peer_lost(self, why: str) -> None:
        self._send_away(f"media {why}", DisconnectReason.CONNECTION_TIMEOUT)

    # Joining.

    def _enter(self) -> None:
        """The JoinResponse has to be the first message; the room announces nothing to the one that joins."""
        request = self._request
        if self.grants.can_update_own_metadata:
            with contextlib.suppress(MetadataError):  # too long: it joins without
                self.update_metadata("", request.metadata, request.participant_attributes)
        self.room.join(self)
        others = [other for other in self.room.participants.values() if other is not self]
        self._send(join_response(self, others))
        for add_track in request.add_track_requests:
            self._on_add_track(add_track)
        if self._auto_subscribes:
            for other in others:
                for track in other.tracks.values():
                    self._want(track)
        if request.publisher_offer.sdp:
            self._on_offer(request.publisher_offer)

    # Requests.

    def _receive(self, data: bytes) -> None:
        if not self._is_in():
            return
        try:
            request = rtc.SignalRequest.FromString(data)
        except DecodeError:
            self.n_bad_requests += 1
            return
        kind = request.WhichOneof("message")
        handler = self._handlers().get(kind or "")
        if handler is not None:
            handler(getattr(request, kind))

    def _handlers(self) -> dict[str, Callable[..., None]]:
        """What is not here is left unanswered: trickle (STUN finds the client), video layers, data tracks."""
        return {
            "offer": self._on_offer,
            "add_track": self._on_add_track,
            "mute": self._on_mute,
            "subscription": self._on_subscription,
            "track_setting": self._on_track_setting,
            "update_metadata": self._on_update_metadata,
            "ping": self._on_ping,
            "ping_req": self._on_ping_req,
            "leave": self._on_leave,
        }

    def _on_offer(self, description: rtc.SessionDescription) -> None:
        try:
            offer = parse_offer(description.sdp)
        except SdpError as error:
            self._send_away(str(error))
            return
        first = self._first_offer = self._first_offer or offer
        if (offer.ice_ufrag, offer.fingerprints) != (first.ice_ufrag, first.fingerprints):
            self._send_away("ICE restart")
            return
        self._peer.start(offer)
        outcome = self._negotiation.answer(offer)
        self._answer_version += 1
        sdp = write_answer(self._peer.transport, self._answer_version, outcome.sections)
        self._send(
            rtc.SignalResponse(
                answer=rtc.SessionDescription(
                    type="answer", sdp=sdp, id=description.id, mid_to_track_id=outcome.mid_to_track_id
                )
            )
        )
        for publication in outcome.ended:
            self._end_publication(publication)
        for publication in outcome.started:
            self._start_publication(publication)
        for subscription in outcome.unsubscribed:
            self._stop_subscription(subscription)
        for subscription in outcome.subscribed:
            self._start_subscription(subscription)
        if self._negotiation.should_ask_again():
            self._ask_for_offer()

    def _on_add_track(self, request: rtc.AddTrackRequest) -> None:
        refusal = self._refusal(request)
        if refusal is not None:
            reason, message = refusal
            self._send(
                rtc.SignalResponse(
                    request_response=rtc.RequestResponse(reason=reason, message=message, add_track=request)
                )
            )
            return
        info = models.TrackInfo(
            type=request.type,
            name=request.name,
            muted=request.muted,
            source=request.source,
            mime_type="audio/opus",
            disable_dtx=request.disable_dtx,
            disable_red=True,
            stereo=request.stereo,
            stream=request.stream,
            encryption=request.encryption,
            audio_features=request.audio_features,
            codecs=[models.SimulcastCodecInfo(mime_type="audio/opus", cid=request.cid)],
        )
        track = self._negotiation.pending[request.cid] = self.room.new_track(self, info)
        self._send(rtc.SignalResponse(track_published=rtc.TrackPublishedResponse(cid=request.cid, track=track.info)))

    def _refusal(self, request: rtc.AddTrackRequest) -> tuple[rtc.RequestResponse.Reason, str] | None:
        if request.type != models.TrackType.AUDIO:
            return Reason.UNSUPPORTED_TYPE, "this room carries audio tracks only"
        if not self.may_publish(request.source):
            return Reason.NOT_ALLOWED, "the token does not grant canPublish for this source"
        if len(self.tracks) + len(self._negotiation.pending) >= MAX_TRACKS:
            return Reason.LIMIT_EXCEEDED, f"a participant publishes at most {MAX_TRACKS} tracks"
        if max(len(request.cid), len(request.name), len(request.stream)) > _MAX_NAME_CHARS:
            return Reason.INVALID_REQUEST, f"cid, name and stream have at most {_MAX_NAME_CHARS} characters"
        return None

    def _on_mute(self, request: rtc.MuteTrackRequest) -> None:
        track = self.tracks.get(request.sid)
        if track is not None:
            self.room.set_muted(track, request.muted)
            return
        for pending in self._negotiation.pending.values():
            if pending.sid == request.sid:
                pending.info.muted = request.muted

    def _on_subscription(self, request: rtc.UpdateSubscription) -> None:
        sids = {*request.track_sids, *(sid for group in request.participant_tracks for sid in group.track_sids)}
        for track in [track for track in self.room.tracks() if track.sid in sids]:
            if request.subscribe:
                self._subscribe(track)
            else:
                self._unsubscribe(track)

    def _on_track_setting(self, request: rtc.UpdateTrackSettings) -> None:
        for track_sid in request.track_sids:
            subscription, sink = self._negotiation.subscription(track_sid), self._sinks.get(track_sid)
            if subscription is not None and sink is not None:
                subscription.track.remove_sink(sink)
                if not request.disabled:
                    subscription.track.add_sink(sink)

    def _on_update_metadata(self, request: rtc.UpdateParticipantMetadata) -> None:
        reason, message = Reason.OK, ""
        if not self.grants.can_update_own_metadata:
            reason, message = Reason.NOT_ALLOWED, "the token does not grant canUpdateOwnMetadata"
        else:
            try:
                self.room.update_metadata(self, request.name, request.metadata, request.attributes)
            except MetadataError as error:
                reason, message = Reason.LIMIT_EXCEEDED, str(error)
        response = rtc.RequestResponse(request_id=request.request_id, reason=reason, message=message)
        self._send(rtc.SignalResponse(request_response=response))

    def _on_ping(self, timestamp: int) -> None:
        self._send(rtc.SignalResponse(pong=_now_ms()))

    def _on_ping_req(self, ping: rtc.Ping) -> None:
        self._send(rtc.SignalResponse(pong_resp=rtc.Pong(last_ping_timestamp=ping.timestamp, timestamp=_now_ms())))

    def _on_leave(self, request: rtc.LeaveRequest) -> None:
        self.room.leave(self, DisconnectReason.CLIENT_INITIATED)

    # Tracks.

    def _start_publication(self, publication: Publication) -> None:
        track = publication.track
        track.info.mid = publication.mid
        track.set_payload_type(publication.payload_type)
        for ssrc in publication.ssrcs:
            self._peer.listen(ssrc, track.forward)
        self.room.publish(track)

    def _end_publication(self, publication: Publication) -> None:
        for ssrc in publication.ssrcs:
            self._peer.unlisten(ssrc)
        self.room.unpublish(publication.track)
        self._send(rtc.SignalResponse(track_unpublished=rtc.TrackUnpublishedResponse(track_sid=publication.track.sid)))

    def _want(self, track: PublishedTrack) -> bool:
        return self.grants.can_subscribe and track.owner is not self and self._negotiation.want(track)

    def _subscribe(self, track: PublishedTrack) -> None:
        if self._want(track):
            self._ask_for_offer()

    def _start_subscription(self, subscription: Subscription) -> None:
        track = subscription.track
        sink: Sink = self._peer.send_rtp
        if subscription.payload_type != OPUS_PAYLOAD_TYPE:
            sink = partial(_send_as, self._peer, subscription.payload_type)
        self._sinks[track.sid] = sink
        track.add_sink(sink)
        if self.state == State.ACTIVE:
            self.room.subscribed(track)

    def _unsubscribe(self, track: PublishedTrack) -> None:
        subscription = self._negotiation.unwant(track)
        if subscription is not None:
            self._stop_subscription(subscription)
            self._ask_for_offer()

    def _stop_subscription(self, subscription: Subscription) -> None:
        track = subscription.track
        track.remove_sink(self._sinks.pop(track.sid))
        self._peer.forget_sent(track.ssrc)

    def _ask_for_offer(self) -> None:
        """Only the client offers; it does when told how many sections it lacks, even if that is none."""
        if self._first_offer is not None and self._is_in():
            n_missing = self._negotiation.n_missing_sections()
            self._send(
                rtc.SignalResponse(media_sections_requirement=rtc.MediaSectionsRequirement(num_audios=n_missing))
            )

    # The outbox.

    def _send(self, response: rtc.SignalResponse) -> None:
        try:
            self._outbox.put(response)
        except OutboxFull as error:
            self._send_away(str(error))

    def _send_away(self, why: str, reason: models.DisconnectReason = DisconnectReason.STATE_MISMATCH) -> None:
        if not self._is_in():
            return
        log.info("client sent away", room=self.room.name, identity=self.identity, why=why)
        self.room.leave(self, reason)

    def _is_in(self) -> bool:
        return self.state != State.DISCONNECTED


def _send_as(peer: Peer, payload_type: int, packet: bytes) -> None:
    peer.send_rtp(packet[:1] + bytes((packet[1] & 0x80 | payload_type,)) + packet[2:])


def _now_ms() -> int:
    return int(time.time() * 1000)
