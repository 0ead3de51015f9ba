// Runs in every page before the client's own code. Keeps what a test has to know and the page does not show: the peer
// connections, the signaling frames that came, when each element drew its first remote picture, broken content policy.
// Nothing here changes what the client does: the tests read it through window.seen.
(() => {
  const seen = {
    connections: [], sockets: [], frames: [], violations: [], firstPictures: [], clicks: [], localTracks: new Set(),
    names: new Map(), tracks: new Map(), places: new Map(),
  };
  window.seen = seen;

  addEventListener('securitypolicyviolation', (e) => seen.violations.push(`${e.violatedDirective}: ${e.blockedURI || e.sourceFile}`));
  addEventListener('click', (e) => seen.clicks.push({ at: performance.now(), target: String(e.target?.className ?? '') }), true);

  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...args) {
      super(...args);
      seen.connections.push(this);
    }

    // window.videoCodec: this one before all others.
    addTransceiver(kind, ...more) {
      const transceiver = super.addTransceiver(kind, ...more);
      if (kind === 'video' && window.videoCodec) {
        const isWanted = (c) => c.mimeType === `video/${window.videoCodec}`;
        const { codecs } = RTCRtpReceiver.getCapabilities('video');
        transceiver.setCodecPreferences([...codecs.filter(isWanted), ...codecs.filter((c) => !isWanted(c))]);
      }
      return transceiver;
    }
  };

  const quiet = new Set(['speakers', 'quality', 'ok', 'pong']);
  const isRoomFrame = (frame) => !quiet.has(frame.type);

  function takeFrame(frame) {
    if (frame.type === 'room_joined') {
      seen.names = new Map(frame.participants.map((p) => [p.id, p.name]));
      seen.tracks = new Map((frame.tracks ?? []).map((t) => [t.id, t]));
      if (!frame.is_resumed) seen.places = new Map();
      seen.selfId = frame.participant_id;
    } else if (frame.participant) {
      seen.names.set(frame.participant.id, frame.participant.name);
    } else if (frame.track) {
      seen.tracks.set(frame.track.id, frame.track);
    } else if (frame.type === 'offer') {
      seen.places = new Map((frame.places ?? []).map((p) => [p.mid, p.track_id]));
    }
    if (isRoomFrame(frame)) seen.frames.push({ at: performance.now(), ...frame });
  }

  window.WebSocket = class extends WebSocket {
    constructor(...args) {
      super(...args);
      seen.sockets.push(this);
      this.addEventListener('message', (e) => takeFrame(JSON.parse(e.data)));
    }
  };

  // The first frame of every remote picture, by the browser's own account of when it was drawn.
  function watchVideo(video) {
    const onFrame = (now) => {
      const track = video.srcObject?.getVideoTracks()[0];
      if (track && !seen.localTracks.has(track.id)) seen.firstPictures.push({ at: now, trackId: track.id });
      else video.requestVideoFrameCallback(onFrame);
    };
    video.requestVideoFrameCallback(onFrame);
  }
  new MutationObserver((records) => {
    for (const record of records)
      for (const node of record.addedNodes)
        if (node instanceof Element)
          for (const video of node.matches('video') ? [node] : node.querySelectorAll('video')) watchVideo(video);
  }).observe(document, { childList: true, subtree: true });

  // The fake microphone only beeps now and then; this one makes a sound without end, as somebody who talks does.
  function hum(stream) {
    const context = new AudioContext();
    const out = context.createMediaStreamDestination();
    const voice = context.createOscillator();
    voice.connect(out);
    voice.start();
    for (const track of stream.getAudioTracks()) {
      track.stop();
      stream.removeTrack(track);
    }
    stream.addTrack(out.stream.getAudioTracks()[0]);
  }

  for (const name of ['getUserMedia', 'getDisplayMedia']) {
    const real = navigator.mediaDevices?.[name].bind(navigator.mediaDevices);
    if (!real) continue;
    navigator.mediaDevices[name] = async (constraints) => {
      await window.devicesHeld;
      if (window.cameraSize && constraints?.video?.width)
        constraints = { ...constraints, video: { ...constraints.video, ...window.cameraSize } };
      const stream = await real(constraints);
      if (window.isHumming && stream.getAudioTracks().length) hum(stream);
      for (const track of stream.getTracks()) seen.localTracks.add(track.id);
      return stream;
    };
  }

  const alive = () => seen.connections.filter((c) => c.connectionState !== 'closed');

  // What is received, each with whose it is: the place of the m-line names the track, the track its owner.
  seen.inbound = async () => {
    const found = [];
    for (const connection of alive()) {
      const report = await connection.getStats();
      for (const stat of report.values()) {
        if (stat.type !== 'inbound-rtp') continue;
        const track = seen.tracks.get(seen.places.get(stat.mid));
        const codec = report.get(stat.codecId)?.mimeType;
        if (track) found.push({ ...stat, codec, who: seen.names.get(track.participant_id) ?? '', source: track.source, trackId: track.id });
      }
    }
    return found;
  };

  seen.outbound = async () => {
    const found = [];
    for (const connection of alive())
      for (const stat of (await connection.getStats()).values()) if (stat.type === 'outbound-rtp') found.push({ ...stat });
    return found;
  };

  seen.ciphers = async () => {
    const found = [];
    for (const connection of alive())
      for (const stat of (await connection.getStats()).values())
        if (stat.type === 'transport') found.push({ dtlsState: stat.dtlsState, srtpCipher: stat.srtpCipher });
    return found;
  };

  // For the evidence of a failure.
  seen.report = async () => ({
    frames: seen.frames, violations: seen.violations, inbound: await seen.inbound(), outbound: await seen.outbound(),
    connections: seen.connections.map((c) => ({ state: c.connectionState, ice: c.iceConnectionState, signaling: c.signalingState })),
    sockets: seen.sockets.map((s) => s.readyState),
  });

  function tileOf(name, kind) {
    return [...document.querySelectorAll(`.tile[data-kind=${kind}]`)]
      .find((tile) => seen.names.get(tile.dataset.participant) === name);
  }

  // The picture of a person as it stands on the page: size, mean brightness, spread of brightness, a hash of the pixels.
  seen.picture = (name, kind) => {
    const video = tileOf(name, kind)?.querySelector('video');
    if (!video?.videoWidth) return null;
    const canvas = new OffscreenCanvas(64, 36);
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.drawImage(video, 0, 0, 64, 36);
    const { data } = context.getImageData(0, 0, 64, 36);
    let sum = 0, squares = 0, hash = 0;
    for (let i = 0; i < data.length; i += 4) {
      const y = 0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2];
      sum += y;
      squares += y * y;
      hash = (hash * 31 + data[i] + data[i + 1] * 7 + data[i + 2] * 13) | 0;
    }
    const count = data.length / 4;
    const mean = sum / count;
    return {
      width: video.videoWidth, height: video.videoHeight, mean, spread: Math.sqrt(squares / count - mean * mean), hash,
    };
  };
})();
