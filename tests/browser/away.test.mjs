// Who loses the socket for longer than the time of grace (shortened here), and comes back.
import assert from 'node:assert/strict';
import { scene, setUp } from './stage.mjs';

setUp({ PARLANCE_SIGNALING_RESUME_S: '3' });

scene('whoever stays away is gone after the time of grace', async (stage) => {
  const ada = await stage.account('Ada');
  const link = await ada.newMeeting();
  await ada.join();
  const bo = await stage.account('Bo', { isProxied: true });
  await bo.enter(link);
  await ada.receives('Bo');
  bo.proxy.cut();
  await ada.tile('Bo').waitFor({ state: 'detached' });
  assert.deepEqual((await ada.frames('participant_left')).map((f) => f.reason), ['timeout']);
  // And comes back anew, by itself, when the system says that there is a network again.
  bo.proxy.mend();
  await bo.page.evaluate(() => dispatchEvent(new Event('online')));
  await ada.tile('Bo').waitFor();
  await ada.receives('Bo');
  await bo.receives('Ada');
});
