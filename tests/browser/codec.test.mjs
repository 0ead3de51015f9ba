// Every codec that the offers name is carried from one real encoder to other real decoders, also to who comes late.
import assert from 'node:assert/strict';
import { scene, setUp } from './stage.mjs';

setUp();

for (const codec of ['VP9', 'H264', 'AV1'])
  scene(`${codec} is carried`, async (stage) => {
    const ada = await stage.account('Ada', { camera: { width: 640, height: 360 } });
    await ada.page.evaluate((c) => { window.videoCodec = c; }, codec);
    const link = await ada.newMeeting();
    await ada.join();
    const bo = await stage.person('Bo');
    await bo.enter(link);
    const cleo = await stage.person('Cleo');
    await bo.receives('Ada');
    await cleo.enter(link);
    for (const person of [bo, cleo]) {
      const received = await person.receives('Ada');
      assert.equal(received.get('Ada camera').codec, `video/${codec}`);
    }
  });
