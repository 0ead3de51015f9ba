// As much SDP as sfu_load's signaling needs: sections of a description, and offers and answers as a browser would write them,
// with one transport for all of it. (bench/sfu/sdp.py is its sibling for measuring.)
const AUDIO_PT = 111;
const VIDEO_PT = 96;
const EXTENSIONS = new Map([
  ['urn:ietf:params:rtp-hdrext:ssrc-audio-level', 1],
  ['urn:ietf:params:rtp-hdrext:sdes:mid', 4],
]);

const valuesOf = (lines, name) => lines.filter((line) => line.startsWith(`a=${name}:`)).map((line) => line.slice(name.length + 3));

// [{ kind, protocol, lines }], each with the session's own lines behind its own.
function sectionsOf(sdp) {
  const common = [];
  const sections = [];
  for (const line of sdp.split(/\r?\n/).filter(Boolean)) {
    const [, kind, protocol] = line.match(/^m=(\S+) \d+ (\S+) /) ?? [];
    if (kind) sections.push({ kind, protocol, lines: [] });
    else (sections.at(-1)?.lines ?? common).push(line);
  }
  return sections.map((one) => ({ ...one, all: [...one.lines, ...common] }));
}

function extensionsOf(section) {
  const all = valuesOf(section.lines, 'extmap').map((value) => value.split(' '));
  return all.map(([id, uri]) => [uri, Number.parseInt(id, 10)]).filter(([uri]) => EXTENSIONS.has(uri));
}

// What sfu_load's `connect` wants to know of the other side.
export function remoteOf(sdp) {
  const sections = sectionsOf(sdp);
  const all = sections.flatMap((one) => one.all);
  const candidate = valuesOf(all, 'candidate').map((value) => value.split(' '))
    .find((words) => words[2].toLowerCase() === 'udp' && words[7] === 'host' && !words[4].includes(':'));
  const first = (name) => valuesOf(all, name)[0];
  return {
    host: candidate[4],
    port: Number(candidate[5]),
    ufrag: first('ice-ufrag'),
    pwd: first('ice-pwd'),
    fingerprint: first('fingerprint'),
    rtx: valuesOf(all, 'rtpmap').filter((value) => / rtx\//i.test(value)).map((value) => Number.parseInt(value, 10)),
    extensions: Object.fromEntries(sections.flatMap(extensionsOf)),
  };
}

const head = (mids) => ['v=0', 'o=- 1 2 IN IP4 127.0.0.1', 's=-', 't=0 0', `a=group:BUNDLE ${mids.join(' ')}`, 'a=extmap-allow-mixed', 'a=msid-semantic: WMS *'];

const transport = (endpoint, setup) => ['c=IN IP4 0.0.0.0', 'a=rtcp-mux', 'a=rtcp-rsize', `a=ice-ufrag:${endpoint.ufrag}`, `a=ice-pwd:${endpoint.pwd}`,
  `a=fingerprint:${endpoint.fingerprint}`, `a=setup:${setup}`, `a=candidate:1 1 udp 2130706431 ${endpoint.host} ${endpoint.port} typ host`,
  'a=end-of-candidates'];

// Opus and VP8, to be sent.
export function offerOf(endpoint, { audioSsrc, videoSsrc }) {
  const extmaps = [...EXTENSIONS].map(([uri, id]) => `a=extmap:${id} ${uri}`);
  const section = (mid, first, lines, ssrc) => [first, ...transport(endpoint, 'actpass'), `a=mid:${mid}`, 'a=sendonly', ...lines, `a=ssrc:${ssrc} cname:chaos`];
  return [...head([0, 1]),
    ...section(0, `m=audio 9 UDP/TLS/RTP/SAVPF ${AUDIO_PT}`, [`a=rtpmap:${AUDIO_PT} opus/48000/2`, ...extmaps, 'a=msid:chaos audio'], audioSsrc),
    ...section(1, `m=video 9 UDP/TLS/RTP/SAVPF ${VIDEO_PT}`, [`a=rtpmap:${VIDEO_PT} VP8/90000`, `a=rtcp-fb:${VIDEO_PT} nack`,
      `a=rtcp-fb:${VIDEO_PT} nack pli`, extmaps[1], 'a=msid:chaos video'], videoSsrc), ''].join('\r\n');
}

// To an offer: Opus and VP8 are received.
export function answerTo(sdp, endpoint) {
  const sections = sectionsOf(sdp);
  const lines = head(sections.map((one) => valuesOf(one.lines, 'mid')[0]));
  for (const one of sections) {
    const codecs = valuesOf(one.lines, 'rtpmap').filter((value) => / (opus|VP8)\//i.test(value));
    const pts = codecs.map((value) => value.split(' ')[0]);
    lines.push(`m=${one.kind} 9 ${one.protocol} ${pts.join(' ')}`, ...transport(endpoint, 'active'), `a=mid:${valuesOf(one.lines, 'mid')[0]}`,
      one.lines.includes('a=inactive') ? 'a=inactive' : 'a=recvonly', ...codecs.map((value) => `a=rtpmap:${value}`),
      ...one.lines.filter((line) => pts.some((pt) => line.startsWith(`a=fmtp:${pt} `) || line.startsWith(`a=rtcp-fb:${pt} `))),
      ...extensionsOf(one).map(([uri, id]) => `a=extmap:${id} ${uri}`));
  }
  return [...lines, ''].join('\r\n');
}
