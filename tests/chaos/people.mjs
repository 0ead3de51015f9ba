// The storm (tests/flow/storm.mjs) of people who stay while things break: whoever loses the socket, or whose gateway does not answer
// any more, comes back; what was told to try again is tried again.
import { Storm } from '../flow/storm.mjs';

const AGAIN_MS = 500;
const TRIES = 120;
const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

const isLoss = (problem) => /^closed|waited in vain|ECONN|EHOSTUNREACH|ETIMEDOUT|socket hang up|not open|refused: 5/.test(problem.message);
const isRefusal = (problem) => /"code":"(unavailable|deadline_exceeded|resource_exhausted)"/.test(problem.message);

export class People extends Storm {
  drop(device) {
    device.cut();
    device.wire?.socket?.terminate?.();
  }

  async comeBack(device) {
    for (let tries = 0; ; tries += 1) {
      try {
        await device.connect(this.server);
        return;
      } catch (problem) {
        this.drop(device);
        if (tries > TRIES || !(isLoss(problem) || isRefusal(problem))) throw problem;
        await pause(AGAIN_MS);
      }
    }
  }

  // Talks until it is quiet.
  async talkThrough(device) {
    for (let isUp = true; ;) {
      try {
        if (!isUp) await this.comeBack(device);
        isUp = true;
        await device.resend();
        while (!this.isQuiet) {
          if (device === this.tablet) await pause(100);
          else await device.act();
          await pause(20);
        }
        await device.resend();
        await device.catchUp();
        return;
      } catch (problem) {
        if (isRefusal(problem)) { // not now: asked again on the same socket
          await pause(300);
          continue;
        }
        if (!isLoss(problem)) throw problem;
        this.drop(device);
        isUp = false;
      }
    }
  }

  // Everybody talks while `what` happens, then all catch up.
  async while(what) {
    this.isQuiet = false;
    const talking = this.devices.map((device) => this.talkThrough(device));
    try {
      await what();
    } finally {
      this.isQuiet = true;
      await Promise.all(talking);
    }
  }
}
