// What tests ask of the official JavaScript client. Functions return what JSON can carry, or a promise of it; what they
// throw reaches the test. `heard` are the room's events, oldest first, until a test takes them.

"use strict";

const { Participant, Room, RoomEvent, Track, TrackPublication, createAudioAnalyser, setLogLevel } = LivekitClient;

const DEADLINE_MS = 10_000;
const FFT_SAMPLES = 8_192; // 6 Hz apart at 48 kHz
const AUDIBLE_DBFS = -50;
const UNPROCESSED = { echoCancellation: false, noiseSuppression: false, autoGainControl: false }; // they end a tone

const heard = [];
const texts = []; // of streams that have ended
let room = null;

setLogLevel("info");

async function join(url, token, options = {}) {
  room = new Room(options);
  for (const name of Object.values(RoomEvent)) {
    room.on(name, (...values) => heard.push({ name, values: values.map(described) }));
  }
  await room.connect(url, token);
  return described(room.localParticipant);
}

// Joins where it may not, and returns what the client makes of it.
async function refusal(url, token, options = {}) {
  try {
    await join(url, token, options);
  } catch (error) {
    return { status: error.status ?? null, message: error.message };
  }
  throw new Error("the page was let in");
}

function leave() {
  return room.disconnect();
}

// Takes the next event of this name, and returns its values.
async function event(name) {
  const index = await until(() => heard.findIndex((one) => one.name === name) + 1, name);
  return heard.splice(index - 1, 1)[0].values;
}

function names() {
  return heard.map((one) => one.name);
}

function remoteIdentities() {
  return [...room.remoteParticipants.keys()];
}

async function setMicrophone(isOn) {
  const publication = await room.localParticipant.setMicrophoneEnabled(isOn, UNPROCESSED);
  return described(publication);
}

// Listens to the microphone of this participant until its strongest frequency is this one.
async function hears(identity, frequencyHz) {
  const track = room.remoteParticipants.get(identity).getTrackPublication(Track.Source.Microphone).audioTrack;
  if (track.attachedElements.length === 0) track.attach(); // Chromium decodes what some element plays
  const { analyser, cleanup } = createAudioAnalyser(track, { fftSize: FFT_SAMPLES, smoothingTimeConstant: 0 });
  const binHz = analyser.context.sampleRate / FFT_SAMPLES;
  let strongestHz = 0;
  try {
    await until(() => {
      strongestHz = strongestFrequencyHz(analyser, binHz);
      return Math.abs(strongestHz - frequencyHz) <= 2 * binHz;
    }, () => `${frequencyHz} Hz from ${identity} (the last was ${Math.round(strongestHz)} Hz)`);
  } finally {
    await cleanup();
  }
}

function publishData(text, reliable) {
  return room.localParticipant.publishData(new TextEncoder().encode(text), { reliable, topic: "news" });
}

function registerGreeting() {
  room.registerRpcMethod("greet", async ({ callerIdentity, payload }) => `${callerIdentity} said ${payload}`);
}

function performRpc(destinationIdentity, method, payload) {
  return room.localParticipant.performRpc({ destinationIdentity, method, payload });
}

function takeTexts(topic) {
  room.registerTextStreamHandler(topic, async (reader, { identity }) => {
    texts.push({ identity, text: await reader.readAll() });
  });
}

async function nextText() {
  await until(() => texts.length, "a text stream");
  return texts.shift();
}

async function sendText(text, topic) {
  await room.localParticipant.sendText(text, { topic });
}

function setAttributes(attributes) {
  return room.localParticipant.setAttributes(attributes);
}

// Private: waiting, looking, describing.

async function until(condition, what) {
  const deadlineMs = performance.now() + DEADLINE_MS;
  for (;;) {
    const value = condition();
    if (value) return value;
    if (performance.now() > deadlineMs) {
      const missing = typeof what === "function" ? what() : what;
      throw new Error(`${missing} did not happen; the page heard ${names().join(", ") || "nothing"}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function strongestFrequencyHz(analyser, binHz) {
  const levels = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(levels);
  let strongest = 0;
  levels.forEach((level, bin) => (strongest = level > levels[strongest] ? bin : strongest));
  return levels[strongest] > AUDIBLE_DBFS ? strongest * binHz : 0;
}

function described(value) {
  if (value instanceof Participant) return { identity: value.identity, name: value.name, attributes: value.attributes };
  if (value instanceof TrackPublication) return { name: value.trackName, source: value.source, isMuted: value.isMuted };
  if (value instanceof Track) return { kind: value.kind };
  if (value instanceof Uint8Array) return new TextDecoder().decode(value);
  if (Array.isArray(value)) return value.map(described);
  if (value === undefined || typeof value === "bigint" || value instanceof Error) return String(value);
  const isPlain = typeof value !== "object" || value === null || Object.getPrototypeOf(value) === Object.prototype;
  return isPlain ? value : value.constructor.name;
}
