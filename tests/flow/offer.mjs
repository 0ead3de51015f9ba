// An offer as a browser's publishing connection makes it (shortened): Opus, and VP8 in three layers.
const transport = ['a=ice-ufrag:abcd', 'a=ice-pwd:abcdefghijklmnopqrstuvwx', `a=fingerprint:sha-256 ${'AB:'.repeat(31)}AB`,
  'a=setup:actpass', 'a=rtcp-mux'];

export function publishOffer({ video = true } = {}) {
  return [
    'v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 't=0 0', `a=group:BUNDLE 0${video ? ' 1' : ''}`,
    'm=audio 9 UDP/TLS/RTP/SAVPF 111', 'c=IN IP4 0.0.0.0', 'a=mid:0', 'a=sendonly', ...transport,
    'a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid', 'a=rtpmap:111 opus/48000/2', 'a=ssrc:1001 cname:c',
    ...(video ? [
      'm=video 9 UDP/TLS/RTP/SAVPF 96 97', 'c=IN IP4 0.0.0.0', 'a=mid:1', 'a=sendonly', ...transport,
      'a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid', 'a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id',
      'a=rtpmap:96 VP8/90000', 'a=rtcp-fb:96 nack', 'a=rtcp-fb:96 nack pli', 'a=rtpmap:97 rtx/90000', 'a=fmtp:97 apt=96',
      'a=rid:q send', 'a=rid:h send', 'a=rid:f send', 'a=simulcast:send q;h;f',
    ] : []), ''].join('\r\n');
}
