// What is changed in SDP, and that nothing else is.
import assert from "node:assert/strict";
import { test } from "node:test";
import { withOpusSettings, withStereoDecoding } from "../src/meeting/sdp";

const lines = (...all: string[]) => all.join("\r\n") + "\r\n";
const head = lines("v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0");
const audio = (mid: string, fmtp = "a=fmtp:111 minptime=10") =>
  lines("m=audio 9 UDP/TLS/RTP/SAVPF 111 0", `a=mid:${mid}`, "a=rtpmap:111 opus/48000/2", fmtp, "a=rtpmap:0 PCMU/8000");
const video = lines("m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:2", "a=rtpmap:96 VP8/90000");

test("speech may be silent, the sound of a screen is stereo, pictures stay as they are", () => {
  const changed = withOpusSettings(head + audio("0") + audio("1") + video, ["1"]);
  assert.ok(changed.includes("a=mid:0\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;usedtx=1;useinbandfec=1\r\n"));
  assert.ok(changed.includes("a=mid:1\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;stereo=1;sprop-stereo=1;useinbandfec=1\r\n"));
  assert.ok(changed.startsWith(head) && changed.endsWith(video));
});

test("a section without settings gets a line, one without Opus none", () => {
  const bare = lines("m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=mid:0", "a=rtpmap:111 opus/48000/2");
  assert.ok(withStereoDecoding(head + bare).includes("a=rtpmap:111 opus/48000/2\r\na=fmtp:111 stereo=1"));
  const other = lines("m=audio 9 UDP/TLS/RTP/SAVPF 0", "a=mid:0", "a=rtpmap:0 PCMU/8000");
  assert.equal(withStereoDecoding(head + other), head + other);
  assert.equal(withOpusSettings("", []), "");
});
