// What the mock plays: set by the scenes (dev/scenes.mjs) before a page is opened.
const usual = {
  others: 3, // how many are inside beside oneself
  cameras: [0, 2, 3, 5, 6, 9], // whose camera is on, by number
  screenBy: -1, // who shares a screen
  waiting: [], // names of those who wait to be let in
  hands: [], // whose hand is up
  speaker: 1,
  quality: null, // a frame's worth about oneself
  away: -1, // whose connection is broken
  isHost: true,
  isReachable: true, // the socket
  isInvited: false, // to two groups
  isRich: false, // all that messages can be, in the first conversation
  hasFiles: false, // pictures, a film, a voice and a file, there
  isUploadStuck: false, // what is uploaded does not arrive
  hasMeetings: true, // the list at the start page
};

export const scene = { ...usual };

export function setScene(changes = {}) {
  Object.assign(scene, usual, changes);
}
