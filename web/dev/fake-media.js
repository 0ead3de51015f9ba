// Injected into pages that talk to the mock: devices with plausible names that give drawn pictures, and peer connections
// that connect to nothing and receive drawn people, so that the screens can be looked at without a media server.
// `window.mockMedia = { deny: "NotAllowedError", isLoud: true }`, set before, makes devices fail or the microphone shout.
(() => {
  const wishes = window.mockMedia ?? {};
  const palettes = [
    ["#c9d6df", "#52616b", "#8d5b4c"], ["#d8c3a5", "#8e8d8a", "#5b4636"], ["#b8d8d8", "#4f6367", "#c58c6d"],
    ["#e0bfb8", "#6d6875", "#3b2f2f"], ["#cdeac0", "#587b7f", "#a56b46"],
  ];
  function drawPerson(g, w, h, n, t) {
    const [wall, shirt, skin] = palettes[n % palettes.length];
    const grad = g.createLinearGradient(0, 0, w, h);
    grad.addColorStop(0, wall);
    grad.addColorStop(1, "#777f88");
    g.fillStyle = grad;
    g.fillRect(0, 0, w, h);
    g.fillStyle = "rgba(255,255,255,.35)";
    g.fillRect(w * 0.08, h * 0.1, w * 0.22, h * 0.45);
    g.fillStyle = "rgba(40,40,50,.25)";
    g.fillRect(w * 0.72, h * 0.15, w * 0.2, h * 0.7);
    const x = w / 2 + Math.sin(t / 900 + n) * 6;
    g.fillStyle = shirt;
    g.beginPath();
    g.ellipse(x, h * 1.05, w * 0.27, h * 0.42, 0, 0, 7);
    g.fill();
    g.fillStyle = skin;
    g.fillRect(x - w * 0.035, h * 0.52, w * 0.07, h * 0.15);
    g.beginPath();
    g.ellipse(x, h * 0.42, w * 0.085, h * 0.19, 0, 0, 7);
    g.fill();
    g.fillStyle = ["#2b1d14", "#3a3a3a", "#6b4a2b", "#111"][n % 4];
    g.beginPath();
    g.ellipse(x, h * 0.32, w * 0.092, h * 0.13, 0, Math.PI, 0);
    g.fill();
  }
  function drawScreen(g, w, h, t) {
    g.fillStyle = "#f7f8fa";
    g.fillRect(0, 0, w, h);
    g.fillStyle = "#20262e";
    g.font = "600 40px sans-serif";
    g.fillText("Minutes in meetings, by week", 64, 96);
    ["#2f5bea", "#3dd68c", "#f2b84b", "#b0307c", "#7a3fd1"].forEach((c, i) => {
      g.fillStyle = c;
      const height = 80 + ((i * 67) % 300) + Math.sin(t / 1500 + i) * 8;
      g.fillRect(96 + i * 210, h - 90 - height, 130, height);
    });
  }
  function pictureTrack(id, n) {
    const isScreen = id.includes("screen");
    const canvas = document.createElement("canvas");
    canvas.width = isScreen ? 1280 : 640;
    canvas.height = isScreen ? 720 : 360;
    const g = canvas.getContext("2d");
    const draw = () => (isScreen ? drawScreen(g, 1280, 720, performance.now()) : drawPerson(g, 640, 360, n, performance.now()));
    draw();
    setInterval(draw, 1000);
    return canvas.captureStream(2).getVideoTracks()[0];
  }
  function voice() {
    const context = new AudioContext();
    const out = context.createMediaStreamDestination();
    const gain = context.createGain();
    const tone = context.createOscillator();
    const breath = context.createOscillator();
    const depth = context.createGain();
    // A tone that swells and fades a few times a second looks on a meter as speech does.
    gain.gain.value = wishes.isLoud ? 0.5 : 0.02;
    depth.gain.value = wishes.isLoud ? 0 : 0.018;
    breath.frequency.value = 2.3;
    breath.connect(depth).connect(gain.gain);
    tone.connect(gain).connect(out);
    tone.start();
    breath.start();
    return out.stream.getAudioTracks()[0];
  }
  const devices = [
    ["audioinput", "mic-1", "Headset microphone"], ["audioinput", "mic-2", "Built-in microphone"], ["audiooutput", "out-1", "Headset"],
    ["audiooutput", "out-2", "Built-in speakers"], ["videoinput", "cam-1", "Integrated camera"], ["videoinput", "cam-2", "Desk camera"],
  ].map(([kind, deviceId, label]) => ({ kind, deviceId, label, groupId: "" }));
  Object.assign(navigator.mediaDevices, {
    enumerateDevices: async () => devices,
    getUserMedia: async ({ audio, video }) => {
      if (wishes.deny) throw new DOMException("", wishes.deny);
      return new MediaStream([...(audio ? [voice()] : []), ...(video ? [pictureTrack("own", 6)] : [])]);
    },
    getDisplayMedia: async () => new MediaStream([pictureTrack("screen", 0)]),
  });

  class FakeConnection extends EventTarget {
    connectionState = "new";
    signalingState = "stable";
    transceivers = [];
    addTransceiver(kind, { sendEncodings = [] } = {}) {
      const sender = { replaceTrack: async () => {}, getParameters: () => ({ encodings: sendEncodings }), setParameters: async () => {} };
      const transceiver = { mid: String(this.transceivers.length), direction: "sendonly", sender, receiver: {} };
      this.transceivers.push(transceiver);
      return transceiver;
    }
    getTransceivers = () => this.transceivers;
    createDataChannel() {}
    createOffer = async () => ({ type: "offer", sdp: "fake" });
    createAnswer = async () => ({ type: "answer", sdp: "fake" });
    async setLocalDescription(d) {
      this.localDescription = d ?? { type: "offer", sdp: "fake" };
      setTimeout(() => {
        this.onicecandidate?.({ candidate: { candidate: "x" } });
        this.connectionState = "connected";
        this.onconnectionstatechange?.();
      }, 20);
    }
    async setRemoteDescription(d) {
      this.remoteDescription = d;
      if (d.type !== "offer") return;
      this.transceivers = d.sdp.split(",").filter(Boolean).map((mid, i) => ({ mid, receiver: { track: pictureTrack(mid, i) } }));
    }
    getStats = async () => new Map();
    restartIce() {}
    close() {}
  }
  window.RTCPeerConnection = FakeConnection;
})();
